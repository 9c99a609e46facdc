"""Runs clang-tidy over the compiled sources of some folders, two at a time; exits 1 on findings."""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
from pathlib import Path


def check(build: str, source: str) -> str:
    """The findings of one source, empty when there are none."""
    tool = Path(sys.executable).parent / "clang-tidy"
    result = subprocess.run(
        [str(tool), "-p", build, "--quiet", "--warnings-as-errors=*", source],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr if result.returncode else ""


def main() -> int:
    """Usage: clang_tidy.py BUILD_FOLDER SOURCE_FOLDER..."""
    build, folders = sys.argv[1], [Path(folder).resolve() for folder in sys.argv[2:]]
    commands = json.loads((Path(build) / "compile_commands.json").read_text())
    sources = sorted(
        {
            entry["file"]
            for entry in commands
            if any(Path(entry["file"]).is_relative_to(folder) for folder in folders)
        }
    )
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = [text for text in pool.map(lambda s: check(build, s), sources) if text]
    print("\n".join(findings), end="")
    print(f"clang-tidy: {len(sources)} files, {len(findings)} with findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
