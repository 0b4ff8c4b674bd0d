"""Pseudonyms: the same for the same value under one key, and nothing without the key."""

import stat

import pytest

from service.adapters import secrets
from service.errors import SettingInvalid


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "pseudonym.key"


@pytest.fixture
def key(path):
    secrets.create(path)
    return secrets.load(secrets.file_of(path))


@pytest.mark.verifies("REQ-SEC-006")
def test_the_same_value_has_the_same_pseudonym(key):
    assert key.of("patient", "4711") == key.of("patient", "4711")


@pytest.mark.verifies("REQ-SEC-006")
def test_a_patient_and_a_study_of_one_number_are_two_pseudonyms(key):
    assert key.of("patient", "4711") != key.of("study", "4711")


@pytest.mark.verifies("REQ-SEC-006")
def test_another_key_makes_another_pseudonym(key, tmp_path):
    secrets.create(tmp_path / "other.key")
    assert secrets.load(secrets.file_of(tmp_path / "other.key")).of("peer", "a") != key.of("peer", "a")


@pytest.mark.verifies("REQ-SEC-006")
def test_a_pseudonym_fits_a_record_and_does_not_hold_the_value(key):
    made = key.of("peer", "\ud800 Jos\u00e9 4711")
    assert "4711" not in made
    assert made.startswith("k1:")


@pytest.mark.verifies("REQ-SEC-006")
def test_hmac_is_computed_as_rfc_2104_has_it():
    # HMAC-SHA-256 of "peer\\0x" under 32 bytes of 0x0b, by `openssl dgst -sha256 -mac HMAC -macopt hexkey:0b...`
    expected = "f44dae9eb5d2d5d3d9a0c1fc21ffcd0135850feeae2cae9f878e45951ea5056a"
    assert secrets.PseudonymKey("k1", b"\x0b" * 32).of("peer", "x") == f"k1:{expected}"


def test_only_its_owner_may_read_the_key(path, key):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.verifies("REQ-SEC-018")
def test_a_key_that_is_there_is_kept(path, key):
    secrets.create(path)
    assert secrets.load(secrets.file_of(path)).of("peer", "a") == key.of("peer", "a")


@pytest.mark.verifies("REQ-SEC-018")
def test_a_key_that_others_may_read_is_refused(path, key):
    path.chmod(0o640)
    with pytest.raises(SettingInvalid):
        secrets.load(secrets.file_of(path))


@pytest.mark.verifies("REQ-SEC-018")
@pytest.mark.parametrize("content", ["", "k1", "k1:00", "K1:" + "00" * 32, "k1:" + "zz" * 32, "\u00e9"])
def test_a_file_that_is_no_key_is_refused(path, content):
    path.parent.mkdir()
    path.touch(0o600)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingInvalid):
        secrets.load(secrets.file_of(path))


@pytest.mark.verifies("REQ-SEC-018")
def test_a_key_that_is_missing_is_said_to_be(path):
    with pytest.raises(SettingInvalid):
        secrets.load(secrets.file_of(path))
