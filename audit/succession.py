"""The key history of a log, read from its records. What counts is decided by `audit.rotation`."""

from typing import Final

from msgspec import Struct

from audit import merkle, record
from audit.errors import Altered, AuditError
from audit.ports import Reader, Stored
from audit.record import Genesis, KeyRotated
from audit.rotation import KeyHistory, begin
from traceability.marks import implements

MAX_REFUSED: Final = 100  # more are not told apart: a log with that many has one cause


class Refused(Struct, frozen=True, kw_only=True):
    """A record that says that it rotates the key, and does not; `message` says why not."""

    index: int
    message: str


class Succession(Struct, frozen=True, kw_only=True):
    """The keys of a log up to some size, and the records that would have rotated them."""

    history: KeyHistory
    refused: tuple[Refused, ...] = ()


async def read(reader: Reader, genesis: Genesis, end: int) -> Succession:
    """The keys of the log that begins with `genesis`, by its records [0, end).

    Raises `Malformed` where the genesis names no key of its log, `LedgerUnavailable`.
    """
    return await follow(reader, begin(genesis), 1, end)


@implements("REQ-KEY-002")
async def follow(reader: Reader, history: KeyHistory, first: int, end: int) -> Succession:
    """`history` continued by the rotations among the records [first, end)."""
    refused: list[Refused] = []
    while first < end:
        found = await reader.rotations(first, end)
        for stored in found:
            try:
                history = history.rotated(stored.index, _rotation(stored))
            except AuditError as error:
                refused.append(Refused(index=stored.index, message=str(error)))
        if not found:
            break
        first = found[-1].index + 1
    return Succession(history=history, refused=tuple(refused[:MAX_REFUSED]))


def _rotation(stored: Stored) -> KeyRotated:
    """The record, if it is the one whose leaf hash is in the tree."""
    entry = record.decode(stored.body)
    if not isinstance(entry, KeyRotated) or merkle.leaf_hash(stored.body) != stored.leaf_hash:
        raise Altered(f"record {stored.index}: not a rotation, or not the one that is in the tree")
    return entry
