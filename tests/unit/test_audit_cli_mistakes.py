"""The auditors' commands end a mistake with a sentence and an exit code that is no verdict."""

import pytest

from audit import cli, cli_key, command
from audit.errors import Altered, LedgerUnavailable, NotFound, SettingInvalid, SignatureInvalid, Unattested

pytestmark = pytest.mark.verifies("REQ-DEP-014")


def failing(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Altered("record 7 differs"), 1),
        (SignatureInvalid("of a known key"), 1),
        (SettingInvalid("say which"), 2),
        (LedgerUnavailable("away"), 2),
        (NotFound("record 9"), 2),
        (Unattested("nobody vouches"), 3),
    ],
    ids=lambda value: getattr(value, "code", value),
)
def test_each_kind_of_error_has_its_exit_code_and_its_sentence(error, code, capsys):
    assert command.run(failing(error)) == code
    assert capsys.readouterr() == ("", f"medai: {error.code}: {error}\n")


def test_what_ends_well_keeps_its_own_exit_code(capsys):
    assert command.run(lambda: 3) == 3
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAI_HOME", str(tmp_path))
    for name in ("MEDAI_SIGNING_KEY_FILE", "MEDAI_ANCHOR_FOLDER", "MEDAI_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: cli_key.key([]),
        lambda: cli.verify([]),
        lambda: cli.verify(["--receipt", "missing", "--key", "no key"]),
        lambda: cli.verify(["--processes", "0"]),
        lambda: cli.record(["-1"]),
        lambda: cli.record(["0"]),
    ],
    ids=["no key", "no ledger", "no verifier key", "no process", "no index", "no database"],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(mistake, home, capsys):
    code = mistake()
    out, err = capsys.readouterr()
    sentences = [line for line in err.splitlines() if line.startswith("medai: setting_invalid: ")]
    assert (code, out, len(sentences)) == (2, "", 1)
