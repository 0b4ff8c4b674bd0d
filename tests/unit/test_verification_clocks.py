"""A clock that steps back is reported, and hides nothing that comes after it."""

import asyncio

import msgspec
import pytest

from audit import note, verification
from audit.accounts import MAX_FOUND
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from tests.held_anchors import HeldAnchor

SIGNER = note.Signer.generate("log.example/entries", b"\x07" * 32)
LATE_US = 2_000_000_000_000_000


def verified(entries, clocks, *, alter=None):
    """The report on a ledger whose records after record 0 have these clocks; the record at `alter` is altered."""

    async def whole():
        database = MemoryDatabase()
        store = MemoryStore(database)
        await store.append(0, *entries.sent(entries.genesis(verifier_key=str(SIGNER.verifier))))
        made = [entries.request(recorded_at_us=clock) for clock in clocks]
        for first in range(0, len(made), 1000):
            await store.append(1 + first, *entries.sent(*made[first : first + 1000]))
        if alter is not None:
            stored = database.stored[alter]
            database.stored[alter] = msgspec.structs.replace(stored, body=stored.body.replace(b"/health", b"/wealth"))
        return await verification.verify(lambda: MemoryReader(database), SIGNER.verifier, HeldAnchor())

    return asyncio.run(whole())


@pytest.mark.verifies("REQ-AUD-016")
def test_one_step_back_is_one_finding_however_many_records_follow(entries):
    report = verified(entries, [LATE_US, *range(1, 600)])
    assert [(found.fault, found.first) for found in report.found] == [("time", 2)]


@pytest.mark.verifies("REQ-AUD-016")
def test_an_alteration_after_very_many_steps_back_is_still_found(entries):
    clocks = [LATE_US, 1] * (MAX_FOUND + 100)
    report = verified(entries, clocks, alter=len(clocks))
    assert [found.first for found in report.found if found.fault == "record_edited"][:1] == [len(clocks)]


def test_records_that_are_far_apart_in_time_are_no_step_back(entries):
    assert verified(entries, [at * 3_600_000_000 for at in range(1, 600)]).found == ()


@pytest.mark.verifies("REQ-AUD-016")
def test_a_clock_within_the_tolerance_is_no_step_back(entries):
    assert verified(entries, [LATE_US + (at % 2) * 10_000_000 for at in range(600)]).found == ()


@pytest.mark.verifies("REQ-AUD-016")
def test_a_clock_just_beyond_the_tolerance_is_a_step_back(entries):
    assert [found.fault for found in verified(entries, [LATE_US + 10_000_001, LATE_US]).found] == ["time"]
