"""How far a whole ledger is witnessed, by its stored checkpoints with cosignatures and a policy."""

import asyncio

import pytest

from audit import checkpoint, merkle, note, policy, verification, witnessed
from audit.checkpoint import Checkpoint
from audit.cosignature import ALGORITHM_ML_DSA_44, Cosigner
from audit.errors import SettingInvalid
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.ports import Cosigned

pytestmark = pytest.mark.verifies("REQ-PUB-010")

SIGNER = note.Signer("log.example/entries", b"\x07" * 32)
NEXT = note.Signer("log.example/entries", b"\x08" * 32)
W1, W2, W3 = (Cosigner(f"witness.example/w{at}", bytes([at]) * 32) for at in (1, 2, 3))
ASKED = "".join(f"witness W{at} {one.verifier}\n" for at, one in enumerate((W1, W2, W3), 1))
TWO_OF_THREE = policy.parse(f"log {SIGNER.verifier}\n{ASKED}group g 2 W1 W2 W3\nquorum g\n")
NONE = policy.parse(f"log {SIGNER.verifier}\n{ASKED}quorum none\n")
SIZE = 4


def judged(entries, held, trusted=TWO_OF_THREE, *, verdict=0):
    """Exit code and words for a ledger of four records that verified with `verdict`; `held` makes its cosigned
    checkpoints, oldest first."""

    async def whole():
        database = MemoryDatabase()
        store = MemoryStore(database)
        await store.append(0, *entries.sent(entries.genesis(verifier_key=str(SIGNER.verifier))))
        for at in range(1, SIZE):
            await store.append(at, *entries.sent(entries.request()))
        database.cosigned += [made(database, size, *who, **how) for size, who, how in held]
        report = verification.Report(exit_code=verdict, words="verified", origin="o", size=SIZE, anchored=0, found=())
        return await witnessed.judged(lambda: MemoryReader(database), report, trusted)

    report = asyncio.run(whole())
    return report.exit_code, report.words


def made(database, size, *who, root=None, signer=SIGNER, spoil=lambda signed: signed):
    head = database.head_at(size) if size <= SIZE else None
    root = root or (merkle.frontier_root(size, head.frontier) if head else b"x" * 32)
    text = checkpoint.format(Checkpoint(origin=SIGNER.name, size=size, root=root))
    lines = "".join(cosigner.cosign(text, 1_790_000_000).line for cosigner in who)
    signed = spoil(note.sign(text, [signer]) + lines)
    return Cosigned(size=size, checkpoint=signed.encode(), attested=True, policy=b"", version=1, policy_sha256=b"")


def test_a_ledger_that_enough_have_witnessed_says_how_far(entries):
    code, words = judged(entries, [(4, (W1, W3), {})])
    assert (code, words.endswith("; witnessed by W1, W3 (2 of 3) up to size 4, as the policy asks")) == (0, True)


def test_a_ledger_without_cosigned_checkpoints_does_not_meet_a_quorum(entries):
    code, words = judged(entries, [])
    assert (code, words.endswith("; no checkpoint with cosignatures is stored")) == (3, True)


def test_a_ledger_that_too_few_have_witnessed_says_who_and_who_was_asked_for(entries):
    code, words = judged(entries, [(4, (W2,), {})])
    assert (code, "witnessed by W2 (1 of 3); the policy asks for 2 of W1, W2, W3" in words) == (3, True)


def test_the_largest_checkpoint_that_enough_have_witnessed_counts(entries):
    code, words = judged(entries, [(2, (W1, W2, W3), {}), (3, (W1, W2), {}), (4, (W1,), {})])
    assert (code, "witnessed by W1, W2 (2 of 3) up to size 3" in words) == (0, True)


def test_a_later_version_of_a_checkpoint_counts_with_all_its_cosignatures(entries):
    code, _ = judged(entries, [(4, (W1,), {}), (4, (W1, W2), {})])
    assert code == 0


def test_witnesses_vouch_where_there_is_no_anchor(entries):
    assert judged(entries, [(4, (W1, W2), {})], verdict=3)[0] == 0


def test_without_a_quorum_the_verdict_is_that_of_the_anchors(entries):
    found = [judged(entries, [], NONE, verdict=verdict)[0] for verdict in (0, 3)]
    assert found == [0, 3]


def test_without_a_quorum_it_is_still_told_who_witnessed(entries):
    assert "witnessed by W1 (1 of 3) up to size 4" in judged(entries, [(4, (W1,), {})], NONE)[1]


def test_another_tree_that_was_witnessed_is_a_fork(entries):
    code, words = judged(entries, [(4, (W1, W2), {"root": b"f" * 32})])
    assert (code, "another tree of size 4 was witnessed" in words) == (1, True)


def test_more_records_that_were_witnessed_than_there_are_is_a_loss(entries):
    code, words = judged(entries, [(9, (W1, W2), {})])
    assert (code, "4 records, but 9 were witnessed" in words) == (1, True)


def test_a_stored_cosignature_that_is_false_is_an_alteration(entries):
    spoilt = {"spoil": lambda signed: signed[:-8] + "AAAAAA==\n" if signed.endswith("==\n") else signed[:-4] + "AAA\n"}
    assert judged(entries, [(4, (W1, W2), spoilt)])[0] == 1


def test_a_checkpoint_by_a_key_that_the_policy_does_not_name_is_passed_over(entries):
    code, _ = judged(entries, [(3, (W1, W2), {}), (4, (W1, W2), {"signer": NEXT})])
    assert code == 0


def test_what_was_altered_stays_altered_however_many_witnessed(entries):
    assert judged(entries, [(4, (W1, W2), {})], verdict=1) == (1, "verified")


def test_many_versions_are_looked_through_page_by_page(entries):
    assert judged(entries, [(3, (W1, W2), {}), *[(4, (W1,), {})] * (2 * witnessed.PAGE)])[0] == 0


def first_key(entries, text):
    async def whole():
        database = MemoryDatabase()
        await MemoryStore(database).append(0, *entries.sent(entries.genesis(verifier_key=str(SIGNER.verifier))))
        return await witnessed.first_key(lambda: MemoryReader(database), policy.parse(text))

    return asyncio.run(whole())


@pytest.mark.verifies("REQ-PUB-007")
@pytest.mark.parametrize("keys", [(SIGNER, NEXT), (NEXT, SIGNER)])
def test_of_a_logs_key_history_the_first_is_the_one_that_record_0_names(entries, keys):
    lines = "".join(f"log {key.verifier}\n" for key in keys)
    assert first_key(entries, f"{lines}quorum none\n") == SIGNER.verifier


@pytest.mark.verifies("REQ-PUB-007")
def test_a_policy_of_other_logs_is_found_out_by_its_key(entries):
    assert first_key(entries, f"log {NEXT.verifier}\nquorum none\n") == NEXT.verifier


@pytest.mark.verifies("REQ-PUB-007")
def test_a_policy_without_an_ed25519_key_of_the_log_cannot_be_obeyed(entries):
    second = Cosigner(SIGNER.name, b"m" * 32, ALGORITHM_ML_DSA_44).verifier
    with pytest.raises(SettingInvalid):
        first_key(entries, f"log {second}\nquorum none\n")
