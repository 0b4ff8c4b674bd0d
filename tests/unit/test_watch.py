"""The scheduled self-audit: what it looks at, whom it tells, and when it says nothing yet."""

import asyncio
from uuid import uuid4

import msgspec
import pytest
from msgspec import structs

from audit import verification
from audit.errors import LedgerUnavailable
from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.watch import CONTRADICTIONS, NAME, Pass, Turn, Watch
from tests.held_anchors import HeldAnchor
from tests.tampering import changes, judged
from tests.tampering import tables as do
from tests.tampering.ledger import NEXT_KEY, TALL

DAY_S = 86_400


class Eyes:
    """Looks at whatever tables it is shown, in this process."""

    def __init__(self, made, tables) -> None:
        self.made, self.tables = made, tables
        self.since: list[int | None] = []
        self.fault: Exception | None = None
        self.seconds = 0.0

    async def look(self, since):
        self.since.append(None if since is None else since.start.state.size)
        if self.fault is not None:
            raise self.fault
        await asyncio.sleep(self.seconds)
        database = do.to_memory(self.tables)
        anchor = HeldAnchor(self.made.anchors)
        open_reader = lambda: MemoryReader(database)  # noqa: E731  # what it opens is here
        return await verification.verify(open_reader, NEXT_KEY.verifier, anchor, processes=1, since=since)


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.passes: list[Pass] = []
        self.codes: list[str] = []
        self.contradictions: list[str] = []

    def verified(self, seen) -> None:
        self.passes.append(seen)

    def event(self, code, message) -> None:
        self.codes.append(code)


@pytest.fixture(scope="module")
def whole():
    return asyncio.run(judged.written(TALL))


@pytest.fixture
def eyes(whole):
    return Eyes(whole[0], whole[1].copy())


@pytest.fixture
def told():
    return Told()


def watch_of(eyes, told, *, interval_s=0.01, whole_interval_s=DAY_S):
    return Watch(
        eyes, interval_s=interval_s, whole_interval_s=whole_interval_s, observer=told,
        contradicted=told.contradictions.append, second_look_s=0,
    )  # fmt: skip


def looked(watch, times=1):
    async def each():
        return [await watch.look() for _ in range(times)]

    return asyncio.run(each())


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_the_first_look_is_at_all_of_it(eyes, told):
    looked(watch_of(eyes, told))
    assert eyes.since == [None]


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_the_next_look_begins_with_the_last_whole_tile(eyes, told):
    looked(watch_of(eyes, told), 2)
    assert eyes.since == [None, 512]


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_a_look_at_what_came_since_comes_to_the_same_verdict(eyes, told):
    first, second = looked(watch_of(eyes, told), 2)
    assert (second.report.exit_code, second.report.size, second.report.anchored) == (
        first.report.exit_code, first.report.size, first.report.anchored,
    )  # fmt: skip


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_all_of_it_is_looked_at_again_after_the_longer_interval(eyes, told):
    looked(watch_of(eyes, told, whole_interval_s=0), 2)
    assert eyes.since == [None, None]


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_an_alteration_after_the_last_look_is_found_by_the_next(eyes, told):
    watch = watch_of(eyes, told)
    looked(watch)
    changes.flip(eyes.tables.record(590), "actor")
    looked(watch)
    assert told.passes[-1].classes == {"derived_column": 1}


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_a_rewritten_beginning_is_found_by_a_look_at_what_came_since(eyes, told):
    watch = watch_of(eyes, told)
    looked(watch)
    changes.rewritten(eyes.tables, 35)
    do.recompute_all(eyes.tables)
    looked(watch)
    assert set(told.passes[-1].classes) == {"suffix_rewritten"}


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_an_alteration_is_told_once_however_often_it_is_seen(eyes, told):
    changes.flip(eyes.tables.record(35), "actor")
    looked(watch_of(eyes, told), 3)
    assert told.codes == ["ledger_altered"]


@pytest.mark.verifies("REQ-AUD-019")
def test_another_alteration_is_told_although_one_was_told_before(eyes, told):
    watch = watch_of(eyes, told)
    for index in (35, 36):
        changes.flip(eyes.tables.record(index), "actor")
        looked(watch)
    assert told.codes == ["ledger_altered", "ledger_altered"]


