"""Which key signs which sizes: the law that checkpoints, processes and auditors are held to."""

import msgspec
import pytest

from audit import checkpoint, merkle, note, record, rotation
from audit.checkpoint import Checkpoint
from audit.errors import Malformed, SignatureInvalid, SignatureMissing, VerificationFailed
from audit.note import Signer
from audit.record import Continued, Genesis, KeyRotated

ORIGIN = "log.example/keys"
AT = 41


def key(number: int, name: str = ORIGIN) -> Signer:
    return Signer.generate(name, bytes([number]) * 32)


FIRST, SECOND, THIRD = key(1), key(2), key(3)


def genesis_of(signer: Signer, **other) -> Genesis:
    members = {
        "format": record.FORMAT, "event_id": record.new_event_id(), "recorded_at_us": 1, "origin": signer.name,
        "verifier_key": str(signer.verifier), "formats": (record.FORMAT,), "clock_tolerance_us": 10_000_000,
    }  # fmt: skip
    return Genesis(**{**members, **other})


def endorsed(old: Signer, new: Signer) -> KeyRotated:
    return rotation.endorse(old, new, event_id=record.new_event_id(), recorded_at_us=5)


def signed(size: int, *signers: Signer, origin: str = ORIGIN) -> str:
    root = merkle.root([merkle.leaf_hash(b"x")])
    return note.sign(checkpoint.format(Checkpoint(origin=origin, size=size, root=root)), signers)


@pytest.fixture
def begun():
    return rotation.begin(genesis_of(FIRST))


@pytest.fixture
def rotated(begun):
    return begun.rotated(AT, endorsed(FIRST, SECOND))


@pytest.mark.verifies("REQ-KEY-001")
def test_a_log_begins_with_the_key_of_its_record_0(begun):
    assert begun.current.key == FIRST.verifier


@pytest.mark.verifies("REQ-KEY-001")
def test_record_0_must_name_a_key_of_its_own_log():
    with pytest.raises(Malformed):
        rotation.begin(genesis_of(FIRST, origin="log.example/other"))


@pytest.mark.verifies("REQ-KEY-001")
def test_an_endorsed_key_is_the_current_one_afterwards(rotated):
    assert rotated.current.key == SECOND.verifier


@pytest.mark.verifies("REQ-KEY-001")
@pytest.mark.parametrize(("size", "signer"), [(1, FIRST), (AT, FIRST), (AT + 1, FIRST), (AT + 2, SECOND)])
def test_the_old_key_signs_up_to_the_tree_that_ends_with_the_rotation_and_the_new_one_beyond(rotated, size, signer):
    assert rotated.of_size(size).key == signer.verifier


@pytest.mark.verifies("REQ-KEY-001")
@pytest.mark.parametrize(("size", "signer"), [(7, FIRST), (AT + 1, FIRST), (AT + 2, SECOND), (1_000_000, SECOND)])
def test_a_checkpoint_by_the_key_of_its_size_opens(rotated, size, signer):
    assert rotated.open(signed(size, signer)).size == size


@pytest.mark.verifies("REQ-KEY-001")
@pytest.mark.parametrize(("size", "signer"), [(AT + 2, FIRST), (AT + 1, SECOND), (1, SECOND)])
def test_a_checkpoint_by_another_key_of_the_log_does_not_open(rotated, size, signer):
    with pytest.raises(VerificationFailed, match="another key"):
        rotated.open(signed(size, signer))


@pytest.mark.verifies("REQ-KEY-001")
def test_a_checkpoint_by_a_key_that_nothing_endorses_does_not_open(rotated):
    with pytest.raises(SignatureMissing):
        rotated.open(signed(AT + 2, THIRD))


@pytest.mark.verifies("REQ-KEY-001")
def test_a_checkpoint_of_another_log_does_not_open(rotated):
    with pytest.raises(VerificationFailed, match=r"log\.example/other"):
        rotated.open(signed(AT + 2, SECOND, origin="log.example/other"))


@pytest.mark.verifies("REQ-KEY-001")
def test_a_checkpoint_of_no_record_at_all_does_not_open(rotated):
    with pytest.raises(VerificationFailed):
        rotated.open(signed(0, FIRST))


@pytest.mark.verifies("REQ-KEY-001")
def test_a_third_key_follows_the_second_by_the_same_law(rotated):
    twice = rotated.rotated(90, endorsed(SECOND, THIRD))
    assert [(epoch.after, epoch.upto) for epoch in twice.epochs] == [(0, AT + 1), (AT + 1, 91), (91, None)]


