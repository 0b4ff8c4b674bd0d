"""Writes the TOML of cards and golden vectors: the standard library only reads it."""

import json
from collections.abc import Mapping
from typing import Any


def render(table: Mapping[str, Any], path: str = "") -> str:
    """`table` as TOML: plain members first, then tables, then arrays of tables; None is left out."""
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if value is not None and not _nested(value)]
    for key, value in table.items():
        where = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            lines += ["", f"[{where}]", render(value, where).rstrip("\n")]
        elif _nested(value):
            lines += [text for each in value for text in ("", f"[[{where}]]", render(each, where).rstrip("\n"))]
    return "\n".join(lines) + "\n"


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and len(value) > 0 and isinstance(value[0], Mapping)
    )


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    # A JSON string, number or boolean is a TOML one too; repr of a float reads back to the same float.
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
