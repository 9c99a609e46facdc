"""Processes with mounts of their own."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def mounted(*commands: str) -> list[str]:
    """Runs what follows it in a mount namespace of its own, after these commands."""
    return ["unshare", "-m", "sh", "-c", " && ".join([*commands, 'exec "$@"']), "sh"]


def can_run(prefix: list[str]) -> bool:
    """May this user do that?"""
    if shutil.which(prefix[0]) is None:
        return False
    return subprocess.run([*prefix, "true"], capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(
    not can_run(mounted("mount -t tmpfs none /mnt")), reason="no mount namespace for this user"
)
