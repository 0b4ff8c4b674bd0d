"""The scheduled self-audit: the ledger is verified again and again while it is in use, and somebody is told.

Mostly only what came since the last time is looked at; at a longer interval the whole ledger is, because what was right
then may be no longer. After each look it rests nine times as long as that took. In the service, `audit.look` has a
process of its own for it, at the lowest priority, so that neither the event loop nor a request waits.

An alteration is told only when a second look, at the whole, finds one too: a database that fails over, or a replica
that lags behind, is none.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct

from audit.errors import AuditError, LedgerUnavailable
from audit.findings import Fault, Found, by_place, place
from audit.ports import Store
from audit.verification import Report, Verified
from traceability.marks import implements

NAME: Final = "watch"
"""Of the lease that one process of all holds."""
REST: Final = 9
"""How many times as long as a pass takes it is rested: a tenth of one core at most."""
SECOND_LOOK_S: Final = 5.0
"""After this long, what was found is looked at again."""
SPARE_LEASE_MS: Final = 60_000
MAX_LEASE_MS: Final = 3_600_000
CONTRADICTIONS: Final[frozenset[Fault]] = frozenset({"suffix_rewritten", "truncated", "forked", "wrong_key"})
"""What says that the database is not the one that was signed: on it, nothing more may be signed. The others are of rows
whose records the signed tree still proves, or shows to be missing: new records are as provable as ever."""


class Pass(Struct, frozen=True, kw_only=True):
    """One look at the ledger."""

    report: Report
    whole: bool
    """Whether all of it was looked at."""
    seconds: float
    ended_s: float
    """When, since the epoch."""

    @property
    def classes(self) -> Mapping[str, int]:
        """How many findings there are of each class."""
        return Counter(one.fault for one in self.report.found)


class Remembered(Struct, frozen=True, kw_only=True):
    """What one look leaves to the next."""

    verified: Verified | None = None
    whole_s: float = 0.0
    """When all of it was looked at, since the epoch."""


class WatchObserver(Protocol):
    """Who is told what the watch found; it must neither block nor raise."""

    def verified(self, seen: Pass) -> None:
        """A pass has ended, and this is what is known."""
        ...

    def event(self, code: str, message: str) -> None:
        """Something an operator should know: `ledger_altered`, `watch_failed`."""
        ...


class Eyes(Protocol):
    """Who looks."""

    async def look(self, since: Verified | None) -> Report:
        """Verify what came since, or everything. Raises what `verification.verify` raises."""
        ...


@implements("REQ-AUD-019")
class Turn:
    """Whose turn it is to watch, of all processes: theirs who hold a lease, ended by the database's clock.

    Two that watch at once, for a moment, do no harm.
    """

    def __init__(self, store: Store, holder: UUID, *, interval_s: float) -> None:
        self._store, self._holder = store, holder
        self._ttl_ms = min(MAX_LEASE_MS, int(2000 * interval_s) + SPARE_LEASE_MS)

    async def is_ours(self) -> bool:
        """Take the lease, or keep it. Raises `LedgerUnavailable`."""
        return (await self._store.lease(NAME, self._holder, self._ttl_ms)).held

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep it, however long a look takes."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._ttl_ms / 3000)
            with contextlib.suppress(LedgerUnavailable):  # the look itself will tell
                await self.is_ours()

    async def release(self) -> None:
        """Another may watch at once."""
        with contextlib.suppress(LedgerUnavailable):
            await self._store.release(NAME, self._holder)


@implements("REQ-AUD-019")
class Watch:
    """One process's part in watching. For one event loop; `run` until it is cancelled."""

    def __init__(
        self,
        eyes: Eyes,
        *,
        interval_s: float,
        whole_interval_s: float,
        observer: WatchObserver,
        contradicted: Callable[[str], None],
        second_look_s: float = SECOND_LOOK_S,
        remembered: Remembered | None = None,
    ) -> None:
        """`contradicted` is told why, where the database is not the one that was signed."""
        self._eyes, self._observer, self._contradicted = eyes, observer, contradicted
        self._interval_s, self._whole_interval_s = interval_s, whole_interval_s
        self._second_look_s = second_look_s
        self.remembered = remembered or Remembered()
        self._told: frozenset[Found] = frozenset()
        """What was altered at the last look, and was told then."""
        self._ended = False

    @implements("REQ-AUD-019")
    async def run(self, turn: Turn) -> None:
        """Look at each interval, whenever it is our turn, until the database is not the one that was signed: whoever
        watches next comes to the same. A fault of ours costs a look, never the service."""
        pause_s = self._interval_s
        try:
            while not self._ended:
                await asyncio.sleep(pause_s)
                pause_s = self._interval_s
                try:
                    if await turn.is_ours():
                        async with turn.kept():
                            pause_s = max(pause_s, REST * (await self.look()).seconds)
                    else:
                        self.remembered = Remembered()  # what another saw meanwhile is not known here
                except AuditError as error:
                    self._observer.event("watch_failed", f"{error.code}: {error}")
                except Exception as fault:  # noqa: BLE001  # whatever it is, the next look is as good as a restart
                    self._observer.event("watch_failed", f"internal: {type(fault).__name__}")
        finally:
            await turn.release()

    @implements("REQ-AUD-019")
    async def look(self) -> Pass:
        """Look once, and tell. Raises `LedgerUnavailable`, `LedgerNotInitialised`."""
        due = time.time() - self.remembered.whole_s >= self._whole_interval_s
        seen = await self._pass(None if due else self.remembered.verified)
        if _altered(seen.report) - self._told:
            await asyncio.sleep(self._second_look_s)
            seen = await self._pass(None)
        whole_s = seen.ended_s if seen.whole else self.remembered.whole_s
        self.remembered = Remembered(verified=seen.report.verified, whole_s=whole_s)
        self._observer.verified(seen)
        altered = _altered(seen.report)
        # Whoever altered a row yesterday may rewrite history today: each new finding is told, not the first alone.
        if fresh := altered - self._told:
            self._tell(fresh)
        self._told = altered
        return seen

    async def _pass(self, since: Verified | None) -> Pass:
        started = time.monotonic()
        report = await self._eyes.look(since)
        return Pass(report=report, whole=since is None, seconds=time.monotonic() - started, ended_s=time.time())

    @implements("REQ-AUD-019")
    def _tell(self, found: Collection[Found]) -> None:
        first, *_ = by_place(found)
        classes = sorted({one.fault for one in found})
        self._observer.event("ledger_altered", f"{', '.join(classes)}; the first in {place(first)}")
        if contradictions := sorted(CONTRADICTIONS.intersection(classes)):
            self._ended = True
            self._contradicted(f"the self-audit found: {', '.join(contradictions)}")


def _altered(report: Report) -> frozenset[Found]:
    return frozenset(one for one in report.found if one.altered)
