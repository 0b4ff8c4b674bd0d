"""Who of one home is gone: known by a lock that ends with its process, however that ends."""

import fcntl
import subprocess
import sys
from uuid import UUID

import pytest

from service.adapters.presence import Presence
from service.errors import SettingInvalid

ONE = UUID("11111111-2222-4333-8444-555555555555")
OTHER = UUID("22222222-2222-4333-8444-555555555555")
HELD = """
import sys, uuid, pathlib
from service.adapters.presence import Presence
with Presence(pathlib.Path(sys.argv[1]), uuid.UUID(sys.argv[2])):
    print("here", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def elsewhere(tmp_path):
    """The other, in a process of its own."""
    command = [sys.executable, "-c", HELD, str(tmp_path), str(OTHER)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.verifies("REQ-DEP-011")
def test_a_process_that_lives_is_not_gone(tmp_path, elsewhere):
    with Presence(tmp_path, ONE) as presence:
        assert presence.gone() == set()


@pytest.mark.verifies("REQ-DEP-011")
def test_a_process_that_was_killed_is_gone(tmp_path, elsewhere):
    elsewhere.kill()
    elsewhere.wait()
    with Presence(tmp_path, ONE) as presence:
        assert presence.gone() == {str(OTHER)}


@pytest.mark.verifies("REQ-DEP-011")
def test_a_process_that_ended_in_order_is_gone_too(tmp_path):
    with Presence(tmp_path, OTHER):
        pass
    with Presence(tmp_path, ONE) as presence:
        assert presence.gone() == {str(OTHER)}


@pytest.mark.verifies("REQ-DEP-011")
def test_a_process_does_not_take_itself_for_gone(tmp_path):
    with Presence(tmp_path, ONE) as presence:
        assert presence.gone() == set()


def test_two_that_ask_at_once_both_find_out(tmp_path):
    with Presence(tmp_path, OTHER):
        pass
    with Presence(tmp_path, ONE) as presence, (tmp_path / str(OTHER)).open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert presence.gone() == {str(OTHER)}


def test_who_is_forgotten_is_not_named_again(tmp_path):
    with Presence(tmp_path, OTHER):
        pass
    with Presence(tmp_path, ONE) as presence:
        presence.forget({str(OTHER)})
        assert presence.gone() == set()


def test_without_its_folder_nothing_is_known(tmp_path):
    with Presence(tmp_path / "marks", ONE) as presence:
        (tmp_path / "marks" / str(ONE)).unlink()
        (tmp_path / "marks").rmdir()
        assert presence.gone() == set()


def test_a_folder_that_cannot_be_made_is_a_setting_that_cannot_be_obeyed(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingInvalid), Presence(tmp_path / "file" / "marks", ONE):
        pass
