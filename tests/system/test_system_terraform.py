"""Terraform's own tests of what it describes, with the provider's schema and no registry."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOL = Path(os.environ.get("MEDAI_TF_OFFLINE", "../shared/tools/tf-offline/tf-offline"))


@pytest.fixture(scope="module")
def configuration(repository, tmp_path_factory):
    """A copy: terraform writes a lock file beside what it reads."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on this machine")
    if not (repository / TOOL).is_file():
        pytest.skip("no stand-in for the provider: set MEDAI_TF_OFFLINE")
    copy = tmp_path_factory.mktemp("terraform") / "terraform"
    shutil.copytree(repository / "terraform", copy, ignore=shutil.ignore_patterns(".terraform*"))
    return copy


def terraform(repository: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(repository / TOOL), str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_terraform_accepts_every_argument_and_type(repository, configuration):
    done = terraform(repository, configuration, "validate", "-no-color")
    assert (done.returncode, "The configuration is valid" in done.stdout) == (0, True), done.stdout + done.stderr


def test_every_control_and_every_refusal_of_the_infrastructure_holds(repository, configuration):
    done = terraform(repository, configuration, "test", "-no-color")
    assert (done.returncode, ", 0 failed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_terraform_files_are_in_their_usual_layout(configuration):
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", str(configuration)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_variable_has_a_value_that_the_tests_refuse(configuration):
    declared = {
        line.split('"')[1]
        for line in (configuration / "variables.tf").read_text("utf-8").splitlines()
        if line.startswith("variable ")
    }
    refused = (configuration / "tests" / "variables.tftest.hcl").read_text("utf-8")
    free = {"lock_checkpoint_retention", "i_understand_that_locking_is_forever"}  # both are in controls.tftest.hcl
    assert {name for name in declared - free if f"expect_failures = [var.{name}]" not in refused} == set()
