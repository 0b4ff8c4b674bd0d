"""What a witness answers again, what it keeps as evidence, and when it cosigns nothing."""

import pytest

from audit import cosignature, note
from audit.errors import Altered, ConsistencyInvalid, SignatureMissing, SizeConflict, WitnessBusy, WitnessUnavailable
from audit.witness import folder
from audit.witness.logs import origin_hash
from tests.witness_log import ED, FORKED, LOG, NOW_S, OTHER, Begun

pytestmark = pytest.mark.verifies("REQ-WIT-001", "REQ-WIT-002")

ROTATED = note.Signer(LOG.origin, b"r" * 32)


@pytest.fixture
def begin(tmp_path):
    return Begun(tmp_path / "state")


@pytest.fixture
def witness(begin):
    return begin()


def conflict(witness, body):
    with pytest.raises(SizeConflict) as raised:
        witness.add_checkpoint(body)
    return raised.value.size


def kept(tmp_path, kind, log=LOG):
    at = tmp_path / "state" / kind / origin_hash(log.origin)
    return sorted(path.name.partition("-")[0] for path in at.iterdir()) if at.exists() else []


# -- the same again, by whoever


def test_what_was_cosigned_just_now_is_answered_again_without_a_write(begin, tmp_path):
    witness = begin(fresh_s=10)
    lines, path = witness.add_checkpoint(LOG.body(0, 5)), tmp_path / "state" / f"{origin_hash(LOG.origin)}.checkpoint"
    before = path.stat().st_ino
    begin.now_s += 9
    assert (witness.add_checkpoint(LOG.body(5, 5)), path.stat().st_ino) == (lines, before)


def test_what_was_cosigned_a_while_ago_is_cosigned_anew(begin):
    witness = begin(fresh_s=10)
    witness.add_checkpoint(LOG.body(0, 5))
    begin.now_s += 10
    (ours,) = note.open(LOG.signed(5) + witness.add_checkpoint(LOG.body(5, 5)), [ED.verifier]).verified
    assert cosignature.time_of(ours.signature) == NOW_S + 10


def test_what_another_process_cosigned_is_cosigned_anew(begin, tmp_path):
    begin(fresh_s=10).add_checkpoint(LOG.body(0, 5))
    path = tmp_path / "state" / f"{origin_hash(LOG.origin)}.checkpoint"
    before = path.stat().st_ino
    begin(fresh_s=10).add_checkpoint(LOG.body(5, 5))
    assert path.stat().st_ino != before


def test_the_same_tree_with_another_text_is_cosigned_anew(begin):
    witness = begin(fresh_s=10)
    witness.add_checkpoint(LOG.body(0, 5))
    text = LOG.text(5) + "more\n"
    lines = witness.add_checkpoint(LOG.body(5, 5, signed=note.sign(text, [LOG.signer])))
    assert note.open(f"{text}\n{lines}", [ED.verifier]).text == text


def test_the_same_again_takes_nothing_of_what_the_log_may_send(begin):
    left = [1]
    witness = begin(fresh_s=10, admits=lambda _: bool(left and left.pop()))
    witness.add_checkpoint(LOG.body(0, 5))
    assert witness.add_checkpoint(LOG.body(5, 5)) != ""


def test_a_log_that_sends_too_many_is_told_so_and_nothing_changes(begin):
    left = [1]
    witness = begin(admits=lambda _: bool(left and left.pop()))
    witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(WitnessBusy):
        witness.add_checkpoint(LOG.body(5, 9))
    assert conflict(witness, LOG.body(9, 9)) == 5


# -- evidence


def test_two_signed_roots_of_one_size_are_kept_as_evidence(witness, tmp_path):
    witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(FORKED.body(5, 5))
    assert kept(tmp_path, "forked") == ["5"]


def test_the_evidence_is_the_note_that_the_log_signed(witness, tmp_path):
    witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(FORKED.body(5, 5))
    (path,) = (tmp_path / "state" / "forked" / origin_hash(LOG.origin)).iterdir()
    assert path.read_text("utf-8") == FORKED.signed(5)


def test_checkpoints_whose_proof_is_wrong_are_kept_apart_and_not_without_end(witness, tmp_path):
    witness.add_checkpoint(LOG.body(0, 5))
    for size in (7, 8, 9, 10):
        with pytest.raises(ConsistencyInvalid):
            witness.add_checkpoint(FORKED.body(5, size))
    assert (kept(tmp_path, "unproven"), kept(tmp_path, "forked")) == (["7", "8"], [])


def test_nothing_that_the_log_did_not_sign_is_kept(witness, tmp_path):
    witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(SignatureMissing):
        witness.add_checkpoint(FORKED.body(5, 5, signed=note.sign(FORKED.text(5), [ROTATED])))
    assert (kept(tmp_path, "unproven"), kept(tmp_path, "forked")) == ([], [])


# -- when nothing can be cosigned


def test_a_clock_that_went_back_a_little_repeats_the_last_time(begin, witness):
    witness.add_checkpoint(LOG.body(0, 5))
    begin.now_s -= 60
    lines = witness.add_checkpoint(LOG.body(5, 9))
    (ours,) = note.open(LOG.signed(9) + lines, [ED.verifier]).verified
    assert cosignature.time_of(ours.signature) == NOW_S


def test_a_clock_that_went_back_further_cosigns_nothing(begin, witness):
    witness.add_checkpoint(LOG.body(0, 5))
    begin.now_s -= 61
    with pytest.raises(WitnessUnavailable):
        witness.add_checkpoint(LOG.body(5, 9))


def test_a_state_that_was_edited_cosigns_nothing(witness, tmp_path):
    witness.add_checkpoint(LOG.body(0, 5))
    path = tmp_path / "state" / f"{origin_hash(LOG.origin)}.checkpoint"
    path.write_text(path.read_text("utf-8").replace("\n5\n", "\n4\n"), "utf-8")
    with pytest.raises(Altered):
        witness.add_checkpoint(LOG.body(4, 9))


def test_a_state_that_was_replaced_by_another_logs_cosigns_nothing(witness, tmp_path):
    witness.add_checkpoint(LOG.body(0, 5))
    witness.add_checkpoint(OTHER.body(0, 3))
    theirs, ours = (tmp_path / "state" / f"{origin_hash(log.origin)}.checkpoint" for log in (OTHER, LOG))
    ours.write_bytes(theirs.read_bytes())
    with pytest.raises(Altered):
        witness.add_checkpoint(LOG.body(3, 9))


def test_a_log_that_another_process_works_on_too_long_is_told_to_try_again(begin, tmp_path):
    witness = begin(lock_deadline_ms=20)
    state = folder.open_state(tmp_path / "state", [ED.verifier], lock_deadline_ms=20)
    with state.locked(origin_hash(LOG.origin)), pytest.raises(WitnessUnavailable):
        witness.add_checkpoint(LOG.body(0, 5))


def test_one_log_does_not_wait_for_another(begin, tmp_path):
    witness = begin(lock_deadline_ms=20)
    state = folder.open_state(tmp_path / "state", [ED.verifier], lock_deadline_ms=20)
    with state.locked(origin_hash(OTHER.origin)):
        assert witness.add_checkpoint(LOG.body(0, 5)) != ""
