"""A key history as a file: what it proves to whoever trusts one key, and what it does not."""

import msgspec
import pytest

from audit import checkpoint, key_chain, merkle, note, policy, receipt, record, rotation
from audit.checkpoint import Checkpoint
from audit.errors import InclusionInvalid, Malformed, SignatureInvalid, SignatureMissing, VerificationFailed
from audit.key_chain import KeyChain
from audit.note import Signer
from audit.record import Genesis
from audit.rotation import KeyHistory

pytestmark = pytest.mark.verifies("REQ-KEY-003")

ORIGIN = "log.example/chain"
KEYS = [Signer.generate(ORIGIN, bytes([number]) * 32) for number in (1, 2, 3, 4)]


def rotation_of(old: Signer, new: Signer) -> bytes:
    return record.encode(rotation.endorse(old, new, event_id=record.new_event_id(), recorded_at_us=9))


def receipt_of(index: int, body: bytes, signer: Signer) -> str:
    """The receipt of record `index`, the last of its tree."""
    leaves = [merkle.leaf_hash(b"other %d" % at) for at in range(index)] + [merkle.leaf_hash(body)]
    text = checkpoint.format(Checkpoint(origin=ORIGIN, size=index + 1, root=merkle.root(leaves)))
    tree = merkle.BatchTree(0, (), tuple(leaves))
    proof = receipt.Receipt(index=index, path=tree.path(index), checkpoint=note.sign(text, (signer,)), extra=body)
    return receipt.format(proof)


@pytest.fixture
def chain() -> KeyChain:
    receipts = (
        receipt_of(5, rotation_of(KEYS[0], KEYS[1]), KEYS[0]),
        receipt_of(9, rotation_of(KEYS[1], KEYS[2]), KEYS[1]),
    )
    return KeyChain(origin=ORIGIN, first_key=str(KEYS[0].verifier), receipts=receipts)


def begun() -> KeyHistory:
    return rotation.begin(
        Genesis(
            format=record.FORMAT,
            event_id=record.new_event_id(),
            recorded_at_us=1,
            origin=ORIGIN,
            verifier_key=str(KEYS[0].verifier),
            formats=(record.FORMAT,),
            clock_tolerance_us=1,
        )
    )


def test_from_the_first_key_every_later_one_follows(chain):
    assert key_chain.verify(chain, KEYS[0].verifier).verifiers == tuple(key.verifier for key in KEYS[:3])


def test_from_a_later_key_only_those_after_it_follow(chain):
    assert key_chain.verify(chain, KEYS[1].verifier).verifiers == (KEYS[1].verifier, KEYS[2].verifier)


def test_from_the_last_key_none_follows(chain):
    assert key_chain.verify(chain, KEYS[2].verifier).verifiers == (KEYS[2].verifier,)


def test_from_a_key_that_it_does_not_name_nothing_follows(chain):
    with pytest.raises(VerificationFailed):
        key_chain.verify(chain, KEYS[3].verifier)


def test_the_history_of_a_chain_has_the_sizes_of_the_ledgers_own(chain):
    found = key_chain.verify(chain, KEYS[0].verifier)
    assert [(epoch.after, epoch.upto) for epoch in found.epochs] == [(0, 6), (6, 10), (10, None)]


def test_a_file_is_read_back_as_it_was_written(chain):
    assert key_chain.decode(key_chain.encode(chain)) == chain


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"format":"medai.key_chain/2"}', b"\xff"])
def test_what_is_no_chain_is_malformed(body):
    with pytest.raises(Malformed):
        key_chain.decode(body)


def test_a_rotation_in_a_tree_that_another_key_signed_does_not_count(chain):
    forged = receipt_of(5, rotation_of(KEYS[0], KEYS[1]), KEYS[3])
    with pytest.raises(SignatureMissing):
        key_chain.verify(msgspec.structs.replace(chain, receipts=(forged,)), KEYS[0].verifier)


def test_a_rotation_that_the_old_key_did_not_sign_does_not_count(chain):
    entry = msgspec.structs.replace(record.decode(rotation_of(KEYS[3], KEYS[1])), old_key=str(KEYS[0].verifier))
    forged = receipt_of(5, record.encode(entry), KEYS[0])
    with pytest.raises(SignatureInvalid):
        key_chain.verify(msgspec.structs.replace(chain, receipts=(forged,)), KEYS[0].verifier)


def test_a_rotation_that_is_not_in_the_signed_tree_does_not_count(chain):
    honest = receipt.parse(chain.receipts[0])
    moved = msgspec.structs.replace(honest, extra=rotation_of(KEYS[0], KEYS[1]))
    with pytest.raises(InclusionInvalid):
        key_chain.verify(msgspec.structs.replace(chain, receipts=(receipt.format(moved),)), KEYS[0].verifier)


def test_a_chain_with_a_link_taken_out_does_not_hold(chain):
    broken = msgspec.structs.replace(chain, receipts=chain.receipts[1:])
    with pytest.raises(VerificationFailed):
        key_chain.verify(broken, KEYS[0].verifier)


def test_a_receipt_of_another_kind_of_record_is_no_link(chain, entries):
    other = receipt_of(5, record.encode(entries.request()), KEYS[0])
    with pytest.raises(Malformed):
        key_chain.verify(msgspec.structs.replace(chain, receipts=(other,)), KEYS[0].verifier)


def test_the_policy_trusts_every_key_of_the_history(chain):
    found = policy.parse(key_chain.policy([key_chain.verify(chain, KEYS[0].verifier)]) + "quorum none\n")
    assert [str(log) for log in found.logs] == [str(key.verifier) for key in KEYS[:3]]


def test_each_key_is_shown_with_the_records_that_it_was_first_to_cover(chain):
    shown = key_chain.lines(key_chain.verify(chain, KEYS[0].verifier))
    assert [line.partition("  ")[2] for line in shown] == ["records 0 to 5", "records 6 to 9", "records from 10"]


def test_a_log_that_was_never_rotated_has_one_line():
    assert key_chain.lines(begun()) == [f"{KEYS[0].verifier}  records from 0"]
