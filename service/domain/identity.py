"""The grammars of ids: what is taken from a caller, and how ids are made. Time and randomness come in."""

import re
from typing import Final
from uuid import UUID

from msgspec import Struct

from service.errors import RequestInvalid

UUID7_RANDOM_BYTES: Final = 10
TRACE_RANDOM_BYTES: Final = 24

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
# 26 of Crockford's base 32, at most 2^128 - 1: the first is 7 at most (ULID specification, "Canonical String").
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}", re.ASCII)
_HEX = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
# W3C Trace Context section 3.2.2: version, trace-id, parent-id, flags; lower case hexadecimal only.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", re.ASCII)
_MODEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})(?:@([0-9]{1,9}(?:\.[0-9]{1,9}){0,3}))?", re.ASCII)


class ModelReference(Struct, frozen=True, kw_only=True):
    """A model as a caller names it; without a version, the newest is meant."""

    name: str
    version: str | None


def uuid7(*, now_ms: int, random: bytes) -> str:
    """A UUID of version 7 (RFC 9562 section 5.7): 48 bits of Unix time in milliseconds, 74 random bits.

    `random` is 10 fresh random bytes, of which 6 bits make room for version and variant.
    """
    assert len(random) == UUID7_RANDOM_BYTES
    assert 0 <= now_ms < 2**48
    bits = (now_ms << 80) | int.from_bytes(random, "big")
    bits = bits & ~(0xF << 76) | (0x7 << 76)
    bits = bits & ~(0x3 << 62) | (0x2 << 62)
    return str(UUID(int=bits))


def correlation_id(text: str) -> str | None:
    """`text` where it is a UUID, a ULID or 32 hexadecimal digits, unchanged; None for anything else.

    No other grammar is taken, so that nobody's name can come in as a correlation id.
    """
    known = (_UUID.fullmatch(text), _ULID.fullmatch(text), _HEX.fullmatch(text))
    return text if any(known) else None


def traceparent(text: str) -> str | None:
    """`text` where it is a W3C traceparent of 55 characters, else None.

    Version ff and all-zero ids are invalid (sections 3.2.2.1 to 3.2.2.4). A later version may be longer:
    such a header is not taken, since what follows has no grammar yet.
    """
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace, parent = match.groups()
    valid = version != "ff" and trace != "0" * 32 and parent != "0" * 16
    return text if valid else None


def new_traceparent(random: bytes) -> str:
    """A traceparent of our own, not sampled, from 24 fresh random bytes."""
    assert len(random) == TRACE_RANDOM_BYTES
    trace, parent = random[:16], random[16:]
    assert any(trace)
    assert any(parent)
    return f"00-{trace.hex()}-{parent.hex()}-00"


def model_reference(text: str) -> ModelReference:
    """`NAME` or `NAME@VERSION`. Raises `RequestInvalid` for anything else."""
    match = _MODEL.fullmatch(text)
    if match is None:
        raise RequestInvalid("model: expected NAME or NAME@VERSION, a version being numbers between dots")
    return ModelReference(name=match[1], version=match[2])


def version_order(version: str) -> tuple[int, ...]:
    """What versions are compared by: 1.10 is newer than 1.9, and 1.0 equals 1."""
    numbers = [int(part) for part in version.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
