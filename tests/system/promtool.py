"""Prometheus's own judge of rules, for tests of the rules and the dashboards."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

DOWNLOAD_LIMIT_S = 120.0


def found_or_skipped(folder: Path) -> str:
    """Where it is. In CI as root it is taken from Debian's package; where there is none the test is skipped aloud."""
    found = shutil.which("promtool")
    if found is None and os.environ.get("CI") == "true" and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        found = _unpacked(folder)
    if found is None:
        pytest.skip("no promtool here (CI takes it from Debian's package prometheus, as root)")
    return found


def _unpacked(folder: Path) -> str | None:
    """The one program out of the package. Installing it would start a server that nobody asked for."""
    for words in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "prometheus"],
        ["sh", "-c", "dpkg-deb -x prometheus_*.deb unpacked"],
    ):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, check=False, timeout=DOWNLOAD_LIMIT_S)
    program = folder / "unpacked" / "usr" / "bin" / "promtool"
    return str(program) if program.exists() else None
