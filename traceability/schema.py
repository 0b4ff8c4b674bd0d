"""The JSON Schema of the matrix, made from the structs that it is read and written by.

traceability/matrix.schema.json    what `text` returns; a test holds the two equal
"""

import json
from typing import Any, Final

import msgspec

from traceability.marks import implements
from traceability.rows import FORMAT, Matrix

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@implements("REQ-TRC-009")
def text() -> str:
    """The schema, laid out for people. Objects have the members that it names and no others."""
    (reference,), components = msgspec.json.schema_components((Matrix,), ref_template="#/$defs/{name}")
    definitions = {name: _closed(definition) for name, definition in sorted(components.items())}
    definitions["Matrix"]["properties"]["format"] = {"const": FORMAT}
    document = {
        "$schema": DIALECT,
        "$id": "urn:medai:matrix:1",
        "title": "A matrix of requirements, code, tests, hazards and findings",
        **reference,
        "$defs": definitions,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _closed(definition: dict[str, Any]) -> dict[str, Any]:
    return definition | {"additionalProperties": False} if "properties" in definition else definition
