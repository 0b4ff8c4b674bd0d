"""The rule of C2SP tlog-witness, step by step, over a state on disk."""

import threading

import pytest

from audit import cosignature, note
from audit.errors import ConsistencyInvalid, LogUnknown, Malformed, SignatureInvalid, SignatureMissing, SizeConflict
from audit.witness.logs import origin_hash
from tests.witness_log import ED, FORKED, LOG, NOW_S, OTHER, PQ, Begun, tree

pytestmark = pytest.mark.verifies("REQ-WIT-001")

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


# -- what is cosigned


def test_the_first_checkpoint_of_a_log_is_cosigned_from_size_zero(witness):
    cosigned = LOG.signed(5) + witness.add_checkpoint(LOG.body(0, 5))
    assert len(note.open(cosigned, [LOG.signer.verifier, ED.verifier]).verified) == 2


def test_a_cosignature_bears_the_time_of_the_witness(witness):
    cosigned = LOG.signed(5) + witness.add_checkpoint(LOG.body(0, 5))
    (ours,) = note.open(cosigned, [ED.verifier]).verified
    assert cosignature.time_of(ours.signature) == NOW_S


def test_a_witness_with_two_keys_answers_with_a_line_of_each(begin):
    lines = begin(ED, PQ).add_checkpoint(LOG.body(0, 5))
    assert len(note.open(LOG.signed(5) + lines, [ED.verifier, PQ.verifier]).verified) == 2


@pytest.mark.parametrize("old, new", [(1, 2), (4, 5), (5, 5), (5, 64), (31, 33), (63, 64)])
def test_a_checkpoint_that_extends_the_last_one_is_cosigned(witness, old, new):
    witness.add_checkpoint(LOG.body(0, old))
    assert witness.add_checkpoint(LOG.body(old, new)).startswith("\N{EM DASH} witness.example/w1 ")


def test_a_checkpoint_of_the_empty_tree_is_cosigned(witness):
    assert witness.add_checkpoint(LOG.body(0, 0)) != ""


def test_a_log_that_begins_after_its_empty_tree_was_cosigned_needs_no_proof(witness):
    witness.add_checkpoint(LOG.body(0, 0))
    assert witness.add_checkpoint(LOG.body(0, 5)) != ""


def test_two_logs_are_cosigned_each_along_its_own_history(witness):
    witness.add_checkpoint(LOG.body(0, 9))
    assert witness.add_checkpoint(OTHER.body(0, 3)) != ""


def test_the_same_checkpoint_again_is_cosigned_again(witness):
    witness.add_checkpoint(LOG.body(0, 5))
    assert witness.add_checkpoint(LOG.body(5, 5)) != ""


def test_any_key_of_a_log_suffices(begin):
    witness = begin(keys=(LOG.signer.verifier, ROTATED.verifier))
    assert witness.add_checkpoint(LOG.body(0, 5, signed=note.sign(LOG.text(5), [ROTATED]))) != ""


def test_signatures_of_strangers_are_neither_looked_at_nor_kept(witness):
    stranger = note.Signature(name="stranger.example", key_id=b"abcd", signature=b"anything").line
    witness.add_checkpoint(LOG.body(0, 5, signed=LOG.signed(5) + stranger))
    assert b"stranger" not in witness.latest(origin_hash(LOG.origin))


# -- what is refused, in the order of the specification


def test_an_origin_that_is_not_known_is_refused(witness):
    with pytest.raises(LogUnknown):
        witness.add_checkpoint(tree("log.example/unknown").body(0, 5))


def test_an_origin_that_is_not_known_is_refused_whatever_its_sizes(witness):
    with pytest.raises(LogUnknown):
        witness.add_checkpoint(tree("log.example/unknown").body(9, 5, proof=()))


def test_a_checkpoint_that_its_log_did_not_sign_is_refused(witness):
    with pytest.raises(SignatureMissing):
        witness.add_checkpoint(LOG.body(0, 5, signed=note.sign(LOG.text(5), [ROTATED])))


def test_a_checkpoint_with_a_false_signature_of_its_log_is_refused(witness):
    with pytest.raises(SignatureInvalid):
        witness.add_checkpoint(LOG.body(0, 5, signed=LOG.signed(5).replace(LOG.text(5), LOG.text(6))))


def test_a_false_signature_beside_a_good_one_is_refused(witness):
    false = note.Signature(name=LOG.origin, key_id=LOG.signer.verifier.key_hash, signature=bytes(64)).line
    with pytest.raises(SignatureInvalid):
        witness.add_checkpoint(LOG.body(0, 5, signed=LOG.signed(5) + false))


