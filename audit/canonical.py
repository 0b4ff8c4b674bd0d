"""Canonical JSON: RFC 8785 (JCS), restricted so that one value has one encoding.

Values are null, booleans, integers within 2^53-1, strings, arrays and objects whose member names match
`[a-z][a-z0-9_]*`. No floats, no duplicate members, no lone surrogates, at most `MAX_DEPTH` levels and
`MAX_BYTES` bytes. On this subset msgspec's sorted encoder writes exactly the form of JCS: names are ASCII,
so that its order by code point is JCS's order by UTF-16 code unit, and its escapes are those of
RFC 8785 section 3.2.2.2.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import msgspec

from audit.errors import Malformed
from traceability.marks import implements

Value = None | bool | int | str | list["Value"] | tuple["Value", ...] | Mapping[str, "Value"]

MAX_SAFE_INTEGER: Final = 2**53 - 1  # RFC 8785 section 3.2.2.3: integers beyond it lose precision in JSON
MAX_DEPTH: Final = 16  # an answer has four levels; parsers may recurse, so the depth is bounded
MAX_BYTES: Final = 1024 * 1024

_name = re.compile(r"[a-z][a-z0-9_]*").fullmatch
_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()


@implements("REQ-LED-007")
def encode(value: Value) -> bytes:
    """The one encoding of `value`: `decode(encode(v)) == v`, a tuple being read back as a list.

    Raises `Malformed` where the value is outside the subset.
    """
    _check(value, MAX_DEPTH)
    try:
        body = _encoder.encode(value)
    except UnicodeEncodeError as error:
        raise Malformed("canonical: a string holds a lone surrogate, which UTF-8 cannot carry") from error
    if len(body) > MAX_BYTES:
        raise Malformed(f"canonical: {len(body)} bytes, at most {MAX_BYTES}")
    return body


@implements("REQ-LED-007")
def decode(body: bytes) -> Any:
    """The value that `body` is the canonical encoding of. Raises `Malformed` for any other bytes, and for text."""
    _require_bytes(body)
    if len(body) > MAX_BYTES:
        raise Malformed(f"canonical: {len(body)} bytes, at most {MAX_BYTES}")
    try:
        value = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("canonical: not JSON in UTF-8, or nested too deep") from error
    # Duplicate members, white space, another order and other escapes all vanish in the value: bytes tell.
    if encode(value) != body:
        raise Malformed("canonical: not in canonical form (RFC 8785: order, white space, escapes, duplicates)")
    return value


@implements("REQ-LED-007")
def parse(body: bytes) -> Any:
    """The value of any JSON text within the subset, in whatever layout a client saved it.

    Raises `Malformed` for duplicate members, floats and all else that has no canonical encoding. What may
    be lost is layout only: `encode(parse(body))` is what the value's author hashed.
    """
    _require_bytes(body)
    if len(body) > MAX_BYTES:
        raise Malformed(f"canonical: {len(body)} bytes, at most {MAX_BYTES}")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_members,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
            parse_int=_integer,
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise Malformed("canonical: not JSON in UTF-8, or nested too deep") from error
    _check(value, MAX_DEPTH)
    return value


def _require_bytes(body: bytes) -> None:
    if not isinstance(body, bytes):
        raise Malformed(f"canonical: expected bytes, got {type(body).__name__}")


def _check(value: object, depth: int) -> None:
    """Exact types only: msgspec would also write floats, dates, byte strings and numbers as names."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:  # type: ignore[operator]  # kind is int
            raise Malformed("canonical: an integer beyond 2^53-1; write it as a string or in a larger unit")
        return
    if depth == 0:
        raise Malformed(f"canonical: more than {MAX_DEPTH} levels of nesting")
    if kind is list or kind is tuple:
        for item in value:  # type: ignore[attr-defined]  # kind is list or tuple
            _check(item, depth - 1)
    elif kind is dict:
        for name, item in value.items():  # type: ignore[attr-defined]  # kind is dict
            if type(name) is not str or _name(name) is None:
                raise Malformed("canonical: a member name that is not [a-z][a-z0-9_]*")
            _check(item, depth - 1)
    else:
        raise Malformed(f"canonical: no encoding for {kind.__name__}; floats are scaled to integers")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("canonical: a member twice in one object; which one holds is anybody's guess")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 17 or digits == "-0":  # 2^53-1 has 16 digits
        _refuse_number(digits)
    return int(digits)


def _refuse_number(digits: str) -> NoReturn:
    raise Malformed(f"canonical: {digits[:32]} is not an integer within 2^53-1")
