"""Two histories that were signed for one size are reported, whichever of them the database holds."""

import asyncio

import pytest

from audit import merkle, note, verification
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from tests.held_anchors import HeldAnchor, anchored, signed_by

SIGNER = note.Signer.generate("log.example/entries", b"\x07" * 32)
ELSEWHERE = b"\x01" * 32


def verified(entries, *, roots, published=None):
    """The report on a ledger of two records, held to anchors of its size with `roots` (None: its own)."""

    async def whole():
        database = MemoryDatabase()
        store = MemoryStore(database)
        await store.append(0, *entries.sent(entries.genesis(verifier_key=str(SIGNER.verifier))))
        await store.append(1, *entries.sent(entries.request()))
        own = merkle.frontier_root(2, database.head.frontier)
        if published is not None:
            await store.publish(2, signed_by(SIGNER, 2, published).encode())
        held = HeldAnchor(anchored(signed_by(SIGNER, 2, root or own)) for root in roots)
        return await verification.verify(lambda: MemoryReader(database), SIGNER.verifier, held)

    return asyncio.run(whole())


@pytest.mark.verifies("REQ-AUD-015")
@pytest.mark.parametrize("roots", [[None, ELSEWHERE], [ELSEWHERE, None]], ids=["own first", "own last"])
def test_two_anchors_of_one_size_with_different_roots_are_a_fork(entries, roots):
    report = verified(entries, roots=roots)
    assert (report.exit_code, "forked" in {found.fault for found in report.found}) == (1, True)


@pytest.mark.verifies("REQ-AUD-015")
def test_a_published_checkpoint_with_another_root_than_the_anchor_of_its_size_is_a_fork(entries):
    report = verified(entries, roots=[None], published=ELSEWHERE)
    assert (report.exit_code, "forked" in {found.fault for found in report.found}) == (1, True)


def test_the_same_anchor_twice_is_no_fork(entries):
    report = verified(entries, roots=[None, None])
    assert (report.exit_code, [one for one in report.found if one.altered]) == (0, [])
