"""The ledger that is tampered with: a record of every kind, a rotated key, published and cosigned checkpoints, anchors.

It is written through a store like any other, in batches of given sizes, so that the same ledger is in memory and in
PostgreSQL.
"""

from collections.abc import Iterator, Sequence
from uuid import UUID

from msgspec import Struct, structs

from audit import attestation, cosignature, merkle, note, record, rotation
from audit.ports import Anchored, Cosigned, Store
from audit.record import Record
from tests.audit_log import a_prediction, an_answer
from tests.held_anchors import anchored, signed_by

ORIGIN = "log.example/tampered"
KEY = note.Signer.generate(ORIGIN, b"\x01" * 32)
NEXT_KEY = note.Signer.generate(ORIGIN, b"\x02" * 32)
FOREIGN_KEY = note.Signer.generate(ORIGIN, b"\x03" * 32)
WITNESS = cosignature.Cosigner("witness.example/w", b"\x04" * 32)
POLICY = f"witness w {WITNESS.verifier}\nquorum w\n".encode()
OTHER_POLICY = b"quorum none\n"
ROTATED = 9
"""Index of the record that makes `NEXT_KEY` the log's."""
DAY_US = 1_790_000_000_000_000
HOLDER = UUID(int=7)


class Plan(Struct, frozen=True, kw_only=True):
    """Where batches end, and at which of these sizes something is signed."""

    batches: tuple[int, ...]
    published: tuple[int, ...]
    cosigned: tuple[int, ...]
    anchored: tuple[int, ...]

    @property
    def size(self) -> int:
        return self.batches[-1]

    def batch_of(self, index: int) -> tuple[int, int]:
        """The batch [first, size) that holds the record."""
        first = max((size for size in self.batches if size <= index), default=0)
        return first, min(size for size in self.batches if size > index)

    def hashed_with(self, index: int) -> tuple[int, int]:
        """The records of its batch that are under the same hash of the batch's frontier."""
        first, size = self.batch_of(index)
        parts = [(place << height, place + 1 << height) for height, place in merkle.frontier_needs(size)]
        part = next(part for part in parts if part[0] <= index < part[1])
        return max(first, part[0]), part[1]

    def between_signed(self, index: int) -> tuple[int, int]:
        """The interval between the last signed size that agrees and the first that does not, of a rewritten suffix."""
        signed = sorted({*self.published, *self.cosigned, *self.anchored})
        return max((size for size in signed if size <= index), default=0), min(s for s in signed if s > index)


SMALL = Plan(batches=(1, 5, 6, 9, 10, 13), published=(1, 6, 10, 13), cosigned=(6, 13), anchored=(1, 6, 10, 13))
TALL = Plan(
    batches=(1, 5, 6, 9, 10, 13, 32, 40, 41, 65, 129, 269, 272, 532, 592, 600),
    published=(1, 6, 10, 41, 129, 272, 592, 600),
    cosigned=(6, 272, 592),
    anchored=(1, 10, 129, 272, 600),
)


class Made(Struct, frozen=True, kw_only=True):
    """A ledger that was written, and its anchors."""

    plan: Plan
    anchors: tuple[Anchored, ...]

    def signed(self, size: int, root: bytes) -> str:
        return signed_by(key_of(size), size, root)


def key_of(size: int) -> note.Signer:
    """Whose that size is to sign."""
    return NEXT_KEY if size > ROTATED + 1 else KEY


async def write(store: Store, plan: Plan) -> Made:
    """The whole ledger of `plan`, in an empty store."""
    entries = list(_entries(plan.size))
    size, anchors = 0, []
    lease = await store.lease("witnesses", HOLDER, 60_000)
    for end in plan.batches:
        batch = entries[size:end]
        ids, bodies = [record.event_uuid(entry) for entry in batch], [record.encode(entry) for entry in batch]
        # The database answers with nothing more than the caller knows already where it knows all but this batch.
        after = (await store.append(size, ids, bodies)).after
        size = end
        signed = signed_by(key_of(size), size, merkle.frontier_root(size, after))
        if size in plan.published:
            await store.publish(size, signed.encode())
        if size in plan.cosigned:
            for cosigned in _cosigned(size, signed):
                await store.cosign(lease, cosigned)
        if size in plan.anchored:
            anchors.append(anchored(signed))
    return Made(plan=plan, anchors=tuple(anchors))


