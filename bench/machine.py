"""What the figures were measured on and with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    "ndshare",
    "numpy",
    "SharedArray",
    "pyshmem",
    "iceoryx2",
    "kickmsg",
    "eclipse-zenoh",
    "pyzmq",
    "faster-fifo",
    "callserver",
    "torch",
    "ray",
)


def describe() -> dict[str, object]:
    return {
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "virtual": "hypervisor" in _cpu_flags(),
        "kernel": platform.release(),
        "system": _system_name(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "compiler": _first_line("c++", "--version"),
        "packages": {name: _version(name) for name in PACKAGES},
        "command": " ".join(["python", *sys.orig_argv[1:]]),
    }


def load() -> list[float]:
    """The load averages: beside other work, figures mean little."""
    return [round(value, 2) for value in os.getloadavg()]


def _cpuinfo(word: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(word):
            return line.partition(":")[2].strip()
    return ""


def _cpu_model() -> str:
    return _cpuinfo("model name") or platform.machine()


def _cpu_flags() -> list[str]:
    return _cpuinfo("flags").split()


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(
            "\n", 1
        )[0]
    except (OSError, subprocess.CalledProcessError):
        return ""
