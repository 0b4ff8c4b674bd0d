"""What verification finds: its class, its place, and words for a person.

`deleted`, `inserted`, `reordered`, `truncated` and `record_edited` speak of records; what is stored *about* records is
`hash_edited` (a leaf, a chain hash, a tile, a batch's row, a published checkpoint) or `derived_column`. Where chain and
tree were recomputed as well, only what was signed can tell: `suffix_rewritten`. docs/tamper.md is the whole table.

Pure.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

Fault = Literal[
    "record_edited",
    "hash_edited",
    "derived_column",
    "deleted",
    "inserted",
    "reordered",
    "truncated",
    "suffix_rewritten",
    "forked",
    "wrong_key",
    "schema_changed",
    "time",
]

Part = Literal["record", "leaf", "chain", "tile", "batch", "column", "checkpoint", "key", "clock", "schema"]
"""What of the ledger it is that is wrong."""


class Found(Struct, frozen=True, kw_only=True):
    """One thing that is wrong: its class, the records [first, end) that it lies in, and words for a person."""

    fault: Fault
    part: Part
    first: int
    end: int
    message: str
    notes: tuple[str, ...] = ()
    """The signed notes that contradict each other, whole."""
    altered: bool = True
    """False where it needs an explanation and is no alteration of what was recorded."""


def by_place(found: Iterable[Found]) -> tuple[Found, ...]:
    """In the order of their places, the same thing once."""
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (one.first, one.end, one.fault, one.part)))


def as_text(found: Found) -> str:
    """A line for a person, and under it the notes that contradict each other."""
    lines = [f"  {found.fault} in {place(found)}: {found.message}"]
    for note in found.notes:
        lines += ["", *(f"    {line}" for line in note.splitlines())]
    return "\n".join([*lines, ""] if found.notes else lines)


def place(found: Found) -> str:
    """Where it is, for a person."""
    if found.part == "schema":
        return "the schema"
    return f"size {found.first}" if found.first == found.end else f"[{found.first}, {found.end})"


def as_json(found: Found) -> dict[str, object]:
    """The same for machines."""
    return {
        "class": found.fault,
        "part": found.part,
        "first": found.first,
        "end": found.end,
        "altered": found.altered,
        "message": found.message,
        "notes": list(found.notes),
    }