def _cosigned(size: int, signed: str) -> list[Cosigned]:
    """Two versions: before the witness has cosigned, and after."""
    with_witness = signed + WITNESS.cosign(note.split(signed)[0], 1_790_000_000).line
    policy = attestation.adopt(POLICY, (KEY.verifier, NEXT_KEY.verifier)).policy
    return [
        Cosigned(
            size=size,
            checkpoint=text.encode(),
            attested=attestation.judge(text, policy).attested,
            policy=POLICY,
        )
        for text in (signed, with_witness)
    ]


def _entries(size: int) -> Iterator[Record]:
    """The records, in order, each a second after the other."""
    makers = [*_kinds(), *(_request() for _ in range(size))][:size]
    for at, made in enumerate(makers):
        then_us = DAY_US + at * 1_000_000
        if at == ROTATED:
            yield rotation.endorse(KEY, NEXT_KEY, event_id=made.event_id, recorded_at_us=then_us)
        else:
            yield structs.replace(made, recorded_at_us=then_us)


def _kinds() -> Sequence[Record]:
    prediction = a_prediction(an_answer())
    process = _id()
    return (
        record.Genesis(
            event_id=_id(), origin=ORIGIN, verifier_key=str(KEY.verifier), formats=(record.FORMAT,),
            clock_tolerance_us=10_000_000, format=record.FORMAT, recorded_at_us=0,
        ),
        record.ServiceStarted(
            event_id=_id(), process_id=process, version="1.0.0", commit="abc", release="c" * 64,
            models=(prediction.model,), format=record.FORMAT, recorded_at_us=0,
        ),
        structs.replace(
            prediction, event_id=_id(), traceparent=f"00-{'a' * 32}-{'b' * 16}-01", release="d" * 64,
            subject=record.Subject(patient=f"k1:{'1' * 64}", study=f"k1:{'2' * 64}"),
        ),
        structs.replace(prediction, event_id=_id(), input=structs.replace(prediction.input, frame=3)),
        structs.replace(
            prediction, event_id=_id(), actor=None, finding=record.Finding(decision="abstain", reasons=("blank",))
        ),
        _request(status=401, code="unauthenticated"),
        _request(actor="pacs", release="e" * 64),
        record.Outcome(
            event_id=_id(), of_index=2, request_id=_id(), outcome="stream_cut", bytes_sent=12, sha256="f" * 64,
            format=record.FORMAT, recorded_at_us=0,
        ),
        record.Window(
            event_id=_id(), phase="opened", subject="public", peer=f"k1:{'3' * 64}", minute_us=60_000_000,
            process_id=process, release=None, format=record.FORMAT, recorded_at_us=0,
        ),
        _request(),  # its place is that of the rotation
        record.Window(
            event_id=_id(), phase="closed", subject="public", peer=f"k1:{'3' * 64}", minute_us=60_000_000,
            process_id=process, opens_index=8, count=5, first_us=60_000_001, last_us=60_000_009, release="a" * 64,
            format=record.FORMAT, recorded_at_us=0,
        ),
        record.Outage(
            event_id=_id(), process_id=process, from_us=1, to_us=2, refused=3, format=record.FORMAT, recorded_at_us=0
        ),
        record.ServiceStopped(event_id=_id(), process_id=process, requests=4, format=record.FORMAT, recorded_at_us=0),
    )  # fmt: skip


def _request(**other: object) -> record.Request:
    made = record.Request(
        format=record.FORMAT, event_id=_id(), recorded_at_us=0, request_id=_id(), correlation_id=_id(),
        method="GET", route="/health", status=200, peer=f"k1:{'0' * 64}", release=None,
    )  # fmt: skip
    return structs.replace(made, **other)


def _id() -> str:
    return record.new_event_id()