def test_a_key_of_another_log_does_not_sign_for_this_one(witness):
    with pytest.raises(SignatureMissing):
        witness.add_checkpoint(LOG.body(0, 5, signed=note.sign(LOG.text(5), [OTHER.signer])))


def test_a_signature_is_looked_at_before_the_sizes(witness):
    with pytest.raises(SignatureMissing):
        witness.add_checkpoint(LOG.body(9, 5, proof=(), signed=note.sign(LOG.text(5), [ROTATED])))


def test_an_old_size_beyond_the_checkpoint_is_malformed(witness):
    with pytest.raises(Malformed):
        witness.add_checkpoint(LOG.body(6, 5, proof=()))


def test_an_old_size_beyond_the_checkpoint_is_malformed_even_where_it_was_cosigned(witness):
    witness.add_checkpoint(LOG.body(0, 6))
    with pytest.raises(Malformed):
        witness.add_checkpoint(LOG.body(6, 5, proof=()))


@pytest.mark.parametrize("old", [0, 3, 6])
def test_another_old_size_than_the_one_cosigned_last_is_answered_with_it(witness, old):
    witness.add_checkpoint(LOG.body(0, 5))
    assert conflict(witness, LOG.body(old, 9)) == 5


def test_an_old_size_is_compared_before_the_proof_is_looked_at(witness):
    assert conflict(witness, LOG.body(4, 9, proof=(bytes(32),))) == 0


def test_the_empty_tree_with_another_root_is_refused(witness):
    text = LOG.text(0).replace(LOG.text(0).split("\n")[2], LOG.text(1).split("\n")[2])
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(LOG.body(0, 0, signed=note.sign(text, [LOG.signer])))


def test_a_proof_from_size_zero_is_refused(witness):
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(LOG.body(0, 5, proof=(bytes(32),)))


@pytest.mark.parametrize(
    "change", [lambda p: p[:-1], lambda p: (*p, bytes(32)), lambda p: (bytes(32), *p[1:]), lambda p: ()]
)
def test_a_proof_that_does_not_lead_from_one_tree_to_the_other_is_refused(witness, change):
    witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(LOG.body(5, 12, proof=change(LOG.proof(5, 12))))


def test_another_history_of_the_same_log_is_refused(witness):
    witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(FORKED.body(5, 12))


def test_another_root_of_the_same_size_is_refused(witness):
    witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(FORKED.body(5, 5))


def test_the_same_size_with_a_proof_is_refused(witness):
    witness.add_checkpoint(LOG.body(0, 5))
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(LOG.body(5, 5, proof=(bytes(32),)))


# -- what stays


def test_what_was_cosigned_is_served_with_the_signatures_of_both(witness):
    lines = witness.add_checkpoint(LOG.body(0, 5))
    assert witness.latest(origin_hash(LOG.origin)).decode() == LOG.signed(5) + lines


def test_nothing_is_served_of_a_log_that_was_never_cosigned(witness):
    assert witness.latest(origin_hash(LOG.origin)) is None


def test_a_refusal_leaves_what_was_cosigned_as_it_was(witness):
    witness.add_checkpoint(LOG.body(0, 5))
    before = witness.latest(origin_hash(LOG.origin))
    with pytest.raises(ConsistencyInvalid):
        witness.add_checkpoint(FORKED.body(5, 12))
    assert witness.latest(origin_hash(LOG.origin)) == before


def test_an_older_checkpoint_sent_again_does_not_roll_the_log_back(witness):
    old = LOG.body(0, 5)
    witness.add_checkpoint(old)
    witness.add_checkpoint(LOG.body(5, 9))
    assert conflict(witness, old) == 9


def test_a_witness_that_was_started_again_remembers(begin):
    begin().add_checkpoint(LOG.body(0, 5))
    assert conflict(begin(), FORKED.body(0, 7)) == 5


def test_two_processes_on_one_state_see_each_other(begin):
    one, two = begin(), begin()
    one.add_checkpoint(LOG.body(0, 5))
    two.add_checkpoint(LOG.body(5, 9))
    assert conflict(one, LOG.body(5, 12)) == 9


def test_of_many_at_once_that_begin_at_one_size_one_history_is_cosigned(begin):
    witnesses, answers = [begin(), begin()], []
    begin().add_checkpoint(LOG.body(0, 5))
    bodies = [LOG.body(5, size) for size in range(6, 14)] + [FORKED.body(5, size) for size in range(6, 14)]

    def send(at, body):
        try:
            answers.append(witnesses[at % 2].add_checkpoint(body))
        except (SizeConflict, ConsistencyInvalid):
            return

    threads = [threading.Thread(target=send, args=each) for each in enumerate(bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 1
