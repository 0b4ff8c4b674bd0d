"""checkov, hadolint and shellcheck of requirements-infra.lock, in an environment of their own.

checkov cannot live in the project's. `make infra` installs them; so does a test in CI; elsewhere, and where they cannot
be had, tests skip aloud.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INSTALL_LIMIT_S = 600.0
PLACE = Path("build", "infra")


def found_or_skipped(repository: Path) -> Path:
    """The folder of the programs, whole."""
    folder = repository / PLACE
    stamp = folder / ".installed"
    if not stamp.is_file() and os.environ.get("CI") == "true":
        said = _install(repository, folder)
        if said is not None:
            pytest.skip(f"checkov, hadolint and shellcheck could not be installed: {said}")
        stamp.touch()
    if not stamp.is_file():
        pytest.skip("checkov, hadolint and shellcheck are not here: `make infra` installs them (CI does by itself)")
    return folder / "bin"


def _install(repository: Path, folder: Path) -> str | None:
    """None, or why not."""
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes",
         "--requirement", str(repository / "requirements-infra.lock")],
    )  # fmt: skip
    for step in steps:
        try:
            done = subprocess.run(
                step, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode != 0:
            return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return None


def findings(tools: Path, *words: str | Path) -> tuple[set[str], int]:
    """What checkov finds wrong, by the checks' names, and how much it looked at."""
    command = [str(tools / "checkov"), *map(str, words), "--output", "json", "--skip-download", "--quiet"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    report: Any = json.loads(done.stdout)
    reports = report if isinstance(report, list) else [report]
    failed = {each["check_id"] for one in reports for each in one.get("results", {}).get("failed_checks", ())}
    looked = sum(one.get("summary", one).get(kind, 0) for one in reports for kind in ("passed", "failed"))
    return failed, looked
