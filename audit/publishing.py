"""The publisher: of all processes, one at a time sends the newest signed checkpoint to where others keep it.

Who leads has a lease: a row in the database, ended by the database's clock, so that it works behind a transaction
pooler and needs nobody to notice a death. A leader that cannot renew in time stops before another can begin. Should
two lead all the same for a moment, nothing is lost: anchors are only ever created, witnesses compare and swap, and
the database stores cosignatures only for the lease's holder.

What a crash leaves behind: a lease that others wait for, and whatever was not sent yet, which the next leader sends.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from audit.errors import AuditError, LeaseLost, LedgerUnavailable
from audit.ports import Lease, PublishingObserver, Store
from audit.publishing_anchors import AnchorKeeper
from audit.publishing_witnesses import Collector
from traceability.marks import implements

NAME: Final = "publisher"
RENEWALS: Final = 3
"""How often a lease is renewed before it would end."""
_FAULT_PAUSE_S: Final = 60.0


@implements("REQ-PUB-001")
class Term:
    """One holding of the lease. It ends for us by our own clock, counted from before the database was asked."""

    def __init__(self, lease: Lease, until: float, now: Callable[[], float]) -> None:
        self.lease: Final = lease
        self.until = until
        self._now = now

    def require(self) -> None:
        """Returns while this process leads. Raises `LeaseLost` from the moment on at which another may."""
        if self._now() >= self.until:
            raise LeaseLost("publisher: the lease was not renewed in time; another may lead")


@implements("REQ-PUB-001")
class Publisher:
    """One process's part in publishing. For one event loop; `run` until it is cancelled."""

    def __init__(
        self,
        *,
        store: Store,
        holder: UUID,
        lease_ms: int,
        anchors: Sequence[AnchorKeeper],
        collector: Collector | None,
        observer: PublishingObserver,
    ) -> None:
        self.anchors: Final = tuple(anchors)
        self.collector: Final = collector
        self._store = store
        self._holder = holder
        self._lease_ms = lease_ms
        self._observer = observer

    async def run(self) -> None:
        """Lead whenever nobody else does. A fault of ours in here costs a minute of publishing, never the service."""
        try:
            while True:
                try:
                    term = await self.take()
                    if term is not None:
                        await self.lead(term)
                except AuditError as error:
                    self._observer.event("publisher_failed", f"{error.code}: {error}")
                except Exception as fault:  # noqa: BLE001  # whatever it is, the next try is as good as a restart
                    self._observer.event("publisher_failed", f"internal: {type(fault).__name__}")
                    await asyncio.sleep(_FAULT_PAUSE_S)
                await asyncio.sleep(self._lease_ms / 1000 / RENEWALS)
        finally:
            with contextlib.suppress(LedgerUnavailable):
                await self.release()

    async def take(self) -> Term | None:
        """The lease, or None where another has it. Raises `LedgerUnavailable`."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        lease = await self._store.lease(NAME, self._holder, self._lease_ms)
        return Term(lease, asked + self._lease_ms / 1000, loop.time) if lease.held else None

    async def lead(self, term: Term) -> None:
        """Publish until the lease is lost; what is under way then is abandoned."""
        self._observer.event("publisher_leads", f"term {term.lease.term}")
        workers = [asyncio.create_task(one.run(term)) for one in self.anchors]
        if self.collector is not None:
            workers.append(asyncio.create_task(self.collector.run(term)))
        renewing = asyncio.create_task(self._renew(term))
        try:
            done, _ = await asyncio.wait([renewing, *workers], return_when=asyncio.FIRST_COMPLETED)
            for task in done:  # none ends by itself
                with contextlib.suppress(LeaseLost):
                    _first_of(task)
        finally:
            for task in (renewing, *workers):
                task.cancel()
            await asyncio.gather(renewing, *workers, return_exceptions=True)

    async def release(self) -> None:
        """Let another lead at once."""
        await self._store.release(NAME, self._holder)

    async def _renew(self, term: Term) -> None:
        """Returns when the lease is lost, or would be before an answer comes."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(self._lease_ms / 1000 / RENEWALS, max(0.0, term.until - loop.time())))
            try:
                async with asyncio.timeout_at(term.until):
                    renewed = await self.take()
            except (LedgerUnavailable, TimeoutError):
                term.require()
                continue
            if renewed is None or renewed.lease.term != term.lease.term:
                return
            term.until = renewed.until


def _first_of(task: "asyncio.Task[None]") -> None:
    """Raises what ended `task`; of several faults at once, one."""
    fault = task.exception()
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    if fault is not None:
        raise fault