@pytest.mark.verifies("REQ-AUD-019")
def test_a_rewritten_history_stops_the_service_although_a_row_was_altered_before(eyes, told):
    watch = watch_of(eyes, told)
    changes.flip(eyes.tables.record(35), "actor")
    looked(watch)
    changes.cut()(eyes.tables, 272)
    looked(watch)
    assert told.contradictions == ["the self-audit found: truncated"]


@pytest.mark.verifies("REQ-AUD-019")
def test_what_was_mended_and_is_altered_again_is_told_again(eyes, told):
    watch, right = watch_of(eyes, told), eyes.tables.copy()
    changes.flip(eyes.tables.record(590), "actor")
    altered = eyes.tables
    for tables in (altered, right, altered):
        eyes.tables = tables
        looked(watch)
    assert told.codes == ["ledger_altered", "ledger_altered"]


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_an_alteration_that_a_second_look_does_not_find_is_not_told(eyes, told, monkeypatch):
    right = eyes.tables.copy()
    changes.flip(eyes.tables.record(35), "actor")
    look = eyes.look

    async def once(since):
        report = await look(since)
        eyes.tables = right
        return report

    monkeypatch.setattr(eyes, "look", once)
    looked(watch_of(eyes, told))
    assert (told.codes, told.passes[-1].report.exit_code) == ([], 0)


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_rows_that_are_not_as_signed_do_not_stop_the_service(eyes, told):
    changes.flip(eyes.tables.record(35), "record")
    looked(watch_of(eyes, told))
    assert told.contradictions == []


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_a_database_that_is_not_the_one_that_was_signed_stops_the_service(eyes, told):
    changes.cut()(eyes.tables, 272)
    looked(watch_of(eyes, told))
    assert told.contradictions == ["the self-audit found: truncated"]


def test_what_stops_the_service_is_what_was_signed_and_is_not_there():
    assert {"suffix_rewritten", "truncated", "forked", "wrong_key"} == CONTRADICTIONS


# -- turns


def running(watch, until, *, holder=None, store=None):
    """Run until something is true; then the watch is ended."""

    async def whole():
        turn = Turn(store or MemoryStore(MemoryDatabase()), holder or uuid4(), interval_s=0.01)
        task = asyncio.create_task(watch.run(turn))
        try:
            async with asyncio.timeout(20):
                while not until() and not task.done():
                    await asyncio.sleep(0.005)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(whole())


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_whoever_has_the_turn_looks_again_and_again(eyes, told):
    running(watch_of(eyes, told), lambda: len(told.passes) >= 3)
    assert len(told.passes) >= 3


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_nobody_looks_while_another_has_the_turn(eyes, told):
    store = MemoryStore(MemoryDatabase())
    asyncio.run(store.lease(NAME, uuid4(), 60_000))
    asked = []

    class Counting:
        async def lease(self, *arguments):
            asked.append(arguments)
            return await store.lease(*arguments)

        async def release(self, *arguments):
            await store.release(*arguments)

    running(watch_of(eyes, told), lambda: len(asked) >= 5, store=Counting())
    assert eyes.since == []


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_the_turn_is_given_back_at_the_end(eyes, told):
    store, other = MemoryStore(MemoryDatabase()), uuid4()
    running(watch_of(eyes, told), lambda: told.passes, store=store)
    assert asyncio.run(store.lease(NAME, other, 1_000)).held


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_a_look_that_fails_is_told_and_the_next_one_follows(eyes, told):
    eyes.fault = LedgerUnavailable("away")
    running(watch_of(eyes, told), lambda: len(told.codes) >= 2)
    assert told.codes[:2] == ["watch_failed", "watch_failed"]


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_a_fault_of_ours_in_a_look_is_told_and_the_next_one_follows(eyes, told):
    eyes.fault = ZeroDivisionError()
    running(watch_of(eyes, told), lambda: len(told.codes) >= 2)
    assert told.codes[:2] == ["watch_failed", "watch_failed"]


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_the_watch_ends_where_the_database_is_not_the_one_that_was_signed(eyes, told):
    changes.cut()(eyes.tables, 272)
    running(watch_of(eyes, told), lambda: False)
    assert len(told.passes) == 1


@pytest.mark.verifies("REQ-AUD-019")
@pytest.mark.verifies("REQ-AUD-019")
def test_a_pass_can_be_sent_to_another_process(eyes, told):

    (seen,) = looked(watch_of(eyes, told))
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(seen.report), type=verification.Report)
    assert sent == structs.replace(seen.report)
