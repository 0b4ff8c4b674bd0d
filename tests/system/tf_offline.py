"""Terraform without a registry: the provider's schema stands in for it, where the machine has the stand-in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOL = Path(os.environ.get("MEDAI_TF_OFFLINE", "../shared/tools/tf-offline/tf-offline"))
LIMIT_S = 600.0


def copied(repository: Path, folders: pytest.TempPathFactory) -> Path:
    """A copy of the configuration and of the rules that it reads beside it: terraform writes a lock file there.

    Skips aloud without the tools.
    """
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on this machine")
    if not (repository / TOOL).is_file():
        pytest.skip("no stand-in for the provider: set MEDAI_TF_OFFLINE")
    copy = folders.mktemp("terraform") / "terraform"
    shutil.copytree(repository / "terraform", copy, ignore=shutil.ignore_patterns(".terraform*"))
    rules = Path("deploy") / "observability" / "rules"
    shutil.copytree(repository / rules, copy.parent / rules)
    return copy


def terraform(repository: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(repository / TOOL), str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
