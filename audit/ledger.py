"""How a record becomes durable and proved: group commit, retry, self-check, signature, anchor.

The life of a batch, and what a crash after each step leaves behind:
  1. taken from the queue         nothing; nobody was answered
  2. sent to `ledger.append`      perhaps a durable batch that nobody was told of; the next start signs it
  3. checked against our own tree the same; had the check failed, this process never writes again
  4. its checkpoint signed        the same; the signature is lost with the process
  5. receipts handed out          durable records, their receipts verify for ever
  6. checkpoint anchored          (within the anchor interval) a database that loses them is found out
"""

import asyncio
from typing import Final
from uuid import UUID

from audit import acceptance, merkle, note, own_records, receipt, record, rotation, succession
from audit.errors import AuditError, CallerBehind, DatabaseChanged, LedgerForked, LedgerUnavailable, RecordRefused
from audit.keyring import Keyring
from audit.merkle import BatchTree
from audit.ongoing import Ongoing
from audit.pending import Item, Pending
from audit.ports import Anchor, Appended, Clock, Head, Keys, Observer, Outages, Proven, Reader, Store
from audit.record import Prediction, Record, Request
from audit.rotation import KeyHistory
from audit.settings import LedgerSettings
from audit.silent import Forgotten, Unobserved
from traceability.marks import implements

_EMPTY: Final = Head(size=0, frontier=(), chain=b"")
_EXPIRY_TICK_S: Final = 0.1  # how far past its deadline a waiter may be told
_CATCH_UPS: Final = 3  # reads of what others wrote, in one try of a batch


