"""Who publishes: one of all, for as long as the lease lasts, and another afterwards."""

import asyncio
from uuid import uuid4

import msgspec
import pytest

from audit.errors import LeaseLost, LedgerUnavailable
from audit.memory import MemoryStore
from audit.publishing import NAME
from tests.ledger_fakes import until
from tests.publishing_fakes import QUICK, FakeAnchor, Watched, policy_of, publishing
from tests.witness_fakes import TEXT

pytestmark = pytest.mark.verifies("REQ-PUB-001")

SLOW = msgspec.structs.replace(QUICK, witness_timeout_ms=60_000, blob_deadline_ms=60_000)


def test_of_two_publishers_at_once_one_leads(published, witnesses):
    async def test(log):
        watched = Watched()
        both = [log.publisher(policy=policy_of(witnesses, 3), watched=watched) for _ in range(2)]
        async with publishing(*both):
            await until(lambda: watched.met == [1])
            size = await log.grow()
            await until(lambda: watched.met == [1, size])
        assert watched.codes.count("publisher_leads") == 1

    published(test)


def test_a_leader_that_stops_lets_another_lead_at_once(published):
    async def test(log):
        first, second = FakeAnchor(), FakeAnchor()
        log.database.now_ms = lambda: 0  # no lease ever ends by itself
        async with publishing(log.publisher(anchors={"first": first})):
            await until(lambda: first.put_sizes == [1])
        async with publishing(log.publisher(anchors={"second": second})):
            await until(lambda: second.put_sizes == [1])

    published(test)


def test_when_a_leader_is_killed_another_leads_once_its_lease_has_ended(published):
    async def test(log):
        killed = log.publisher(anchors={"first": FakeAnchor()})
        term = await killed.take()
        assert term is not None
        now, watched = log.database.now_ms(), Watched()
        log.database.now_ms = lambda: now
        async with publishing(log.publisher(anchors={"second": FakeAnchor()}, watched=watched)):
            await asyncio.sleep(0.5)
            assert watched.codes == []
            now += QUICK.lease_ms
            await until(lambda: watched.held == {"second": 1})

    published(test)


class Deaf(MemoryStore):
    """A store whose leases nobody can renew, as in a process that is cut off from the database."""

    cut_off = False

    async def lease(self, name, holder, ttl_ms):
        if self.cut_off:
            raise LedgerUnavailable("cut off")
        return await super().lease(name, holder, ttl_ms)


def test_a_leader_that_cannot_renew_its_lease_stops_by_its_own_clock(published):
    async def test(log):
        store = Deaf(log.database)
        made = log.publisher(anchors={"container": FakeAnchor()}, store=store)
        term = await made.take()
        assert term is not None
        store.cut_off = True
        await made.lead(term)
        with pytest.raises(LeaseLost):
            term.require()

    published(test)


def test_what_a_witness_answers_after_the_lease_was_lost_is_stored_by_nobody(published, witnesses):
    async def test(log):
        store = Deaf(log.database)
        for witness in witnesses.values():
            witness.silent.set()
        made = log.publisher(policy=policy_of(witnesses, 2), store=store, settings=SLOW)
        term = await made.take()
        assert term is not None
        leading = asyncio.create_task(made.lead(term))
        store.cut_off = True
        await leading
        for witness in witnesses.values():
            witness.silent.clear()
        await until(lambda: all(witness.latest is not None for witness in witnesses.values()))
        assert log.database.cosigned == []

    published(test)


def test_a_leader_whose_lease_another_took_stops(published):
    async def test(log):
        watched = Watched()
        made = log.publisher(anchors={"container": FakeAnchor()}, watched=watched)
        term = await made.take()
        assert term is not None
        log.database.leases[NAME] = (uuid4(), term.lease.term + 1, log.database.now_ms() + 60_000)
        assert await made.lead(term) is None

    published(test)


def test_what_the_leader_before_collected_is_not_asked_for_again(published, witnesses):
    async def test(log):
        witnesses["C"].instead = lambda _: (500, TEXT, b"")
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned != [])
        witnesses["C"].instead = None
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned[-1].attested)
        assert [len(witnesses[name].requests) for name in "AB"] == [1, 1]

    published(test)


def test_a_database_that_is_away_for_a_while_ends_nothing_for_good(published, witnesses):
    async def test(log):
        watched = Watched()
        async with publishing(log.publisher(policy=policy_of(witnesses, 3), watched=watched)):
            await until(lambda: watched.met == [1])
            log.database.reachable = False
            await until(lambda: "publisher_failed" in watched.codes)
            log.database.reachable = True
            size = await log.grow()
            await until(lambda: watched.met[-1] == size)

    published(test)


def test_a_leader_of_a_database_that_was_rolled_back_since_its_last_term_hears_it_from_its_witnesses(
    published, witnesses
):
    async def test(log):
        watched, size = Watched(), await log.grow(4)
        made = log.publisher(policy=policy_of(witnesses, 3), watched=watched)
        async with publishing(made):
            await until(lambda: watched.met == [size])
        del log.database.checkpoints[size]
        log.database.cosigned.clear()
        async with publishing(made):
            await until(lambda: len(watched.failed) >= 3)
        assert {reason for _, reason in watched.failed} == {"ahead"}

    published(test)
