"""The primary is lost and its streaming replica takes over: what is lost with it, and who says so."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct
from psycopg import conninfo

from audit.errors import LedgerForked, LedgerUnavailable
from audit.ledger import Ledger
from audit.postgres.store import PostgresStore
from audit.verification import Report
from tests.system.faults import log as logs
from tests.system.faults.log import QUICK, WHOLE, Account, Log
from tests.system.faults.proxy import Proxy
from tests.system.faults.replicas import Pair, pair

KEPT = 5
"""Records that both servers have when the standby falls behind."""
LOST = 4
"""Records that were acknowledged and that the standby never had."""
CALLERS = 4
LIMIT_S = 120.0
SELDOM = msgspec.structs.replace(QUICK, anchor_interval_ms=600_000)
"""A process that is between two looks at its database, for as long as the test lasts."""


class Writers:
    """Processes of one log, whose way to the database leads to whichever server is the primary."""

    def __init__(self, folder: Path, pair: Pair) -> None:
        self.pair = pair
        self.log = Log(folder, pair.primary.reader_url)
        self.wire = Proxy(pair.primary.secrets.socket_folder)
        self._stores: list[PostgresStore] = []
        self._ledgers: list[Ledger] = []

    async def begin(self) -> None:
        await self.wire.__aenter__()
        url = conninfo.make_conninfo(self.pair.primary.reader_url, host=str(self.wire.folder))
        await self.log.move(url)
        await self.log.begin(self._store())

    def process(self, settings=QUICK) -> Ledger:
        self._ledgers.append(self.log.ledger(self._store(), settings=settings))
        return self._ledgers[-1]

    async def fail_over(self) -> None:
        await asyncio.to_thread(self.pair.lose_the_primary)
        await asyncio.to_thread(self.pair.promote_the_standby)
        self.wire.behind = self.pair.standby.secrets.socket_folder

    async def end(self) -> None:
        for ledger in self._ledgers:
            await ledger.close()
        for store in self._stores:
            await store.close()
        await self.log.close()
        await self.wire.__aexit__()

    def _store(self) -> PostgresStore:
        url = conninfo.make_conninfo(self.pair.primary.writer_url, host=str(self.wire.folder))
        self._stores.append(logs.store(url))
        return self._stores[-1]


class Kept(Struct, frozen=True, kw_only=True):
    """A failover to a synchronous standby, under load."""

    account: Account
    before: int
    """Receipts that callers held when the primary was lost."""
    after: list[int]
    """Receipts that callers of each process hold besides."""
    events: list[str]


class Unanchored(Struct, frozen=True, kw_only=True):
    """A failover that lost what its one writer had signed and had not anchored yet."""

    before: int
    """The size that was anchored when the primary was lost."""
    after: int
    """The size that was anchored once the writer had met the new primary."""
    restart: str


class Lost(Struct, frozen=True, kw_only=True):
    """A failover to an asynchronous standby that was behind."""

    refused: bool
    """Whether the process whose records were lost refused the next one."""
    unready: str | None
    bystander_refused: bool
    """The same of a process that had not yet seen those records."""
    events: list[str]
    restart: str
    """What the next start said."""
    account: Account
    report: Report
    held: list[int]
    anchored: int


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Kept:
    folder = tmp_path_factory.mktemp("kept")
    with pair(folder) as both:
        both.make_synchronous()
        return asyncio.run(_failed_over_under_load(Writers(folder / "log", both)))


async def _failed_over_under_load(writers: Writers) -> Kept:
    await writers.begin()
    try:
        ledgers = [writers.process(), writers.process()]
        for ledger in ledgers:
            await ledger.start()
        counts, ended = [0, 0], asyncio.Event()

        async def call(which: int) -> None:
            while not ended.is_set():
                refused = await writers.log.try_to_append(ledgers[which], 1)
                counts[which] += 1 - refused
                await asyncio.sleep(0.01 if refused else 0)

        async def more_of_each(than: list[int]) -> None:
            async with asyncio.timeout(LIMIT_S):
                while any(now < then + 10 for now, then in zip(counts, than, strict=True)):
                    await asyncio.sleep(0.01)

        callers = [asyncio.create_task(call(which)) for which in (0, 1) for _ in range(CALLERS)]
        await more_of_each([0, 0])
        await writers.fail_over()
        before = list(counts)
        await more_of_each(before)
        ended.set()
        await asyncio.gather(*callers)
        return Kept(
            account=await writers.log.account(),
            before=sum(before),
            after=[now - then for now, then in zip(counts, before, strict=True)],
            events=writers.log.events.codes,
        )
    finally:
        await writers.end()


@pytest.fixture(scope="module")
def lost(tmp_path_factory) -> Iterator[Lost]:
    folder = tmp_path_factory.mktemp("lost")
    with pair(folder) as both:
        yield asyncio.run(_failed_over_with_loss(Writers(folder / "log", both)))


async def _failed_over_with_loss(writers: Writers) -> Lost:
    await writers.begin()
    log = writers.log
    try:
        first, bystander = writers.process(), writers.process(SELDOM)
        for ledger in (first, bystander):
            await ledger.start()
        await log.append(first, KEPT)
        await _anchored(log, 1 + KEPT)
        await asyncio.to_thread(writers.pair.wait_for_the_standby)
        writers.pair.hold_the_standby_back()
        await log.append(first, LOST)
        await _anchored(log, 1 + KEPT + LOST)
        held = [proven.index for proven in log.held]
        await writers.fail_over()
        bystander_refused = await log.try_to_append(bystander, 1) == 1
        refused = await log.try_to_append(first, 1) == 1
        report = await log.verify()
        return Lost(
            refused=refused,
            unready=first.unready(),
            bystander_refused=bystander_refused,
            events=log.events.codes,
            restart=await _said_at_start(writers.process()),
            account=await log.account(),
            report=report,
            held=held,
            anchored=1 + KEPT + LOST,
        )
    finally:
        await writers.end()


@pytest.fixture(scope="module")
def unanchored(tmp_path_factory) -> Unanchored:
    folder = tmp_path_factory.mktemp("unanchored")
    with pair(folder) as both:
        return asyncio.run(_failed_over_unanchored(Writers(folder / "log", both)))


async def _failed_over_unanchored(writers: Writers) -> Unanchored:
    await writers.begin()
    log = writers.log
    try:
        writer = writers.process(SELDOM)
        await writer.start()
        await asyncio.to_thread(writers.pair.wait_for_the_standby)
        writers.pair.hold_the_standby_back()
        await log.append(writer, LOST)
        before = log.anchor.newest()
        await writers.fail_over()
        assert await log.try_to_append(writer, 1) == 1
        await _anchored(log, 1 + LOST)
        after = log.anchor.newest()
        assert before is not None
        assert after is not None
        return Unanchored(before=before.size, after=after.size, restart=await _said_at_start(writers.process()))
    finally:
        await writers.end()


async def _anchored(log: Log, size: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while (newest := log.anchor.newest()) is None or newest.size < size:
            await asyncio.sleep(0.01)


async def _said_at_start(ledger: Ledger) -> str:
    try:
        await ledger.start()
    except (LedgerForked, LedgerUnavailable) as error:
        return f"{error.code}: {error}"
    return ""


def test_a_failover_to_a_synchronous_standby_costs_no_record(kept):
    assert (kept.account, kept.before > 0) == (WHOLE, True)


def test_every_process_goes_on_by_itself_after_a_failover(kept):
    assert min(kept.after) > 0


def test_every_process_checks_the_new_primary_before_it_goes_on(kept):
    assert kept.events.count("timeline_changed") == 2


def test_a_process_whose_records_were_lost_writes_nothing_more(lost):
    assert (lost.refused, str(lost.unready).partition(":")[0]) == (True, "ledger_forked")


def test_a_process_that_never_saw_the_lost_records_writes_nothing_more(lost):
    assert lost.bystander_refused


def test_the_loss_is_announced_as_a_fork(lost):
    assert lost.events.count("forked") == 2


def test_after_a_loss_the_service_does_not_start(lost):
    assert lost.restart.startswith("ledger_forked: ")


def test_verification_names_the_lost_records(lost):
    assert [(found.fault, found.first, found.end) for found in lost.report.found] == [
        ("truncated", 1 + KEPT, lost.anchored)
    ]


def test_the_lost_receipts_are_just_those_that_verification_names(lost):
    assert lost.account.lost == tuple(index for index in lost.held if index > KEPT)


def test_a_process_that_finds_a_loss_anchors_what_it_had_signed(unanchored):
    assert (unanchored.before, unanchored.after) == (1, 1 + LOST)


def test_what_was_lost_before_it_was_anchored_keeps_the_next_start_from_writing(unanchored):
    assert unanchored.restart.startswith("ledger_forked: ")