@pytest.mark.verifies("REQ-KEY-001")
def test_a_rotation_by_a_retired_key_rotates_nothing(rotated):
    with pytest.raises(VerificationFailed, match="not this log's at that moment"):
        rotated.rotated(90, endorsed(FIRST, THIRD))


@pytest.mark.verifies("REQ-KEY-001")
def test_an_endorsement_cannot_be_used_a_second_time(begun, rotated):
    with pytest.raises(VerificationFailed):
        rotated.rotated(90, endorsed(FIRST, SECOND))


@pytest.mark.verifies("REQ-KEY-001")
def test_a_key_never_comes_back(rotated):
    with pytest.raises(VerificationFailed, match="never comes back"):
        rotated.rotated(90, endorsed(SECOND, FIRST))


@pytest.mark.verifies("REQ-KEY-001")
def test_a_rotation_of_another_log_rotates_nothing(begun):
    with pytest.raises(VerificationFailed):
        begun.rotated(AT, endorsed(key(1, "log.example/other"), key(2, "log.example/other")))


@pytest.mark.verifies("REQ-KEY-001")
def test_a_new_key_of_another_name_rotates_nothing(begun):
    with pytest.raises(VerificationFailed, match="named"):
        begun.rotated(AT, endorsed(FIRST, key(2, "log.example/other")))


@pytest.mark.verifies("REQ-KEY-001")
def test_whoever_can_only_write_records_cannot_rotate(begun):
    """The signature of the old key is what makes the record count, not its place in the ledger."""
    forged = msgspec.structs.replace(endorsed(SECOND, SECOND), old_key=str(FIRST.verifier))
    with pytest.raises(SignatureInvalid):
        begun.rotated(AT, forged)


@pytest.mark.verifies("REQ-KEY-001")
def test_a_new_key_that_nobody_has_shown_to_hold_rotates_nothing(begun):
    unheld = msgspec.structs.replace(endorsed(FIRST, SECOND), new_key=str(THIRD.verifier))
    with pytest.raises(SignatureInvalid):
        begun.rotated(AT, unheld)


@pytest.mark.verifies("REQ-KEY-001")
@pytest.mark.parametrize("member", ["event_id", "recorded_at_us"])
def test_every_other_member_of_the_record_is_signed_as_well(begun, member):
    other = {"event_id": record.new_event_id(), "recorded_at_us": 6}[member]
    changed = msgspec.structs.replace(endorsed(FIRST, SECOND), **{member: other})
    with pytest.raises(SignatureInvalid):
        begun.rotated(AT, changed)


@pytest.mark.verifies("REQ-KEY-001")
def test_an_endorsement_is_the_text_of_a_signed_note_and_never_of_a_checkpoint():
    text = rotation.rotation_text(endorsed(FIRST, SECOND)).decode()
    assert note.open(note.sign(text, (FIRST,)), (FIRST.verifier,)).text == text
    with pytest.raises(Malformed):
        checkpoint.parse(text)


def continuing(signer: Signer = SECOND) -> Genesis:
    named = Continued(
        origin=ORIGIN, verifier_key=str(FIRST.verifier), reason="truncated", size=3, root="0" * 64, anchored_size=5,
        anchored_root="1" * 64, lost_first=3, lost_end=5,
    )  # fmt: skip
    return genesis_of(signer, continues=named)


@pytest.mark.verifies("REQ-KEY-001")
def test_a_new_log_that_the_old_key_has_signed_for_is_endorsed():
    assert rotation.require_endorsed(rotation.endorse_continuation(FIRST, continuing())) is None


@pytest.mark.verifies("REQ-KEY-001")
def test_a_new_log_that_nobody_has_signed_for_is_not_endorsed():
    with pytest.raises(VerificationFailed):
        rotation.require_endorsed(continuing())


@pytest.mark.verifies("REQ-KEY-001")
def test_another_new_log_cannot_take_the_endorsement_over():
    made = rotation.endorse_continuation(FIRST, continuing()).continues
    with pytest.raises(SignatureInvalid):
        rotation.require_endorsed(genesis_of(THIRD, continues=made))


def test_a_record_0_from_before_logs_could_continue_others_is_read_as_it_was():
    body = (
        b'{"clock_tolerance_us":10000000,"event_id":"3f2b8a54-1111-4c7d-9b0a-222222222222","format":"medai.record/1",'
        b'"formats":["medai.record/1"],"kind":"genesis","origin":"log.example/keys","recorded_at_us":1,'
        b'"verifier_key":"log.example/keys+00000000+AAAA"}'
    )
    entry = record.decode(body)
    assert isinstance(entry, Genesis)
    assert (entry.continues, record.encode(entry)) == (None, body)
