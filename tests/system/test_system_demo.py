import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("demo", numbered=True)


@pytest.fixture(scope="module")
def demonstration(home, repository):
    return subprocess.run(
        [sys.executable, "-m", "service", "demo"],
        cwd=repository,
        env={**os.environ, "MEDAI_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_demonstration_ends_well(demonstration):
    assert demonstration.returncode == 0, demonstration.stdout + demonstration.stderr


def test_the_demonstration_says_that_its_model_is_not_for_clinical_use(demonstration):
    assert "not for clinical use" in demonstration.stdout


def test_the_demonstration_shows_that_an_altered_answer_is_found(demonstration):
    assert "one digit of a saved answer's probability changed" in demonstration.stdout


def test_the_demonstration_shows_that_a_rewritten_database_is_found(demonstration):
    assert "rewritten by the superuser, all hashes recomputed" in demonstration.stdout


def test_every_saved_answer_has_its_receipt_beside_it(demonstration, home):
    answers = {path.stem for path in (home / "demo").glob("0*.json")}
    assert answers == {path.stem for path in (home / "demo").glob("*.tlog-proof")}
    assert answers


def test_nothing_that_the_demonstration_started_is_left_running(demonstration, home):
    assert list(Path(home / "postgres").glob("postmaster.pid")) == []
