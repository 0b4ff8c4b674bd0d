"""Bearer tokens: only hashes are kept, edits are atomic, and what is revoked stops working without a restart."""

import json
import multiprocessing
import os
import stat

import pytest

from service.adapters import tokens
from service.errors import SettingInvalid

NOW_US = 1_800_000_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "tokens.json"


@pytest.fixture
def book(path, monkeypatch):
    """Makes the book of a running process that looks at the file whenever it is asked."""
    monkeypatch.setattr(tokens, "POLL_S", 0.0)

    def make(failed=lambda where, error: None):
        return tokens.TokenFile(tokens.file_of(path), now_us=lambda: NOW_US, failed=failed)

    return make


def _issue(path, name="gateway", scopes=("infer",), **more):
    return tokens.issue(tokens.FilePlace(path), name, scopes, now_us=NOW_US, **more)


@pytest.mark.verifies("REQ-SEC-003")
def test_a_token_has_two_hundred_and_fifty_six_bits_behind_a_prefix_that_scanners_know(path):
    token = _issue(path)
    assert token.startswith("medai_")
    assert len(token) == len("medai_") + 43


@pytest.mark.verifies("REQ-SEC-003")
def test_the_file_does_not_hold_the_token(path):
    token = _issue(path)
    assert token.removeprefix("medai_") not in path.read_text("utf-8")


@pytest.mark.verifies("REQ-SEC-003")
def test_only_its_owner_may_read_the_file(path):
    _issue(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_names_its_owner_and_scopes(path, book):
    token = _issue(path, scopes=("infer", "audit.read"))
    found = book().principal(token)
    assert (found.name, found.scopes) == ("gateway", {"infer", "audit.read"})


@pytest.mark.parametrize("token", ["", "medai_", "medai_" + "x" * 43, "\ud800"])
def test_an_unknown_token_is_nobodys(path, book, token):
    _issue(path)
    assert book().principal(token) is None


def test_a_token_that_is_issued_later_works_without_a_restart(path, book):
    running = book()
    token = _issue(path)
    assert running.principal(token).name == "gateway"


@pytest.mark.verifies("REQ-SEC-004")
def test_a_token_that_is_revoked_stops_working_without_a_restart(path, book):
    token = _issue(path)
    running = book()
    assert running.principal(token) is not None
    tokens.revoke(tokens.FilePlace(path), "gateway")
    assert running.principal(token) is None


@pytest.mark.verifies("REQ-SEC-004")
def test_revoking_one_token_leaves_the_others(path, book):
    kept = _issue(path, "kept")
    _issue(path, "gone")
    tokens.revoke(tokens.FilePlace(path), "gone")
    assert book().principal(kept).name == "kept"


@pytest.mark.verifies("REQ-SEC-004")
def test_a_token_works_until_it_expires(path, book):
    token = _issue(path, expires_us=NOW_US + 1)
    assert book().principal(token) is not None


@pytest.mark.verifies("REQ-SEC-004")
def test_an_expired_token_is_nobodys(path, book):
    token = _issue(path, expires_us=NOW_US)
    assert book().principal(token) is None


@pytest.mark.verifies("REQ-SEC-003")
def test_a_name_is_given_once(path):
    _issue(path)
    with pytest.raises(SettingInvalid):
        _issue(path)


@pytest.mark.parametrize("name", ["", "a b", "DOE^JOHN", "x" * 65, "-a"])
def test_a_name_that_no_record_could_hold_is_refused(path, name):
    with pytest.raises(SettingInvalid):
        _issue(path, name)


@pytest.mark.verifies("REQ-SEC-003")
@pytest.mark.parametrize("scopes", [(), ("everything",)])
def test_a_token_needs_scopes_that_exist(path, scopes):
    with pytest.raises(SettingInvalid):
        _issue(path, scopes=scopes)


def test_revoking_what_is_not_there_is_an_error(path):
    with pytest.raises(SettingInvalid):
        tokens.revoke(tokens.FilePlace(path), "nobody")


@pytest.mark.verifies("REQ-SEC-005")
def test_a_file_that_is_gone_lets_nobody_in(path, book):
    token = _issue(path)
    running = book()
    path.unlink()
    assert running.principal(token) is None


@pytest.mark.verifies("REQ-SEC-005")
def test_a_file_that_is_broken_lets_nobody_in_and_says_so(path, book):
    failures = []
    token = _issue(path)
    running = book(lambda where, error: failures.append(where))
    path.write_text("{")
    assert running.principal(token) is None
    assert failures == ["tokens"]


@pytest.mark.verifies("REQ-SEC-005")
def test_a_file_that_others_may_read_lets_nobody_in(path, book):
    token = _issue(path)
    path.chmod(0o644)
    assert book().principal(token) is None


def test_a_file_with_members_that_nobody_knows_is_refused(path):
    _issue(path)
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(content | {"more": 1}))
    with pytest.raises(SettingInvalid):
        tokens.listed(tokens.file_of(path))


def test_an_edit_that_fails_leaves_the_file_as_it_was(path, monkeypatch):
    _issue(path, "first")
    before = path.read_bytes()

    def broken(handle):
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(SettingInvalid):
        _issue(path, "second")
    assert path.read_bytes() == before


def test_edits_at_once_from_several_processes_are_all_kept(path):
    context = multiprocessing.get_context("fork")
    editors = [context.Process(target=_issue, args=(path, f"name-{number}")) for number in range(6)]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join()
    assert len(tokens.listed(tokens.file_of(path))) == 6


def test_the_number_of_tokens_is_bounded(path, monkeypatch):
    monkeypatch.setattr(tokens, "MAX_TOKENS", 1)
    _issue(path, "first")
    with pytest.raises(SettingInvalid):
        _issue(path, "second")
