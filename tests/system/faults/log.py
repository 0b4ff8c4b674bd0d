"""A log to which faults happen, and the account of it afterwards: nothing acknowledged lost, nothing there twice."""

import asyncio
import contextlib
import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from audit import genesis, receipt, record, signing, verification
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.errors import AuditError, LedgerExists, LedgerUnavailable
from audit.ledger import Ledger
from audit.outages import FolderOutages
from audit.ports import Appended, Proven, Store, Stored
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.receipt import Policy
from audit.settings import LedgerSettings
from tests.ledger_fakes import Events

QUICK = LedgerSettings(
    linger_us=0,
    append_deadline_ms=60_000,
    retry_first_ms=5,
    retry_last_ms=40,
    probe_interval_ms=20,
    anchor_interval_ms=100,
    connect_timeout_ms=2_000,
    statement_timeout_ms=1_000,
    lock_timeout_ms=500,
)
"""Nobody is refused before a fault has passed, and a fault passes soon."""


class Account(Struct, frozen=True, kw_only=True):
    """What became of a log, held against what callers hold."""

    lost: tuple[int, ...] = ()
    """Indices of receipts that are false, or whose record is not at that index."""
    twice: tuple[str, ...] = ()
    """Event ids that are stored more than once."""
    gaps: tuple[int, ...] = ()
    exit_code: int = 0
    faults: tuple[str, ...] = ()
    """Classes that verification found."""


WHOLE = Account()
"""Nothing lost, nothing twice, no gap, and verification says valid up to the anchor."""


class Divided(PostgresStore):
    """A store whose appends go one way and all else another: a fault then meets an append and nothing else."""

    def __init__(self, *, appends: Store, others: str) -> None:
        super().__init__(others, **_timeouts(QUICK))
        self.appends = appends

    async def append(
        self,
        known_size: int,
        event_ids: Sequence[UUID],
        records: Sequence[bytes],
        *,
        timeline: int | None = None,
    ) -> Appended:
        return await self.appends.append(known_size, event_ids, records, timeline=timeline)

    async def close(self) -> None:
        await self.appends.close()
        await super().close()


def store(url: str, settings: LedgerSettings = QUICK) -> PostgresStore:
    """As the service opens it."""
    return PostgresStore(url, **_timeouts(settings))


def _timeouts(settings: LedgerSettings) -> dict[str, int]:
    names = ("connect_timeout_ms", "statement_timeout_ms", "lock_timeout_ms")
    return {name: getattr(settings, name) for name in names}


class Log:
    """A log's key, anchors and receipts, in `folder`; where its database is may change, what callers hold stays.

    `folder` may be a MEDAI_HOME: then the log is that service's.
    """

    def __init__(self, folder: Path, reader_url: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.reader_url = reader_url
        self.reader = PostgresReader(reader_url)
        self.key_file = folder / "keys" / "signing.key"
        self.signer = signing.load(self.key_file) if self.key_file.exists() else signing.create(self.key_file, "l/f")
        self.anchors = folder / "anchors"
        self.anchor = FolderAnchor(self.anchors, (self.signer.verifier,))
        self.outages = folder / "outages"
        self.events = Events()
        self.held: list[Proven] = []
        self._verified: set[str] = set()

    async def close(self) -> None:
        """No connection of ours is left."""
        await self.reader.close()

    async def move(self, reader_url: str) -> None:
        """From now on the database is read there."""
        await self.reader.close()
        self.reader_url, self.reader = reader_url, PostgresReader(reader_url)

    def ledger(self, appends: Store, *, settings: LedgerSettings = QUICK) -> Ledger:
        """One process's; not started."""
        return Ledger(
            store=appends,
            reader=self.reader,
            signer=self.signer,
            anchor=self.anchor,
            clock=SystemClock(),
            settings=settings,
            process_id=record.new_event_id(),
            observer=self.events,
            outages=FolderOutages(self.outages),
        )

    async def begin(self, appends: Store) -> None:
        """Record 0 is there."""
        with contextlib.suppress(LedgerExists):
            await genesis.initialise(appends, self.reader, self.signer, SystemClock())

    async def append(self, ledger: Ledger, count: int) -> None:
        """`count` callers at once; what each is given is held."""
        self.held += await asyncio.gather(*(ledger.append(entry()) for _ in range(count)))

    async def try_to_append(self, ledger: Ledger, count: int) -> int:
        """The same; how many were refused."""
        answers = await asyncio.gather(*(ledger.append(entry()) for _ in range(count)), return_exceptions=True)
        self.held += [one for one in answers if isinstance(one, Proven)]
        refusals = [one for one in answers if not isinstance(one, Proven)]
        assert all(isinstance(one, LedgerUnavailable) for one in refusals), refusals
        return len(refusals)

    async def account(self) -> Account:
        """The whole log as it is now, against every receipt that was ever handed out."""
        size = (await self.reader.head()).size
        stored = {one.index: one async for one in self.reader.records(0, size)}
        times = Counter(str(one.event_id) for one in stored.values())
        report = await self.verify()
        return Account(
            lost=tuple(one.index for one in self.held if not self._is_kept(one, stored.get(one.index))),
            twice=tuple(event_id for event_id, count in times.items() if count > 1),
            gaps=tuple(index for index in range(size) if index not in stored),
            exit_code=report.exit_code,
            faults=tuple(sorted({found.fault for found in report.found})),
        )

    async def verify(self) -> verification.Report:
        """As `medai audit verify` does."""
        return await verification.verify(
            functools.partial(PostgresReader, self.reader_url), self.signer.verifier, self.anchor, processes=1
        )

    def _is_kept(self, proven: Proven, stored: Stored | None) -> bool:
        """Whether the receipt is true by itself, and the database has its record, byte for byte, in its place."""
        if proven.proof not in self._verified:
            try:
                receipt.verify(proven.proof, Policy(logs=(self.signer.verifier,)))
            except AuditError:
                return False
            self._verified.add(proven.proof)
        return stored is not None and stored.body == receipt.parse(proven.proof).extra


def entry() -> record.Request:
    """A new record of nobody."""
    return record.Request(
        format=record.FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=SystemClock().now_us(),
        request_id=record.new_event_id(),
        correlation_id=record.new_event_id(),
        method="GET",
        route="/health",
        status=200,
        peer=f"test:{'0' * 64}",
        release=None,
    )
