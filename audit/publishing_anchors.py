"""The newest signed checkpoint, and one anchor that is kept up with it."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from audit import acceptance, merkle, note, rotation, succession, tree
from audit.errors import Altered, AuditError, LeaseLost, LedgerForked, LedgerUnavailable
from audit.note import Verifier
from audit.ports import Anchor, Lease, PublishingObserver, Reader, Store
from audit.publishing_lanes import Lane
from audit.rotation import KeyHistory
from traceability.marks import implements


class Signed(Struct, frozen=True, kw_only=True):
    """A published checkpoint that the log signed, and the keys that the log has had up to there."""

    size: int
    note: str
    keys: tuple[Verifier, ...]


@implements("REQ-PUB-002")
class Source:
    """Where the publisher learns what there is to publish. Nothing is published that the log did not sign."""

    def __init__(self, store: Store, reader: Reader, key: Verifier) -> None:
        """`key` is or was the log's."""
        self.store: Final = store
        self.reader: Final = reader
        self._key = key
        self._history: KeyHistory | None = None
        self._followed = 1

    async def newest(self) -> Signed | None:
        """The largest signed checkpoint. Raises `Altered` where what is published is not this log's."""
        found = await self.reader.signed()
        if found is None:
            return None
        size, signed = found
        history = await self._keys(size)
        try:
            opened = history.open(signed)
        except AuditError as error:
            raise Altered(f"database: the checkpoint that is published for size {size}: {error}") from error
        if opened.size != size:
            raise Altered(f"database: the checkpoint that is published for size {size} is of size {opened.size}")
        return Signed(size=size, note=signed.decode(), keys=history.verifiers)

    async def require_holds(self, elsewhere: bytes, whose: str) -> None:
        """The database holds the tree of a checkpoint that was found elsewhere, if the log signed that at all.

        Raises `LedgerForked` with both where it does not: nobody but the log's key can have made them.
        """
        if self._history is None:
            return
        try:
            opened = self._history.open(elsewhere)
        except AuditError:
            return  # anybody could have made it
        # The log's own signatures are the proof; whoever cosigned besides only makes it longer.
        theirs = note.open(elsewhere, self._history.verifiers)
        both = theirs.text + "\n" + "".join(signature.line for signature in theirs.verified)
        if (ours := await self.reader.signed()) is not None:
            both += f"\n{ours[1].decode()}"
        size = (await self.store.ready()).size
        if size < opened.size:
            raise LedgerForked(f"database: {size} records, but {whose} has a checkpoint over {opened.size}:\n{both}")
        if merkle.frontier_root(opened.size, await tree.frontier(self.reader, opened.size)) != opened.root:
            raise LedgerForked(f"database: another tree of size {opened.size} than {whose} has:\n{both}")

    async def _keys(self, size: int) -> KeyHistory:
        """The keys of the log's first `size` records, if ours is or was one of them."""
        if self._history is None:
            self._history = rotation.begin(await acceptance.genesis_of(self.reader))
        if size > self._followed:
            found = await succession.follow(self.reader, self._history, self._followed, size)
            self._history, self._followed = found.history, size
        if self._key not in self._history.verifiers:
            raise Altered(f"database: {rotation.shown(self._key)} is no key of the log that it holds")
        return self._history


class Leadership(Protocol):
    """The lease of whoever publishes (`audit.publishing.Term`)."""

    @property
    def lease(self) -> Lease: ...

    def require(self) -> None:
        """Returns while this process leads. Raises `LeaseLost` from the moment on at which another may."""
        ...


@implements("REQ-PUB-002")
class Pace(Struct, frozen=True, kw_only=True):
    """How often something is done, and how long it pauses after failures, doubling each time."""

    interval_s: float
    retry_first_s: float
    retry_last_s: float

    def after(self, failures: int) -> float:
        """The pause after so many failures in a row."""
        return min(self.retry_first_s * 2 ** min(failures - 1, 32), self.retry_last_s) if failures else self.interval_s


@implements("REQ-PUB-002")
class AnchorKeeper:
    """Keeps one anchor up with the log. `size` is what it holds for certain, `fault` why it does not hold more."""

    def __init__(
        self,
        name: str,
        anchor: Anchor,
        source: Source,
        observer: PublishingObserver,
        *,
        pace: Pace,
        deadline_s: float,
        forked: Callable[[str], None],
    ) -> None:
        """`forked` is told where the anchor holds a root that this log signed and does not have."""
        self.name: Final = name
        self.size = 0
        self.fault: AuditError | None = None
        self.failures = 0
        self._anchor = anchor
        self._source = source
        self._observer = observer
        self._pace = pace
        self._deadline_s = deadline_s
        self._forked = forked
        self._lane = Lane(f"{name} anchor")

    async def run(self, leadership: Leadership) -> None:
        """Until this process no longer leads."""
        while True:
            try:
                await self._keep_up(leadership)
                self.fault, self.failures = None, 0
            except LeaseLost:
                raise
            except AuditError as error:
                self.fault, self.failures = error, self.failures + 1
                self._observer.anchor_failed(self.name, error.code)
                if isinstance(error, LedgerForked):
                    self._forked(str(error))
                elif isinstance(error, Altered):
                    self._observer.event("anchor_altered", str(error))
            except Exception as fault:  # noqa: BLE001  # a fault of ours with one of them is not the others'
                why = f"{self.name} anchor: a fault of ours ({type(fault).__name__})"
                self.fault, self.failures = LedgerUnavailable(why), self.failures + 1
                self._observer.anchor_failed(self.name, "internal")
            await asyncio.sleep(self._pace.after(self.failures))

    async def _keep_up(self, leadership: Leadership) -> None:
        newest = await self._source.newest()
        if newest is None:
            return
        if newest.size > self.size:
            database = await self._source.store.ready()
            leadership.require()
            self._anchor.trust(newest.keys)
            await self._lane.call(
                lambda: self._anchor.put(
                    newest.note, system_identifier=database.system_identifier, timeline=database.timeline
                ),
                deadline_s=self._deadline_s,
            )
            self.size = newest.size
        self._observer.anchored(self.name, newest.size)
