"""What a witness keeps, and what a crash at each step of it leaves behind."""

import os

import pytest

from audit import note
from audit.cosignature import ALGORITHM_ML_DSA_44, Cosigner
from audit.errors import Altered, SettingInvalid, WitnessUnavailable
from audit.witness import folder
from audit.witness.logs import Log, origin_hash
from audit.witness.witness import Witness
from tests.witness_log import tree

pytestmark = pytest.mark.verifies("REQ-WIT-002")

LOG = tree()
HASH = origin_hash(LOG.origin)
ED = Cosigner("witness.example/w1", b"1" * 32)
PQ = Cosigner("witness.example/w1", b"2" * 32, ALGORITHM_ML_DSA_44)


class Killed(BaseException):
    """The process ends here; nothing after it happens."""


@pytest.fixture
def state(tmp_path):
    folder.create_state(tmp_path, [ED.verifier])
    return tmp_path


def opened(state, *keys):
    return folder.open_state(state, keys or [ED.verifier], lock_deadline_ms=1_000)


def witness(state):
    logs = {LOG.origin: Log(origin=LOG.origin, keys=(LOG.signer.verifier,))}
    return Witness(
        logs, [ED], opened(state), lambda: 1_790_000_000, lambda _: True,
        clock_tolerance_s=0, max_kept_conflicts=1, fresh_s=0,
    )  # fmt: skip


def dying(monkeypatch, name, *, after):
    """`os.NAME` kills the process, before or after it does its work."""
    real = getattr(os, name)

    def die(*arguments):
        if after:
            real(*arguments)
        raise Killed

    monkeypatch.setattr(os, name, die)


def test_a_state_without_its_first_file_is_not_used(tmp_path):
    with pytest.raises(SettingInvalid, match="would sign a second history"):
        opened(tmp_path)


def test_a_state_that_is_not_there_is_not_used(tmp_path):
    with pytest.raises(SettingInvalid):
        opened(tmp_path / "nowhere")


def test_a_state_of_another_key_is_not_used(state):
    with pytest.raises(SettingInvalid, match="not that of the key"):
        opened(state, Cosigner("witness.example/w1", b"x" * 32).verifier)


def test_a_state_of_another_version_is_not_used(state):
    (state / "witness").write_text(f"medai.witness/2\n{ED.verifier}\n", "utf-8")
    with pytest.raises(SettingInvalid):
        opened(state)


def test_a_key_that_is_added_later_uses_the_same_state(state):
    witness(state).add_checkpoint(LOG.body(0, 5))
    folder.create_state(state, [ED.verifier, PQ.verifier])
    assert opened(state, ED.verifier, PQ.verifier).latest(HASH).checkpoint.size == 5


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\n5\n", "\n6\n"),
        lambda text: text.partition("\N{EM DASH} witness")[0],
        lambda text: text[:40],
        lambda text: "",
        lambda text: "\x00" * len(text),
    ],
    ids=["size", "our-signature", "cut", "empty", "zeros"],
)
def test_a_checkpoint_that_we_did_not_write_keeps_the_witness_from_starting(state, spoil):
    witness(state).add_checkpoint(LOG.body(0, 5))
    path = state / f"{HASH}.checkpoint"
    path.write_text(spoil(path.read_text("utf-8")), "utf-8")
    with pytest.raises(Altered):
        opened(state)


def test_a_checkpoint_under_another_name_keeps_the_witness_from_starting(state):
    witness(state).add_checkpoint(LOG.body(0, 5))
    (state / f"{HASH}.checkpoint").rename(state / f"{'0' * 64}.checkpoint")
    with pytest.raises(Altered):
        opened(state)


def test_only_the_owner_reads_the_state(state):
    witness(state).add_checkpoint(LOG.body(0, 5))
    assert (state / f"{HASH}.checkpoint").stat().st_mode & 0o777 == 0o600


# -- a crash at each step


@pytest.mark.parametrize("step, after", [("fsync", False), ("fsync", True), ("replace", False)])
def test_a_crash_before_the_replacement_leaves_the_old_checkpoint(state, monkeypatch, step, after):
    witness(state).add_checkpoint(LOG.body(0, 5))
    with monkeypatch.context() as patched:
        dying(patched, step, after=after)
        with pytest.raises(Killed):
            witness(state).add_checkpoint(LOG.body(5, 9))
    assert opened(state).latest(HASH).checkpoint.size == 5


def test_a_crash_after_the_replacement_leaves_the_new_checkpoint(state, monkeypatch):
    witness(state).add_checkpoint(LOG.body(0, 5))
    with monkeypatch.context() as patched:
        dying(patched, "replace", after=True)
        with pytest.raises(Killed):
            witness(state).add_checkpoint(LOG.body(5, 9))
    assert opened(state).latest(HASH).checkpoint.size == 9


@pytest.mark.parametrize("step, after, size", [("fsync", True, 5), ("replace", False, 5), ("replace", True, 9)])
def test_after_a_crash_the_log_goes_on_from_what_is_left(state, monkeypatch, step, after, size):
    witness(state).add_checkpoint(LOG.body(0, 5))
    with monkeypatch.context() as patched:
        dying(patched, step, after=after)
        with pytest.raises(Killed):
            witness(state).add_checkpoint(LOG.body(5, 9))
    lines = witness(state).add_checkpoint(LOG.body(size, 9))
    assert note.open(LOG.signed(9) + lines, [ED.verifier]).text == LOG.text(9)


def test_a_crash_lets_go_of_the_lock(state, monkeypatch):
    with monkeypatch.context() as patched:
        dying(patched, "replace", after=False)
        with pytest.raises(Killed):
            witness(state).add_checkpoint(LOG.body(0, 5))
    with opened(state).locked(HASH):
        assert True


def test_what_is_answered_was_synced_and_then_put_in_its_place_and_the_folder_synced(state, monkeypatch):
    seen = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *arguments, name=name, real=real: (seen.append(name), real(*arguments))[1])
    witness(state).add_checkpoint(LOG.body(0, 5))
    assert seen == ["fsync", "replace", "fsync"]


# -- a disk that refuses


def failing(monkeypatch, name):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_cannot_be_persisted_is_not_cosigned(state, monkeypatch, step):
    failing(monkeypatch, step)
    with pytest.raises(WitnessUnavailable):
        witness(state).add_checkpoint(LOG.body(0, 5))


def test_a_disk_that_refused_once_is_not_trusted_again(state, monkeypatch):
    broken = witness(state)
    with monkeypatch.context() as patched:
        failing(patched, "fsync")
        with pytest.raises(WitnessUnavailable):
            broken.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(WitnessUnavailable):
        broken.add_checkpoint(LOG.body(0, 5))


def test_a_witness_that_is_started_again_after_its_disk_was_mended_goes_on(state, monkeypatch):
    with monkeypatch.context() as patched:
        failing(patched, "fsync")
        with pytest.raises(WitnessUnavailable):
            witness(state).add_checkpoint(LOG.body(0, 5))
    assert witness(state).add_checkpoint(LOG.body(0, 5)) != ""


def test_evidence_that_cannot_be_kept_changes_nothing_in_the_refusal(state, monkeypatch):
    one = witness(state)
    one.add_checkpoint(LOG.body(0, 5))
    (state / "forked").write_text("in the way", "utf-8")
    with pytest.raises(Exception, match="two roots"):
        one.add_checkpoint(tree(salt="forked").body(5, 5))
