"""The golden bundle that auditors try a verifier on: every command of docs/auditors.md that says how it ends."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "auditors.md").read_text("utf-8")
COMMANDS = re.findall(r"(?m)^ {4,}(\S.*?) +# exit (\d)$", PAGE)
GOLDEN, VECTORS = ROOT / "docs" / "golden", ROOT / "tests" / "vectors" / "audit"
COPIES = {
    "policy": "cosigned/policy",
    "log.vkey": "log.vkey",
    "witnessed.tlog-proof": "cosigned/exit-0/witnessed-by-all.txt",
    "one-witness.tlog-proof": "cosigned/exit-3/witnessed-by-one.txt",
    "altered.tlog-proof": "receipt/exit-1/record-probability-changed.txt",
    "answer.json": "answer/exit-0/untouched.json",
    "answer-altered.json": "answer/exit-1/decision-changed.json",
}


def run(command):
    words = shlex.split(command)
    program = sys.executable if words[0] == "python3" else shutil.which(words[0])
    assert program is not None
    return subprocess.run([program, *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command, code", COMMANDS)
def test_a_documented_command_ends_as_the_page_says(command, code):
    assert run(command).returncode == int(code)


def test_the_page_shows_each_of_the_four_ends():
    assert {code for _, code in COMMANDS} == {"0", "1", "2", "3"}


def test_the_verdict_on_the_page_is_the_one_that_is_printed():
    (verdict,) = re.findall(r"(?m)^ {4}(VERDICT .*)$", PAGE)
    assert verdict in run(COMMANDS[0][0]).stdout.splitlines()


@pytest.mark.parametrize("name", COPIES)
def test_a_file_of_the_bundle_is_the_vector_that_it_was_copied_from(name):
    assert (GOLDEN / name).read_bytes() == (VECTORS / COPIES[name]).read_bytes()


def test_the_bundle_holds_nothing_else():
    assert {path.name for path in GOLDEN.iterdir()} == set(COPIES)
