"""`ndshare doctor`: explains the machine to somebody whose array does not fit or is not found."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console

import ndshare
from ndshare import _core
from ndshare.cli.output import format_bytes, one_line_errors, print_json


@dataclass
class Finding:
    """One looked-at thing: state is "ok", "note" or "problem"."""

    subject: str
    state: str
    text: str


def _dev_shm() -> Finding:
    try:
        status = os.statvfs("/dev/shm")
    except OSError as error:
        return Finding("/dev/shm", "problem", f"{error.strerror}; set NDSHARE_DIR to a folder")
    total, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    text = f"{format_bytes(free)} of {format_bytes(total)} free"
    if total < 256 << 20:
        return Finding(
            "/dev/shm",
            "note",
            f"{text}: small (Docker's default is 64 MiB). Arrays do not live there and are not "
            "limited by it; persistent ones are (NDSHARE_ROOT, docker run --shm-size)",
        )
    return Finding("/dev/shm", "ok", f"{text}; kernel-held arrays are not limited by it")


def _huge_pages() -> Finding:
    """Of the memory that the kernel holds; a tmpfs has an option of its own."""
    path = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    try:
        words = path.read_text().split()
    except OSError:
        return Finding("huge pages", "ok", "not in this kernel")
    mode = next((word.strip("[]") for word in words if word.startswith("[")), "unknown")
    text = f"{mode} for shared memory"
    if mode in ("never", "deny"):
        text += (
            f"; `echo advise > {path}`, as root, would give them to memory of 2 MiB and more, "
            "which is made and filled several times faster then"
        )
    return Finding("huge pages", "ok", text)


def _limits() -> list[Finding]:
    findings = []
    for limit in _core.places()["limits"]:
        low = limit["free_bytes"] < 64 << 20
        text = f"{format_bytes(limit['free_bytes'])} of {format_bytes(limit['limit_bytes'])} free"
        findings.append(
            Finding(
                limit["what"],
                "problem" if low else "ok",
                f"{text}; {limit['remedy']}" if low else text,
            )
        )
    return findings


def _remove_ipc() -> Finding:
    subject = "systemd RemoveIPC"
    value = "yes"  # logind's default
    for path in [Path("/etc/systemd/logind.conf"), *Path("/etc/systemd").glob("logind.conf.d/*")]:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, given = line.partition("=")
            if key.strip() == "RemoveIPC":
                value = given.strip().lower()
    if not Path("/run/systemd/system").exists():
        return Finding(subject, "ok", "no systemd runs here")
    if value in ("no", "false", "0", "off") or os.geteuid() == 0:
        return Finding(subject, "ok", "does not apply to this user")
    return Finding(
        subject,
        "note",
        "at this user's last logout systemd empties /dev/shm: names of kernel-held arrays are "
        "found again, persistent files under /dev/shm are gone (set NDSHARE_ROOT elsewhere)",
    )


def _open_files() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    text = f"{soft} a process (each array holds one), hard limit {hard}"
    return Finding("open files", "note" if soft - used < 256 else "ok", text)


def _proc() -> Finding:
    if not Path("/proc/self/fd").exists():
        return Finding("/proc", "problem", "not mounted; names of kernel-held arrays need it")
    if Path("/proc/self").resolve().name != str(os.getpid()):
        return Finding("/proc", "problem", "shows another pid namespace; mount one of its own")
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if " /proc " in line]
    if mounts and "hidepid=" in mounts[-1]:
        text = "hides other users' processes (hidepid): share with them by persistent=True, group="
        return Finding("/proc", "note", text)
    return Finding("/proc", "ok", "mounted, of this pid namespace")


def _kernel() -> Finding:
    release = platform.release()
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0]
    new = (int(major), int(minor)) >= (5, 16) if major.isdigit() and minor.isdigit() else True
    text = release if new else f"{release}: no futex_waitv, waits for several things use pipes"
    return Finding("kernel", "ok" if new else "note", text)


def _leftovers() -> list[Finding]:
    findings = []
    places = _core.places()
    shared = ndshare.ls()
    held = [one for one in shared if not one.persistent]
    files = [one for one in shared if one.persistent]
    size = format_bytes(sum(one.footprint_bytes for one in held))
    findings.append(Finding("names", "ok", f"{len(held)}, {size}, in {places['names']}"))
    idle = [one for one in files if not one.holders]
    size = format_bytes(sum(one.footprint_bytes for one in files))
    text, state = f"{len(files)} files, {size}, in {places['files']}", "ok"
    if idle:
        text += f"; held by nobody: {', '.join(one.name for one in idle[:5])}"
        text, state = text + " (they stay until `ndshare unlink`)", "note"
    if os.environ.get("NDSHARE_ROOT") and not Path(places["files"]).is_dir():
        text, state = f"NDSHARE_ROOT names a folder that is not there, {places['files']}", "problem"
    findings.append(Finding("persistent", state, text))
    incomplete = [one.name for one in shared if one.counters.get("incomplete")]
    if incomplete:
        findings.append(
            Finding(
                "incomplete writes",
                "problem",
                f"{', '.join(incomplete[:5])}: a complete write heals (a[...] = x)",
            )
        )
    return findings


def doctor(json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Explain this machine: memory limits, /dev/shm, systemd, descriptors, leftovers."""
    with one_line_errors():
        findings = [_kernel(), _proc(), _dev_shm()]
        for look in (_limits, lambda: [_huge_pages(), _open_files(), _remove_ipc()], _leftovers):
            try:
                findings += look()
            except (OSError, ValueError) as error:  # the folders of names and files
                findings.append(Finding("names", "problem", str(error)))
        if json:
            print_json([asdict(finding) for finding in findings])
            return
        console = Console()
        marks = {
            "ok": "[green]ok     [/]",
            "note": "[yellow]note   [/]",
            "problem": "[red]PROBLEM[/]",
        }
        for finding in findings:
            console.print(f"{marks[finding.state]} [bold]{finding.subject}[/]: ", end="")
            console.print(finding.text, markup=False, highlight=False)
