"""Collecting cosignatures: every witness is sent the same checkpoint, each at its own pace, and what comes is stored.

A witness that is slow, down or lying costs its own cosignature and nothing else: it has a thread, a deadline and a
pause of its own. What a crash leaves behind: cosignatures that were received and not stored are asked for again, and
a witness gives them again for the same checkpoint.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from audit import attestation, note, tree
from audit.errors import AuditError, LeaseLost, LedgerForked, LedgerUnavailable, WitnessFailed
from audit.note import Signature
from audit.ports import Cosigned, PublishingObserver
from audit.publishing_anchors import Leadership, Pace, Source
from audit.publishing_lanes import Lane
from audit.publishing_rounds import Round
from audit.receipt import Policy
from audit.witnesses import Conflict, WitnessClient
from traceability.marks import implements

Result = TypeVar("Result")

MAX_CONFLICTS: Final = 3
"""How often in one go a witness may name another size than it had: others may publish for the same log meanwhile."""
CONTRADICTIONS: Final = frozenset({"inconsistent", "ahead"})
MAX_ROUNDS: Final = 8
"""Rounds that are remembered for witnesses that still have one's checkpoint; their later answers are stored too."""


@implements("REQ-PUB-006")
class Asked:
    """One witness and what it is known to have. `size` is the largest that it cosigned for us, `fault` why not more."""

    def __init__(self, client: WitnessClient, deadline_s: float) -> None:
        self.client: Final = client
        self.name: Final = client.name
        self.size = 0
        self.fault: AuditError | None = None
        self.failures = 0
        self._deadline_s = deadline_s
        self._known = 0
        self._lane = Lane(f"witness {client.name}", client.abort)

    async def cosign(self, source: Source, round_: Round) -> tuple[Signature, ...]:
        """Its cosignatures, verified, over this round's checkpoint. Raises `WitnessFailed`, or what reading raises."""
        for _ in range(MAX_CONFLICTS):
            # From more than a database has, which was rolled back, there is no proof: the witness says what it has.
            known = self._known if self._known <= round_.size else 0
            proof = await tree.consistency(source.reader, known, round_.size) if known else ()
            answer = await self._answer(partial(self.client.add_checkpoint, known, proof, round_.signed))
            if not isinstance(answer, Conflict):
                self._known = round_.size
                return answer
            if answer.size > round_.size:
                why = f"it has {answer.size} records, this checkpoint {round_.size}"
                raise WitnessFailed("ahead", f"witness {self.name}: {why}")
            self._known = answer.size
        raise WitnessFailed("conflicting", f"witness {self.name}: it names another size each time")

    async def require_no_fork(self, source: Source, origin: str) -> None:
        """What it has cosigned before is in our tree, as far as it shows it.

        Raises `LedgerForked` where the log's own signature proves otherwise: a witness's word alone proves nothing.
        """
        elsewhere = await self._answer(partial(self.client.latest, origin))
        if elsewhere is not None:
            await source.require_holds(elsewhere, f"witness {self.name}")

    async def _answer(self, question: Callable[[], Result]) -> Result:
        try:
            return await self._lane.call(question, deadline_s=self._deadline_s)
        except LedgerUnavailable as error:
            raise WitnessFailed("timeout", str(error)) from error


