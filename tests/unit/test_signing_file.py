"""The signing key on disk: made once, for its owner alone, and refused where it is not as it must be."""

import os
import stat

import pytest

from audit import signing
from audit.errors import SettingInvalid

pytestmark = pytest.mark.verifies("REQ-SEC-018")


def test_a_new_key_is_its_owners_alone(tmp_path):
    signing.create(tmp_path / "keys" / "signing.key", "log.example/a")
    assert stat.S_IMODE((tmp_path / "keys" / "signing.key").stat().st_mode) == 0o600


def test_the_key_that_is_read_is_the_one_that_was_made(tmp_path):
    made = signing.create(tmp_path / "signing.key", "log.example/a")
    read = signing.load(tmp_path / "signing.key")
    assert (read.name, str(read.verifier)) == ("log.example/a", str(made.verifier))


def test_a_key_that_is_there_is_never_overwritten(tmp_path):
    made = signing.create(tmp_path / "signing.key", "log.example/a")
    with pytest.raises(SettingInvalid):
        signing.create(tmp_path / "signing.key", "log.example/b")
    assert str(signing.load(tmp_path / "signing.key").verifier) == str(made.verifier)


def test_two_keys_of_one_name_are_two_keys(tmp_path):
    one, other = (signing.create(tmp_path / name, "log.example/a") for name in ("one", "other"))
    assert str(one.verifier) != str(other.verifier)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_key_that_others_may_use_is_refused_with_its_mode(tmp_path, mode):
    signing.create(tmp_path / "signing.key", "log.example/a")
    (tmp_path / "signing.key").chmod(mode)
    with pytest.raises(SettingInvalid, match=f"has mode {mode:04o}; expected 0600"):
        signing.load(tmp_path / "signing.key")


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff\xfe", b"PRIVATE+KEY+log.example/a+00000000+AAAA"])
def test_a_file_that_holds_no_key_is_refused(tmp_path, content):
    handle = os.open(tmp_path / "signing.key", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(handle, content)
    os.close(handle)
    with pytest.raises(SettingInvalid, match=r"signing\.key"):
        signing.load(tmp_path / "signing.key")


def test_a_key_that_is_missing_is_said_to_be_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(SettingInvalid, match="medai ledger init"):
        signing.load(tmp_path / "signing.key")
