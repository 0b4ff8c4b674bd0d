"""One process's way into the ledger, over a store in memory that can be told to misbehave."""

import asyncio

import msgspec
import pytest

from audit import evidence, genesis, record
from audit.acceptance import accept
from audit.clock import SystemClock
from audit.errors import LedgerExists, LedgerForked, LedgerNotInitialised, LedgerUnavailable, RecordRefused
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.ports import Appended, Batch
from audit.receipt import Policy
from audit.record import Outage, Outcome
from tests.ledger_fakes import QUICK, World, until


@pytest.mark.verifies("REQ-LED-012")
def test_an_append_returns_a_receipt_that_verifies_offline(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        proven = await ledger.append(entries.request())
        verdict = evidence.check_receipt(proven.proof, Policy(logs=(world.signer.verifier,)))
        assert (proven.index, verdict.exit_code) == (1, 0)

    story(test)


@pytest.mark.verifies("REQ-LED-012")
def test_every_receipt_of_a_crowd_verifies_and_indices_are_contiguous(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        proofs = await asyncio.gather(*(ledger.append(entries.request()) for _ in range(300)))
        assert sorted(proven.index for proven in proofs) == list(range(1, 301))
        policy = Policy(logs=(world.signer.verifier,))
        assert {evidence.check_receipt(proven.proof, policy).exit_code for proven in proofs} == {0}

    story(test)


def test_requests_of_one_moment_share_one_commit(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()

        async def request() -> None:
            ledger.enter()
            await asyncio.sleep(0)
            await ledger.append(entries.request())
            ledger.leave()

        await asyncio.gather(*(request() for _ in range(16)))
        assert world.events.batches == [16]

    story(test)


@pytest.mark.verifies("REQ-LED-021")
def test_a_second_genesis_is_refused(story) -> None:
    async def test(world: World) -> None:
        await world.begin()
        with pytest.raises(LedgerExists):
            await genesis.initialise(world.store, world.reader, world.signer, SystemClock())

    story(test)


@pytest.mark.verifies("REQ-LED-021")
def test_a_ledger_without_record_0_does_not_start(story) -> None:
    async def test(world: World) -> None:
        with pytest.raises(LedgerNotInitialised):
            await world.ledger()

    story(test)


@pytest.mark.verifies("REQ-LED-018")
def test_a_record_that_became_durable_while_its_answer_was_lost_is_there_once(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        world.database.failures = ["after"]
        entry = entries.request()
        proven = await ledger.append(entry)
        ids = [stored.event_id for stored in world.database.stored]
        assert (ids.count(record.event_uuid(entry)), proven.index) == (1, 1)

    story(test)


@pytest.mark.verifies("REQ-LED-018")
def test_a_batch_is_tried_again_with_the_same_records_and_no_newer_ones(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        world.database.failures = ["after"]
        first = asyncio.create_task(ledger.append(entries.request()))
        await until(lambda: world.database.head.size == 2)
        await first
        await ledger.append(entries.request())
        assert [batch.size - batch.first for batch in world.database.batches][1] == 1

    story(test)


def test_while_the_database_is_away_appends_are_refused_at_once(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        world.database.reachable = False
        await until(lambda: ledger.unready() is not None)
        with pytest.raises(LedgerUnavailable):
            await ledger.append(entries.request())

    story(test)


def test_when_the_database_is_back_records_are_taken_without_a_restart(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        world.database.reachable = False
        await until(lambda: ledger.unready() is not None)
        world.database.reachable = True
        await until(lambda: ledger.unready() is None)
        assert (await ledger.append(entries.request())).index > 0

    story(test)


@pytest.mark.verifies("REQ-LED-019")
def test_an_outage_is_on_record_with_its_span_and_its_refusals(story) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        world.database.reachable = False
        await until(lambda: ledger.unready() is not None)
        ledger.refused(SystemClock().now_us())
        ledger.refused(SystemClock().now_us())
        world.database.reachable = True
        await until(lambda: bool(world.of_kind(Outage)))
        (outage,) = world.of_kind(Outage)
        assert isinstance(outage, Outage)
        assert (outage.refused, outage.from_us < outage.to_us) == (2, True)

    story(test)


@pytest.mark.verifies("REQ-LED-019")
def test_the_outage_is_the_first_new_record_after_it(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        world.database.reachable = False
        await until(lambda: ledger.unready() is not None)
        world.database.reachable = True
        await until(lambda: ledger.unready() is None)
        await ledger.append(entries.request())
        assert isinstance(world.database.entries[1], Outage)

    story(test)


def test_a_refused_record_that_became_durable_later_is_followed_by_its_outcome(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        world.database.reachable = False
        entry = entries.request()
        with pytest.raises(LedgerUnavailable):
            await ledger.append(entry)
        world.database.reachable = True
        await until(lambda: bool(world.of_kind(Outcome)))
        (outcome,) = world.of_kind(Outcome)
        assert isinstance(outcome, Outcome)
        assert (outcome.outcome, outcome.request_id) == ("answer_replaced", entry.request_id)

    story(test)


@pytest.mark.verifies("REQ-LED-018")
def test_one_bad_record_fails_alone_in_its_batch(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        twice = entries.request()
        await ledger.append(twice)
        again = msgspec.structs.replace(twice, status=418)  # the same id with other bytes
        results = await asyncio.gather(
            *(ledger.append(entry) for entry in (entries.request(), again, entries.request())), return_exceptions=True
        )
        assert [type(result).__name__ for result in results] == ["Proven", "RecordRefused", "Proven"]
        assert isinstance(results[1], RecordRefused)

    story(test)


def test_records_of_other_processes_are_taken_into_the_tree(story, entries) -> None:
    async def test(world: World) -> None:
        one, other = await world.begin(), await world.ledger()
        policy = Policy(logs=(world.signer.verifier,))
        for _ in range(5):
            for ledger in (one, other):
                proven = await ledger.append(entries.request())
                assert evidence.check_receipt(proven.proof, policy).exit_code == 0
        assert world.database.head.size == 11

    story(test)


@pytest.mark.verifies("REQ-LED-011")
def test_a_rewritten_history_stops_this_process_for_good(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin(msgspec.structs.replace(QUICK, anchor_interval_ms=1_000))
        await ledger.append(entries.request())
        last = world.database.batches[-1]
        rewritten = tuple(bytes(32) for _ in last.frontier)
        world.database.batches[-1] = Batch(first=last.first, size=last.size, chain=last.chain, frontier=rewritten)
        with pytest.raises(LedgerUnavailable):
            await ledger.append(entries.request())
        with pytest.raises(LedgerUnavailable):
            await ledger.append(entries.request())
        assert world.events.codes == ["forked"]

    story(test)


@pytest.mark.verifies("REQ-LED-015")
def test_a_database_shorter_than_its_anchor_is_not_started_on(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        await ledger.append(entries.request())
        await ledger.close()
        database = world.database
        database.stored.pop(), database.entries.pop(), database.columns.pop(), database.batches.pop()
        database.checkpoints.clear()
        with pytest.raises(LedgerForked):
            await world.ledger()

    story(test)


@pytest.mark.verifies("REQ-LED-015")
def test_a_database_with_another_root_than_its_anchor_is_not_started_on(story, entries, tmp_path) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        await ledger.append(entries.request())
        await ledger.close()
        world.database = MemoryDatabase()
        world.store, world.reader = MemoryStore(world.database), MemoryReader(world.database)
        other = await genesis.initialise(world.store, world.reader, world.signer, SystemClock())
        body = record.encode(entries.request(event_id=other.event_id.replace("-4", "-5", 1)))
        await world.store.append(1, [record.event_uuid(record.decode(body))], [body])
        with pytest.raises(LedgerForked):
            await world.ledger()

    story(test)


@pytest.mark.verifies("REQ-LED-015")
def test_another_timeline_is_checked_before_records_are_signed_on_it(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        world.database.readiness = msgspec.structs.replace(world.database.readiness, timeline=2)
        await until(lambda: "timeline_changed" in world.events.codes)
        await ledger.append(entries.request())
        await until(lambda: (world.anchor.newest() or pytest.fail("no anchor")).timeline == 2)

    story(test)


@pytest.mark.verifies("REQ-LED-025")
def test_a_database_that_loses_what_it_acknowledges_is_refused(story) -> None:
    async def test(world: World) -> None:
        await genesis.initialise(world.store, world.reader, world.signer, SystemClock())
        world.database.readiness = msgspec.structs.replace(world.database.readiness, durable=False)
        with pytest.raises(LedgerUnavailable):
            await accept(world.store, world.reader, world.anchor, world.signer.verifier)

    story(test)


@pytest.mark.verifies("REQ-LED-014")
def test_every_signed_checkpoint_is_anchored_within_the_interval(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        await ledger.append(entries.request())
        await until(lambda: 2 in world.database.checkpoints)
        newest = world.anchor.newest()
        assert newest is not None
        assert newest.checkpoint.encode() == world.database.checkpoints[2]

    story(test)


@pytest.mark.verifies("REQ-LED-014")
def test_a_signed_checkpoint_is_anchored_while_the_next_commit_is_under_way(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin(msgspec.structs.replace(QUICK, anchor_interval_ms=200, append_deadline_ms=5_000))
        await ledger.append(entries.request())
        append, go_on = world.store.append, asyncio.Event()

        async def slow(*arguments: object, timeline: int | None) -> Appended:
            await go_on.wait()
            return await append(*arguments, timeline=timeline)  # type: ignore[arg-type]  # as they came

        world.store.append = slow  # type: ignore[method-assign, assignment]  # a store that takes its time
        waiting = asyncio.create_task(ledger.append(entries.request()))
        await asyncio.wait_for(until(lambda: 2 in world.database.checkpoints), 2)
        newest = world.anchor.newest()
        assert newest is not None
        assert (newest.size, waiting.done()) == (2, False)
        go_on.set()
        await waiting

    story(test)


@pytest.mark.verifies("REQ-LED-011")
def test_nothing_is_written_once_the_database_was_found_to_be_another_one(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        await ledger.append(entries.request())
        world.database.failures = ["before"] * 10_000
        waiting = asyncio.create_task(ledger.append(entries.request()))
        await until(lambda: ledger.unready() is not None)
        last = world.database.batches[-1]
        rewritten = tuple(bytes(32) for _ in last.frontier)
        world.database.batches[-1] = Batch(first=last.first, size=last.size, chain=last.chain, frontier=rewritten)
        world.database.readiness = msgspec.structs.replace(world.database.readiness, timeline=2)
        await until(lambda: "forked" in world.events.codes)
        world.database.failures = []
        await asyncio.sleep(0.1)  # five times as long as the pause between two tries
        with pytest.raises(LedgerUnavailable):
            await waiting
        assert world.database.head.size == 2

    story(test)


@pytest.mark.verifies("REQ-LED-015")
def test_records_left_unsigned_by_a_crash_are_signed_at_the_next_start(story, entries) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin()
        body = record.encode(entry := entries.request())
        await world.store.append(1, [record.event_uuid(entry)], [body])  # durable, and its process died
        await ledger.close()
        await world.ledger()
        newest = world.anchor.newest()
        assert newest is not None
        assert newest.size == 2

    story(test)


def test_a_database_that_is_asked_and_says_nothing_takes_no_records(story, entries, monkeypatch) -> None:
    async def test(world: World) -> None:
        ledger = await world.begin(msgspec.structs.replace(QUICK, probe_timeout_ms=100))
        silent = asyncio.Event()
        ready = world.store.ready

        async def answer():
            await silent.wait()
            return await ready()

        monkeypatch.setattr(world.store, "ready", answer)
        await until(lambda: ledger.unready() is not None)
        assert "no answer within" in (ledger.unready() or "")
        silent.set()
        await until(lambda: ledger.unready() is None)
        assert (await ledger.append(entries.request())).index > 0

    story(test)
