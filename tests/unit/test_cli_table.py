"""The command line: each sub-command imports what it needs alone, and mistakes are a sentence, never a traceback."""

import io
import os
import subprocess
import sys

import pytest

from audit import note
from service import cli

HEAVY = ("litestar", "onnxruntime", "uvicorn", "pydicom", "PIL", "numpy")


@pytest.fixture
def medai(tmp_path):
    """Runs the command line on a home of its own."""

    def medai(*arguments, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDAI_")}
        return subprocess.run(
            [sys.executable, "-m", "service", *arguments],
            env=environment | {"MEDAI_HOME": str(tmp_path / "home")} | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return medai


def _imported_by(arguments, tmp_path):
    program = (
        "import sys\n"
        "from service.cli import main\n"
        f"main({arguments!r})\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    environment = os.environ | {"MEDAI_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1].split()


@pytest.mark.parametrize(
    "arguments",
    [["audit", "verify", "--receipt", "missing"], ["audit", "key"], ["token", "list"], ["--help"]],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_auditors_and_operators_need_no_web_framework_and_no_onnx_runtime(arguments, tmp_path):
    assert _imported_by(arguments, tmp_path) == []


def test_a_worker_needs_nothing_that_migrates():
    program = "import sys, service.worker; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert {"sqlalchemy", "alembic", "uvicorn"} & set(done.stdout.split()) == {"uvicorn"}, done.stderr


@pytest.mark.parametrize("words", cli.COMMANDS, ids=" ".join)
def test_every_command_says_what_it_is_for(medai, words):
    done = medai(*words, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"medai {' '.join(words)}" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["audit"],
        ["audit", "dance"],
        ["serve", "--port", "http"],
        ["serve", "--port", "65536"],
        ["serve", "--dance"],
        ["token", "issue"],
        ["token", "issue", "gateway", "--scope", "everything"],
        ["token", "issue", "DOE^JOHN", "--scope", "infer"],
        ["token", "revoke", "nobody"],
        ["audit", "record", "first"],
        ["audit", "verify", "--receipt", "missing"],
    ],
    ids=" ".join,
)
def test_a_mistake_is_a_sentence_and_exit_code_two(medai, arguments):
    done = medai(*arguments)
    assert done.returncode == 2
    assert done.stdout + done.stderr != ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["ledger", "init"], ["demo"]], ids=" ".join)
def test_a_home_that_is_no_folder_is_no_altered_ledger(medai, tmp_path, arguments):
    (tmp_path / "home").touch()
    done = medai(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_a_verdict_that_nobody_reads_is_not_given_as_valid(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # the command closes it

    def unread(arguments):
        raise BrokenPipeError

    monkeypatch.setattr("audit.cli.verify", unread)
    assert cli.main(["audit", "verify"]) == 2


def test_a_file_that_does_not_end_is_a_mistake_and_fills_no_memory(medai):
    key = str(note.Signer.generate("log.example/cli", b"\x07" * 32).verifier)
    done = medai("audit", "verify", "--answer", "/dev/zero", "--key", key)
    assert (done.returncode, "larger" in done.stderr) == (2, True)


def test_an_unknown_setting_stops_the_service_from_starting(medai):
    done = medai("serve", MEDAI_MAX_PIXLES="1")
    assert done.returncode == 2
    assert "MEDAI_MAX_PIXLES" in done.stderr


def test_a_new_token_is_printed_alone(medai):
    done = medai("token", "issue", "gateway", "--scope", "infer", "--scope", "audit.read")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 1
    assert done.stdout.startswith("medai_")


def test_tokens_are_listed_by_name_and_scope_and_never_shown(medai):
    token = medai("token", "issue", "gateway", "--scope", "infer").stdout.strip()
    listed = medai("token", "list").stdout
    assert "gateway  infer" in listed
    assert token not in listed


def test_a_revoked_token_is_no_longer_listed(medai):
    medai("token", "issue", "gateway", "--scope", "infer")
    assert medai("token", "revoke", "gateway").returncode == 0
    assert medai("token", "list").stdout == ""


def test_a_port_that_is_taken_is_said_to_be(medai):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = medai("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "port" in done.stderr


def test_a_database_that_is_not_there_stops_the_service_from_starting(medai):
    url = "postgresql://nobody@127.0.0.1:9/nothing"
    done = medai("serve", "--port", "0", "--internal-port", "0", MEDAI_DATABASE_URL=url)
    assert done.returncode == 2
    assert "ledger_unavailable" in done.stderr
