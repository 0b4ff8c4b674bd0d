"""What a policy says of a checkpoint with cosignatures, and what is made of a round of it."""

import pytest

from audit import attestation, checkpoint, note
from audit.checkpoint import Checkpoint
from audit.errors import Malformed, SettingInvalid
from audit.publishing_rounds import Round
from tests.publishing_fakes import policy_of
from tests.witness_fakes import FakeWitness

pytestmark = pytest.mark.verifies("REQ-PUB-007")

ORIGIN = "log.example/judged"
LOG = note.Signer.generate(ORIGIN, bytes(range(32)))
TEXT = checkpoint.format(Checkpoint(origin=ORIGIN, size=5, root=bytes(32)))
SIGNED = note.sign(TEXT, [LOG])
WITNESSES = {name: FakeWitness(name.lower(), seed) for seed, name in enumerate("ABC", start=1)}


def adopted(quorum=2, policy=None):
    return attestation.adopt((policy or policy_of(WITNESSES, quorum)).encode(), [LOG.verifier])


def line(name, time_s=7):
    return WITNESSES[name].cosigner.cosign(TEXT, time_s)


def round_of(quorum=2, waiting="ABC"):
    return Round(5, SIGNED, adopted(quorum), waiting)


def names(cosigned):
    return [signature.name for signature in note.split(cosigned.checkpoint)[1]]


def test_a_policy_that_names_no_log_is_for_the_log_that_adopts_it():
    assert adopted().policy.logs == (LOG.verifier,)


def test_a_policy_that_names_the_log_is_taken_at_its_word():
    text = f"log {LOG.verifier}\n{policy_of(WITNESSES, 1)}"
    assert adopted(policy=text).policy.logs == (LOG.verifier,)


def test_a_policy_for_another_log_cannot_be_obeyed():
    other = note.Signer.generate("log.example/other", bytes(32))
    with pytest.raises(SettingInvalid, match="none of its logs"):
        adopted(policy=f"log {other.verifier}\nquorum none\n")


def test_what_is_no_policy_is_malformed():
    with pytest.raises(Malformed):
        adopted(policy="quorum\n")


def test_a_policy_that_the_database_would_not_take_cannot_be_obeyed():
    with pytest.raises(SettingInvalid, match="at most"):
        adopted(policy="#" * attestation.MAX_POLICY_BYTES + "\nquorum none\n")


def test_as_many_cosignatures_as_are_asked_for_attest():
    signed = SIGNED + line("A").line + line("C").line
    assert attestation.judge(signed, adopted().policy).attested


def test_too_few_cosignatures_do_not_attest():
    assert not attestation.judge(SIGNED + line("A").line, adopted().policy).attested


def test_a_policy_that_asks_for_none_attests_nothing():
    policy = adopted(policy=policy_of(WITNESSES, 1).replace("quorum G", "quorum none")).policy
    assert not attestation.judge(SIGNED + line("A").line, policy).attested


@pytest.mark.verifies("REQ-PUB-006")
def test_a_round_without_a_cosignature_has_nothing_to_store():
    assert round_of(waiting="").due() is None


@pytest.mark.verifies("REQ-PUB-006")
def test_a_round_is_stored_as_soon_as_the_quorum_is_met():
    made = round_of()
    made.add([line("A"), line("B")])
    due = made.due()
    assert due is not None
    assert due.attested


@pytest.mark.verifies("REQ-PUB-006")
def test_a_round_without_a_quorum_waits_for_those_that_have_not_answered():
    made = round_of()
    made.add([line("A")])
    assert made.due() is None


@pytest.mark.verifies("REQ-PUB-006")
def test_a_round_without_a_quorum_is_stored_when_everybody_has_answered():
    made = round_of()
    made.add([line("A")])
    made.waiting.clear()
    due = made.due()
    assert due is not None
    assert not due.attested


@pytest.mark.verifies("REQ-PUB-006")
def test_what_is_stored_is_not_due_again():
    made = round_of(waiting="")
    made.add([line("A")])
    due = made.due()
    assert due is not None
    made.kept(due)
    assert made.due() is None


@pytest.mark.verifies("REQ-PUB-006")
def test_a_further_cosignature_is_stored_once_nobody_is_waited_for():
    made = round_of()
    made.add([line("A"), line("B")])
    due = made.due()
    assert due is not None
    made.kept(due)
    made.add([line("C")])
    assert made.due() is None
    made.waiting.clear()
    due = made.due()
    assert due is not None
    assert len(names(due)) == 4


@pytest.mark.verifies("REQ-PUB-006")
def test_cosignatures_stand_in_the_policy_s_order_whoever_came_first():
    made = round_of(waiting="")
    for name in "CAB":
        made.add([line(name)])
    due = made.due()
    assert due is not None
    assert names(due) == [ORIGIN, "a.example/witness", "b.example/witness", "c.example/witness"]


@pytest.mark.verifies("REQ-PUB-006")
def test_a_second_cosignature_of_one_key_does_not_replace_the_first():
    made = round_of(waiting="")
    made.add([line("A", time_s=7)])
    made.add([line("A", time_s=8)])
    due = made.due()
    assert due is not None
    assert due.checkpoint.decode() == SIGNED + line("A", time_s=7).line


@pytest.mark.verifies("REQ-PUB-006")
def test_a_cosignature_by_a_key_that_the_policy_lacks_is_not_kept():
    made = round_of(waiting="")
    made.add([FakeWitness("d", 9).cosigner.cosign(TEXT, 7)])
    assert made.due() is None


def test_a_policy_by_whose_logs_the_checkpoint_is_not_signed_is_a_setting_that_cannot_be_obeyed():
    retired = note.Signer.generate(ORIGIN, bytes(32))
    text = f"log {retired.verifier}\n{policy_of(WITNESSES, 1)}"
    with pytest.raises(SettingInvalid, match="not one of its logs"):
        attestation.require_log(SIGNED, adopted(policy=text))


def test_a_checkpoint_that_nobody_cosigned_yet_is_one_of_the_policy_s_log_all_the_same():
    assert attestation.require_log(SIGNED, adopted()) is None