class Ledger:
    """One process's way into the ledger (implements `audit.ports.Recorder`). Single-threaded: one event loop.

    `start` before the first append, `close` after the last; store, reader and anchor stay the caller's.
    """

    def __init__(
        self,
        *,
        store: Store,
        reader: Reader,
        signer: note.Signer,
        anchor: Anchor,
        clock: Clock,
        settings: LedgerSettings,
        process_id: str,
        observer: Observer | None = None,
        outages: Outages | None = None,
        keys: Keys | None = None,
        second: note.NoteSigner | None = None,
    ) -> None:
        """`signer` is or was the log's; `keys` gives the one that it was or will be rotated to; `second` signs, too."""
        self._store, self._reader, self._anchor = store, reader, anchor
        self._clock, self._settings = clock, settings
        self._keyring = Keyring(signer, keys, second)
        self._observer = observer or Unobserved()
        self._pending = Pending(
            max_records=settings.max_batch_records,
            max_bytes=settings.max_batch_bytes,
            max_waiting=settings.max_waiting_records,
            linger_us=settings.linger_us,
        )
        self._turn = asyncio.Lock()  # whoever holds it may change the head
        self._head = _EMPTY
        self._database: tuple[str | None, int] = (None, 0)
        self._signed: tuple[int, str] = (0, "")
        self._is_anchoring = False
        self._flying: list[Item] = []
        self._down: str | None = "the ledger has not started"
        self._dead: str | None = None
        self._outage = Ongoing(outages or Forgotten(), process_id)
        self._tasks: list[asyncio.Task[None]] = []

    @implements("REQ-LED-015")
    async def start(self) -> None:
        """Check the database, sign and anchor what is unsigned, then take records.

        Raises what `acceptance.accept` raises: then nothing was started.
        """
        await self._accept(None)
        await self._publish()
        self._down = None
        for outage in await self._outage.left():
            self._add(outage)  # the first append afterwards
        for work in (self._flush_forever(), self._keep_forever(), self._expire_forever()):
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def close(self) -> None:
        """Write what waits (at most `append_deadline_ms`), anchor the last checkpoint, stop. Twice is once."""
        if not self._tasks:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.append_deadline_ms / 1000
        while (self._pending or self._flying) and self.unready() is None and loop.time() < until:  # noqa: ASYNC110  # once, at the end
            await asyncio.sleep(0.005)
        self._down = "the ledger is closed"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._pending.fail_all(LedgerUnavailable("ledger: closed"))
        await self._note_outage()
        self._outage.close()
        await self._anchor_the_last()

    @implements("REQ-LED-012")
    async def append(self, entry: Record) -> Proven:
        """Durable, checked, signed and proved when it returns.

        Raises `LedgerUnavailable` where it is not known to be durable within `append_deadline_ms` (should it
        become so later, an outcome record says that its answer was replaced), `RecordRefused`, `Malformed`.
        """
        body = record.encode(entry)
        if (reason := self.unready()) is not None:
            raise LedgerUnavailable(f"ledger: {reason}")
        loop = asyncio.get_running_loop()
        item = Item(entry, body, loop.time() + self._settings.append_deadline_ms / 1000, loop.create_future())
        self._pending.put(item)
        return await item.future

    def enter(self) -> None:
        """A request that will append is under way: a flush may linger for it."""
        self._pending.enter()

    def leave(self) -> None:
        """It has appended, or never will."""
        self._pending.leave()

    def unready(self) -> str | None:
        """Why no record can be taken now, or None."""
        return self._dead if self._dead is not None else self._down

    def refused(self, recorded_at_us: int) -> None:
        """A request was answered 503 because it could not be recorded: the next outage record counts it."""
        self._outage.refuse(recorded_at_us)

    @property
    def size(self) -> int:
        """The tree size that this process has checked."""
        return self._head.size

    @property
    def keys(self) -> KeyHistory:
        """The log's keys as this process knows them; a rotation is known at the next append, or within a second."""
        return self._keyring.history

    async def _flush_forever(self) -> None:
        while self._dead is None:
            batch = self._flying = await self._pending.take()
            await self._settle(batch)
            self._flying = []

    @implements("REQ-LED-018")
    async def _settle(self, batch: list[Item]) -> None:
        """Try `batch` as it is until its fate is known. One refused for its data is split in two."""
        pause_s = self._settings.retry_first_ms / 1000
        while self._dead is None:
            try:
                return await self._commit(batch)
            except RecordRefused as error:
                if len(batch) == 1:
                    self._outage.recorded(batch[0].record)  # an outage that was recorded before its note was cleared
                    return batch[0].fail(error)
                await self._settle(batch[: len(batch) // 2])
                return await self._settle(batch[len(batch) // 2 :])
            except LedgerUnavailable as error:
                self._fall(str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._settings.retry_last_ms / 1000)
            except AuditError as error:
                return self.halt(f"{error.code}: {error}")
        return None

    async def _commit(self, batch: list[Item]) -> None:
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self._dead is not None:  # found out by whoever had the turn before
                raise LedgerForked(self._dead)
            started = loop.time()
            ids, bodies = [item.event_id for item in batch], [item.body for item in batch]
            answer = await self._appended(ids, bodies)
            leaves = tuple(item.leaf for item in batch)
            if answer.first >= self._head.size:
                after = acceptance.check_append(self._head, leaves, answer)
                self._head = Head(size=after.size, frontier=after.frontier, chain=answer.chain)
            else:
                after = await acceptance.check_older(self._reader, self._head, leaves, answer)
        self._observer.flushed(records=len(batch), commit_us=int((loop.time() - started) * 1_000_000))
        signed = self._sign(after.size, after.root)
        for index, item in enumerate(batch, answer.first):
            self._hand_out(item, index, after, signed)
        self._rise()

    async def _appended(self, ids: list[UUID], bodies: list[bytes]) -> Appended:
        """What the store answers, after reading what it does not give back. Requires the turn."""
        for _ in range(_CATCH_UPS):
            try:
                return await self._store.append(self._head.size, ids, bodies, timeline=self._database[1])
            except CallerBehind:
                await self._catch_up()
            except DatabaseChanged:
                await self._check_anew()
        raise LedgerUnavailable("ledger: others write faster than this process can read what they wrote")

    async def _catch_up(self) -> None:
        """The head is what others made of it since, and a key that they rotated to signs from there on.

        Where that key is not at hand (`KeyMissing`), nothing has changed: no tree is signed by the wrong one.
        """
        head = await acceptance.extend(self._reader, self._head)
        found = await succession.follow(self._reader, self._keyring.history, self._head.size, head.size)
        self._use(found.history)
        self._head = head

    def _use(self, history: KeyHistory) -> None:
        self._anchor.trust(history.verifiers)
        if self._keyring.use(history):
            self._observer.event("key_rotated", f"the log's key is now {rotation.shown(history.current.key)}")

    @implements("REQ-LED-012")
    def _hand_out(self, item: Item, index: int, after: BatchTree, signed: str) -> None:
        proof = receipt.format(receipt.Receipt(index=index, path=after.path(index), checkpoint=signed, extra=item.body))
        item.settle(Proven(index=index, leaf_hash=item.leaf, proof=proof))
        self._outage.recorded(item.record)
        if item.abandoned and isinstance(item.record, Prediction | Request):
            self._add(own_records.replaced(item.record, index, self._clock.now_us()))

    def _sign(self, size: int, root: bytes) -> str:
        signed = self._keyring.sign(size, root)
        if size >= self._signed[0]:
            self._signed = (size, signed)
        return signed

    def _add(self, entry: Record) -> None:
        """Queue a record of the ledger's own making, for which nobody waits."""
        loop = asyncio.get_running_loop()
        item = Item(entry, record.encode(entry), float("inf"), loop.create_future())
        try:
            self._pending.put(item)
        except LedgerUnavailable as error:
            self._observer.event("unavailable", f"a record of kind {type(entry).__name__} was dropped: {error}")

    def _fall(self, reason: str) -> None:
        """No record can be taken: whatever was not yet sent is refused at once."""
        if self._down is None:
            self._down = reason
            self._observer.event("unavailable", reason)
            self._outage.begin(self._clock.now_us())
        self._pending.fail_all(LedgerUnavailable(f"ledger: {reason}"))

    @implements("REQ-LED-019")
    def _rise(self) -> None:
        """Records are taken again, unless anchors are not; the outage, if there was one, is the first of them."""
        if self._is_anchoring:
            return
        if self._down is not None:
            self._down = None
            self._observer.event("recovered", "records are taken again")
        if (outage := self._outage.end(self._clock.now_us())) is not None:
            self._add(outage)

    async def _note_outage(self) -> None:
        try:
            await self._outage.note()
        except LedgerUnavailable as error:
            self._observer.event("unavailable", str(error))

    async def _expire_forever(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_TICK_S)
            self._expire(asyncio.get_running_loop().time())
            await self._note_outage()

    def _expire(self, now: float) -> None:
        """Whoever has waited longer than the deadline is told; the batch in flight itself goes on being tried."""
        late = LedgerUnavailable("ledger: the record did not become durable in time")
        overdue = [item for item in self._flying if item.deadline <= now and not item.abandoned]
        for item in overdue:
            item.fail(late)
        if overdue or self._pending.expire(now, late):
            self._fall("a commit takes longer than the deadline")

    @implements("REQ-LED-011")
    def halt(self, reason: str) -> None:
        """This process will never write or sign again: only a person can say which history is right."""
        if self._dead is None:
            self._dead = reason
            self._observer.event("forked", reason)
            # Callers hold what was signed: whoever starts next is to be held to it as well.
            self._tasks.append(asyncio.create_task(self._anchor_the_last()))
        refusal = LedgerUnavailable("ledger: the database contradicts what this process knows")
        for item in self._flying:
            item.fail(refusal)
        self._pending.fail_all(refusal)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """None of the ledger's tasks ends by itself; one that does was ended by a fault of ours: fail closed."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.halt(f"internal: {type(fault).__name__}")

    async def _keep_forever(self) -> None:
        while self._dead is None:
            interval_ms = self._settings.anchor_interval_ms if self._down is None else self._settings.probe_interval_ms
            await asyncio.sleep(interval_ms / 1000)
            try:
                await self._keep()
            except LedgerUnavailable as error:
                self._fall(str(error))
            except AuditError as error:
                self.halt(f"{error.code}: {error}")

    async def _keep(self) -> None:
        within_s = self._settings.probe_timeout_ms / 1000
        # A server that is paused answers nothing, and the statement itself may take longer than anybody should wait.
        late = asyncio.get_running_loop().call_later(within_s, self._fall, f"database: no answer within {within_s} s")
        try:
            readiness = await self._store.ready()
        finally:
            late.cancel()
        acceptance.require_usable(readiness)
        database = (readiness.system_identifier, readiness.timeline)
        # A commit that is under way says more of the same database than this could. Under load one always is: what
        # was signed is anchored all the same.
        if database != self._database or not (self._flying and self._turn.locked()):
            async with self._turn:
                if database != self._database:  # else an append has met it meanwhile, and checked it
                    await self._check_anew()
                elif readiness.size > self._head.size and not self._flying:
                    await self._catch_up()
        await self._publish()
        if self._down is not None and not self._flying:
            self._rise()

    async def _check_anew(self) -> None:
        """After a failover or a restore, before anything is written: is it still our log? Requires the turn."""
        self._observer.event("timeline_changed", "the database is another one: checking it")
        await self._accept(self._head)

    async def _accept(self, known: Head | None) -> None:
        verifier = self._keyring.given.verifier
        accepted = await acceptance.accept(self._store, self._reader, self._anchor, verifier, known=known)
        if known is None:
            self._use(accepted.keys)
            self._head = accepted.head
            self._attest(accepted.signed)
        self._database = (accepted.system_identifier, accepted.timeline)

    def _attest(self, signed: str | None) -> None:
        """The head is signed: by whoever wrote it, or now. Where it is the last that a retired key signs, and that
        key is gone, the next append's checkpoint covers it."""
        size = self._head.size
        if signed is not None:
            self._signed = (size, signed)
        elif self._keyring.can_sign(size):
            self._sign(size, merkle.frontier_root(size, self._head.frontier))

    @implements("REQ-LED-014")
    async def _publish(self) -> None:
        """Anchor first, so that what the database publishes is never ahead of what it can be held to."""
        size, signed = self._signed
        if size == 0:
            return
        identifier, timeline = self._database
        self._is_anchoring = True  # and stays so where it fails
        await asyncio.to_thread(self._anchor.put, signed, system_identifier=identifier, timeline=timeline)
        self._is_anchoring = False
        self._observer.anchored("folder", size)
        if self._dead is None:
            kept = await acceptance.publish(self._store, self._reader, self.keys, size, signed)
            if self._signed[0] == size:  # and nothing was signed meanwhile
                self._signed = (size, kept)

    async def _anchor_the_last(self) -> None:
        try:
            await self._publish()
        except AuditError as error:
            # The next start signs and anchors what this one could not, if the database still has it.
            self._observer.event("unavailable", f"the last checkpoint is not anchored: {error}")
