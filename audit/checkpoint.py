"""Checkpoints (C2SP tlog-checkpoint): the text of a note that states a log's size and root.

    ORIGIN
    SIZE, decimal, no leading zeros
    ROOT, base64
    any extension lines

This is the text alone; `audit.note` signs and opens it.
"""

import base64
import re
from typing import Final

from msgspec import Struct

from audit.errors import Malformed
from audit.merkle import HASH_BYTES
from audit.note import decode_base64
from traceability.marks import implements

MAX_SIZE: Final = 2**63 - 1  # what a PostgreSQL bigint and the 64 levels of C2SP tlog-tiles can count

_decimal = re.compile("0|[1-9][0-9]{0,18}").fullmatch
# What splits a line or must not stand in a note, and lone surrogates, which UTF-8 cannot carry.
_unprintable = re.compile("[\x00-\x1f\ud800-\udfff]").search


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A log's size and root. `extensions` are opaque lines that nobody audits; we write none."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@implements("REQ-LED-026")
def format(checkpoint: Checkpoint) -> str:  # noqa: A001  # read as checkpoint.format
    """The note text of `checkpoint`. Raises `Malformed` where it has none."""
    if not isinstance(checkpoint, Checkpoint) or not isinstance(checkpoint.extensions, tuple):
        raise Malformed("checkpoint: expected a Checkpoint")
    for line in (checkpoint.origin, *checkpoint.extensions):
        if not isinstance(line, str) or not line or _unprintable(line):
            raise Malformed("checkpoint: origin and extensions are lines, not empty, no control characters")
    if type(checkpoint.size) is not int or not 0 <= checkpoint.size <= MAX_SIZE:
        raise Malformed(f"checkpoint: a size from 0 to {MAX_SIZE}")
    if not isinstance(checkpoint.root, bytes) or len(checkpoint.root) != HASH_BYTES:
        raise Malformed(f"checkpoint: a root has {HASH_BYTES} bytes")
    root64 = base64.b64encode(checkpoint.root).decode("ascii")
    return "\n".join((checkpoint.origin, str(checkpoint.size), root64, *checkpoint.extensions, ""))


@implements("REQ-LED-026")
def parse(text: str) -> Checkpoint:
    """The checkpoint whose note text this is: `format(parse(t)) == t`. Raises `Malformed` otherwise."""
    if not isinstance(text, str):
        raise Malformed("checkpoint: expected a text")
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1]:
        raise Malformed("checkpoint: expected origin, size and root, each on a line ended by a newline")
    origin, size, root64, *extensions = lines[:-1]
    if _decimal(size) is None:
        raise Malformed("checkpoint: the size is a decimal without leading zeros")
    root = decode_base64(root64, "checkpoint: the root")
    checkpoint = Checkpoint(origin=origin, size=int(size), root=root, extensions=tuple(extensions))
    if format(checkpoint) != text:
        raise Malformed("checkpoint: not in the form that it would be written in")
    return checkpoint
