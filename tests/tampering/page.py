"""The tables of docs/tamper.md, as the tests have them."""

from collections.abc import Iterable
from typing import Final

from tests.tampering.mutation import NOTHING, Mutation
from tests.tampering.table import BATCHES_AND_TILES, BEGINNING, COUNTED, EDITED, MOVED, SIGNED

DERIVED: Final = "derived from the record, to search by"
MEANINGS: Final = {
    "records.idx": "the record's place in the tree and the chain",
    "records.event_id": DERIVED,
    "records.record": "hashed into the leaf",
    "records.leaf_hash": "hashed into chain and tree",
    **{
        f"records.{name}": DERIVED
        for name in (
            "kind", "recorded_at_us", "request_id", "correlation_id", "actor", "peer", "route", "status", "code",
            "decision", "model", "release", "patient", "study", "process_id", "phase", "minute_us", "of_index",
        )
    },
    "nodes.height": "derived: of which subtree the hash is",
    "nodes.idx": "derived: of which subtree the hash is",
    "nodes.hash": "derived from the leaf hashes, signed with the tree",
    "batches.size": "derived: at which size chain and frontier are",
    "batches.first": "derived: where the batch before ends",
    "batches.chain": "derived from the leaf hashes",
    "batches.frontier": "derived from the leaf hashes, signed with the tree",
    "checkpoints.size": "derived from the checkpoint",
    "checkpoints.checkpoint": "signed",
    "policies.digest": "derived: the digest of the policy",
    "policies.policy": "hashed into the digest",
    "cosigned.size": "derived from the checkpoint",
    "cosigned.version": "derived: counts from 1",
    "cosigned.attested": "derived: what the policy says of the checkpoint",
    "cosigned.policy": "names the policy, which derives the verdict",
    "cosigned.checkpoint": "signed",
}  # fmt: skip
"""What each column that is evidence is, and why it cannot be altered unseen."""

OPERATIONAL: Final = {
    "leases.name": "which work somebody has taken on",
    "leases.holder": "who has: another one publishes, or for a moment two do, which changes no record",
    "leases.term": "how often it was handed on",
    "leases.expires_at": "until when: work waits, or is done twice",
    "writer_lock.only_row": "what appends wait for: without it nothing can be appended, which the next append says",
}
"""Columns that are nobody's evidence: what altering them does, and who notices."""

GROUPS: Final = (
    ("Records that are others", EDITED),
    ("Records in other places", MOVED),
    ("Records that are missing, or too many", COUNTED),
    ("Batches and tiles", BATCHES_AND_TILES),
    ("Checkpoints and policies", SIGNED),
    ("The beginning, and the log's keys", BEGINNING),
)


def alterations() -> str:
    """Every line of the table, in its groups."""
    return "\n\n".join(f"### {title}\n{_table(_rows(mutations))}" for title, mutations in GROUPS)


def columns() -> str:
    """Every column of every table."""
    rows = [(f"`{name}`", meaning) for name, meaning in (MEANINGS | OPERATIONAL).items()]
    return _lines(("column", "what it is"), rows)


def _rows(mutations: Iterable[Mutation]) -> list[tuple[str, ...]]:
    return [
        (
            mutation.what,
            "" if mutation.recomputed == NOTHING else mutation.recomputed,
            f"`{mutation.fault}`" + ("" if mutation.altered else " (no alteration)"),
            "" if mutation.part in ("record", "key") else mutation.part,
            mutation.shown_place,
        )
        for mutation in mutations
    ]


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    return _lines(("altered", "and recomputed", "class", "part", "place"), rows)


def _lines(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
