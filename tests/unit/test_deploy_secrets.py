"""What brings secrets from the vault's volume into a pod: whole, for the service alone, again when they change."""

import importlib.util
import stat
import subprocess
import sys

import pytest

pytestmark = pytest.mark.verifies("REQ-DEP-016")


@pytest.fixture(scope="module")
def script(repository):
    return repository / "deploy" / "base" / "secrets" / "bring_secrets.py"


@pytest.fixture
def bring(script):
    spec = importlib.util.spec_from_file_location("bring_secrets", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.bring


@pytest.fixture
def volume(tmp_path):
    """As the driver makes it: files are links into a folder of the moment, and everybody may read them."""
    folder = tmp_path / "vault"
    (folder / "..2026").mkdir(parents=True)
    (folder / "..2026" / "signing.key").write_text("a key")
    (folder / "..data").symlink_to("..2026")
    (folder / "signing.key").symlink_to("..data/signing.key")
    (tmp_path / "secrets").mkdir()
    return folder


def test_a_secret_is_brought_for_its_owner_alone(bring, volume, tmp_path):
    bring(volume, tmp_path / "secrets")
    copy = tmp_path / "secrets" / "signing.key"
    assert (copy.read_text(), stat.S_IMODE(copy.stat().st_mode)) == ("a key", 0o600)


def test_nothing_of_the_volumes_own_is_brought(bring, volume, tmp_path):
    bring(volume, tmp_path / "secrets")
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["signing.key"]


def test_what_did_not_change_is_left_alone(bring, volume, tmp_path):
    bring(volume, tmp_path / "secrets")
    assert bring(volume, tmp_path / "secrets") == []


def test_what_changed_in_the_vault_is_brought_again(bring, volume, tmp_path):
    bring(volume, tmp_path / "secrets")
    (volume / "..2026" / "signing.key").write_text("another")
    assert bring(volume, tmp_path / "secrets") == ["signing.key"]
    assert (tmp_path / "secrets" / "signing.key").read_text() == "another"


def test_what_is_gone_from_the_volume_stays(bring, volume, tmp_path):
    bring(volume, tmp_path / "secrets")
    (volume / "signing.key").unlink()
    bring(volume, tmp_path / "secrets")
    assert (tmp_path / "secrets" / "signing.key").read_text() == "a key"


def test_an_empty_secret_never_takes_the_place_of_one(bring, volume, tmp_path):
    bring(volume, tmp_path / "secrets")
    (volume / "..2026" / "signing.key").write_text("")
    with pytest.raises(ValueError, match=r"signing\.key is empty in the vault"):
        bring(volume, tmp_path / "secrets")
    assert (tmp_path / "secrets" / "signing.key").read_text() == "a key"


def first_line(script, *folders):
    """What it says first; it is ended then, as the kubelet ends it."""
    with subprocess.Popen([sys.executable, script, *folders], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            process.terminate()
            return said, process.stderr.read(), process.wait(60)
        finally:
            process.kill()


def test_what_it_says_never_shows_a_secret(script, volume, tmp_path):
    assert first_line(script, volume, tmp_path / "secrets") == ("bring_secrets: signing.key is new\n", "", 0)


def test_without_the_volume_it_brings_nothing_and_goes_on(script, tmp_path):
    (tmp_path / "secrets").mkdir()
    said, rest, code = first_line(script, tmp_path / "none", tmp_path / "secrets")
    assert (said.endswith("what was brought before stays\n"), rest, code) == (True, "", 0)
    assert [*(tmp_path / "secrets").iterdir()] == []
