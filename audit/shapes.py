"""The grammar of a struct's canonical bytes, as one regular expression.

msgspec checks types, lengths and ranges fast, but matches a `Meta(pattern=...)` by calling back into Python
for every member, and says nothing of white space, order and escapes. A record's canonical form is so regular
that one expression a kind says all of that at once, in a third of the time: what msgspec decodes and
`grammar` matches is exactly what the sorted encoder writes.
"""

import re
from collections.abc import Callable
from typing import Final

from msgspec import Meta, Struct, inspect

PATTERN: Final = "pattern"
_DIGITS: Final = "[1-9][0-9]{0,15}"  # 2^53-1 has 16 digits; msgspec checks the bounds


def shaped(pattern: str, shortest: int, longest: int) -> Meta:
    """The constraint of a string: its lengths in characters, and its `pattern` as it stands encoded.

    The pattern is matched in full between the quotes, so it must admit only what the encoder writes there:
    `"` and `\\` as escapes, no control character.
    """
    # JSON Schema speaks of the value; where encoding changes nothing, value and encoded form are the same.
    schema = None if '"' in pattern else {PATTERN: f"^{pattern}$"}
    return Meta(min_length=shortest, max_length=longest, extra={PATTERN: pattern}, extra_json_schema=schema)


def grammar(struct: type[Struct]) -> Callable[[bytes], object]:
    """A function that returns None for bytes that are not `struct` encoded with sorted members.

    Requires msgspec to have decoded the bytes as `struct`: what msgspec checks is not checked again.
    Every string of the struct is `shaped` or a literal; every member with a default is left out when unset.
    """
    return re.compile(_of(inspect.type_info(struct), None).encode("utf-8")).fullmatch


def _of(info: inspect.Type, pattern: object) -> str:
    match info:
        case inspect.Metadata():
            return _of(info.type, (info.extra or {}).get(PATTERN))
        case inspect.StructType():
            return _struct(info)
        case inspect.UnionType():
            return "(?:null|" + "|".join(_of(one, None) for one in _present(info)) + ")"
        case inspect.VarTupleType():
            item = _of(info.item_type, None)
            return rf"\[(?:{item}(?:,{item})*)?\]"
        case inspect.LiteralType():
            return '"(?:' + "|".join(re.escape(str(value)) for value in info.values) + ')"'
        case inspect.IntType():
            return f"(?:0|-?{_DIGITS})" if (info.ge or 0) < 0 else f"(?:0|{_DIGITS})"
        case inspect.StrType() if pattern is not None:
            return f'"{pattern}"'
    raise TypeError(f"a record has no grammar for {info}")


def _struct(info: inspect.StructType) -> str:
    members = []
    if info.tag_field is not None:
        members.append((info.tag_field, f'"{info.tag_field}":"{info.tag}"', True))
    for field in info.fields:
        kind = field.type
        if not field.required and isinstance(kind, inspect.UnionType):
            (kind,) = _present(kind)  # left out rather than null
        members.append((field.name, f'"{field.name}":{_of(kind, None)}', field.required))
    members.sort()
    return r"\{" + _members([(text, required) for _, text, required in members]) + r"\}"


def _members(members: list[tuple[str, bool]]) -> str:
    """The members in order, with commas between those that are there."""
    first = next((at for at, (_, required) in enumerate(members) if required), None)
    if first is None:
        return _any([text for text, _ in members])
    before = "".join(f"(?:{text},)?" for text, _ in members[:first])
    after = "".join(f",{text}" if required else f"(?:,{text})?" for text, required in members[first + 1 :])
    return before + members[first][0] + after


def _any(texts: list[str]) -> str:
    """Any of `texts`, in order: the first that is there, and what may follow it."""
    starts = [text + "".join(f"(?:,{later})?" for later in texts[at + 1 :]) for at, text in enumerate(texts)]
    return "(?:" + "|".join(starts) + ")?"


def _present(union: inspect.UnionType) -> list[inspect.Type]:
    return [one for one in union.types if not isinstance(one, inspect.NoneType)]