@implements("REQ-PUB-006")
class Collector:
    """Rounds of one checkpoint each, one after the other. `size` is the largest that met the policy and is stored."""

    def __init__(
        self,
        source: Source,
        policy: bytes,
        clients: Sequence[WitnessClient],
        observer: PublishingObserver,
        *,
        pace: Pace,
        deadline_s: float,
        forked: Callable[[str], None],
    ) -> None:
        """`policy` is its text: it is read anew for each round, since the log's keys may have been rotated. `forked`
        is told where a witness has a checkpoint that the log signed and does not have."""
        self.asked: Final = tuple(Asked(client, deadline_s) for client in clients)
        self.size = 0
        self._source = source
        self._policy = policy
        self._observer = observer
        self._pace = pace
        self._forked = forked
        self._rounds: list[Round] = []
        self._changed = asyncio.Event()

    @property
    def nothing_due(self) -> bool:
        """Whether everything that is worth storing by now is stored."""
        return all(round_.due() is None for round_ in self._rounds)

    async def run(self, leadership: Leadership) -> None:
        """Until this process no longer leads."""
        self._rounds = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._begin_rounds())
                group.create_task(self._store_what_comes(leadership))
                for one in self.asked:
                    group.create_task(self._ask(one, leadership))
        finally:
            for one in self.asked:
                one.client.close()

    async def _begin_rounds(self) -> None:
        failures = 0
        while True:
            try:
                await self._begin_round()
                failures = 0
            except AuditError as error:
                failures += 1
                self._observer.event("publisher_failed", f"{error.code}: {error}")
            await asyncio.sleep(self._pace.after(failures))

    async def _begin_round(self) -> None:
        newest = await self._source.newest()
        if newest is None or (self._rounds and newest.size <= self._rounds[-1].size):
            return
        adopted = attestation.adopt(self._policy, newest.keys)
        attestation.require_log(newest.note, adopted)
        begun = Round(newest.size, newest.note, adopted, [one.name for one in self.asked])
        if not self._rounds:
            self._take_over(begun, adopted.policy, await self._source.reader.cosigned(newest.size - 1, newest.size, 1))
        for before in self._rounds:
            before.waiting.clear()  # whoever comes late is still stored, and nobody is waited for
        self._rounds = [*self._rounds, begun][-MAX_ROUNDS:]
        self._touch()

    def _take_over(self, begun: Round, policy: Policy, stored: Sequence[Cosigned]) -> None:
        """What the leader before us collected for this very checkpoint is not asked for again."""
        keys = [*policy.logs, *(witness.key for witness in policy.witnesses)]
        for cosigned in stored:
            with contextlib.suppress(AuditError):
                opened = note.open(cosigned.checkpoint, keys)
                if opened.text == note.split(begun.signed)[0]:
                    begun.add(opened.verified)

    async def _ask(self, one: Asked, leadership: Leadership) -> None:
        one.size = 0
        while True:
            round_ = await self._round_for(one)
            try:
                if not round_.has(one.client.keys):
                    leadership.require()
                    round_.add(await one.cosign(self._source, round_))
                one.size, one.fault, one.failures = round_.size, None, 0
                self._observer.witnessed(one.name, round_.size)
            except LeaseLost:
                raise
            except AuditError as error:
                one.fault, one.failures = error, one.failures + 1
                reason = getattr(error, "reason", error.code)
                self._observer.witness_failed(one.name, reason)
                if reason in CONTRADICTIONS:
                    one.fault = await self._look_for_fork(one, round_, error)
            except Exception as fault:  # noqa: BLE001  # a fault of ours with one of them is not the others'
                why = f"witness {one.name}: a fault of ours ({type(fault).__name__})"
                one.fault, one.failures = WitnessFailed("internal", why), one.failures + 1
                self._observer.witness_failed(one.name, "internal")
            round_.waiting.discard(one.name)
            self._touch()
            if one.failures:
                await asyncio.sleep(self._pace.after(one.failures))

    async def _look_for_fork(self, one: Asked, round_: Round, fault: AuditError) -> AuditError:
        """Why the witness contradicts us: the proof of it, if there is one, else what it said."""
        try:
            await one.require_no_fork(self._source, round_.signed.partition("\n")[0])
        except LedgerForked as error:
            self._forked(str(error))
            return error
        except Exception:  # noqa: BLE001  # what it shows is a stranger's; whatever it does to us proves nothing
            return fault
        return fault

    async def _round_for(self, one: Asked) -> Round:
        """The newest round, once there is one that this witness has not cosigned."""
        while not self._rounds or self._rounds[-1].size <= one.size:
            await self._changed.wait()
        return self._rounds[-1]

    async def _store_what_comes(self, leadership: Leadership) -> None:
        failures = 0
        while True:
            changed = self._changed
            try:
                for round_ in self._rounds:
                    await self._store(round_, leadership)
                failures = 0
            except LeaseLost:
                raise
            except AuditError as error:
                failures += 1
                self._observer.event("publisher_failed", f"{error.code}: {error}")
                await asyncio.sleep(self._pace.after(failures))
                continue
            await changed.wait()

    async def _store(self, round_: Round, leadership: Leadership) -> None:
        due = round_.due()
        if due is None:
            return
        leadership.require()
        await self._source.store.cosign(leadership.lease, due)
        round_.kept(due)
        if due.attested:
            self.size = max(self.size, due.size)
            self._observer.attested(due.size)

    def _touch(self) -> None:
        """Whoever waits for something to change looks again."""
        self._changed.set()
        self._changed = asyncio.Event()
