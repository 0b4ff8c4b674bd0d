"""The part of the OpenAPI description that is the public log: the checkpoint, tiles, entry bundles and proofs."""

from collections.abc import Callable
from typing import Any, Final

from audit.merkle import MAX_SIZE
from audit.tiles import MAX_LEVEL
from service.http import log_routes

Json = dict[str, Any]

_CHECKPOINT: Final = """\
A signed note (C2SP signed-note) whose text is the log's origin, its size and the root of its Merkle tree (C2SP
tlog-checkpoint): the largest that has the witnesses of the policy, else the largest that the log signed."""
_TILE: Final = """\
The hashes of the perfect subtrees of height 8 L with the indices [256 N, 256 N + W), 32 bytes each, one beside the
other (C2SP tlog-tiles); of level 0 the leaf hashes. `tile` is `N[.p/W]`: N in groups of three digits of which all but
the last begin with x and stand in folders of their own (`x001/x234/067`), and W, from 1 to 255, for a partial tile.
Slashes are written as they are. A full tile never changes."""
_ENTRIES: Final = """\
The records under the tile of level 0 with the same index, each with its length before it in two bytes, big-endian
(C2SP tlog-tiles). Each hashes to its leaf: SHA-256(0x00 || record). Needs the scope `audit.read`."""
_INCLUSION: Final = """\
That a record is in the log: its path in the tree of `size` (RFC 9162 section 2.1.3), and from there to the signed
checkpoint. Without `size`, of the checkpoint itself."""
_CONSISTENCY: Final = """\
That the tree of `old` is the beginning of that of `new` (RFC 9162 section 2.1.4), and this of the signed checkpoint's.
Without `new`, of the checkpoint itself."""

_REFUSALS: Final = (400, 404, 406, 429, 500, 503)
_SECURED: Final = (400, 401, 403, 404, 406, 429, 500, 503)
_ASKED: Final = (400, 404, 406, 422, 429, 500, 503)

_REQUIRED: Final[Json] = {"required": True}
_OPTIONAL: Final[Json] = {"required": False}

Responses = Callable[[str, Json, tuple[int, ...]], Json]


def paths(responses: Responses, inclusion: Json, consistency: Json, headers: list[Json]) -> Json:
    """The paths. `responses` describes answers and refusals; the two schemas are those of the proofs."""
    tile = {"name": "tile", "in": "path", "required": True, "schema": {"type": "string"}}
    bundle = {**tile, "name": "bundle"}
    level = {**tile, "name": "level", "schema": {"type": "integer", "minimum": 0, "maximum": MAX_LEVEL}}
    bytes_ = {log_routes.TILE_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    text = {"text/plain": {"schema": {"type": "string"}}}

    def get(name: str, summary: str, description: str, parameters: list[Json], answers: Json) -> Json:
        token: Json = {"token": list[str]()}
        # A proof is for everybody; who names itself is on record by its name, whatever the flood.
        secured = [token] if "401" in answers else [{}, token] if "422" in answers else []
        return {
            "get": {
                "operationId": name,
                "summary": summary,
                "description": description,
                "security": secured,
                "parameters": [*parameters, *headers],
                "responses": answers,
            }
        }

    signed = responses("The signed checkpoint.", text, _REFUSALS)
    index, size = _count("index", "The record's index.", _REQUIRED), _count("size", "The size of the tree.")
    old, new = _count("old", "The smaller size.", _REQUIRED), _count("new", "The larger size.")
    included = responses("The proof.", {log_routes.JSON: {"schema": inclusion}}, _ASKED)
    consistent = responses("The proof.", {log_routes.JSON: {"schema": consistency}}, _ASKED)
    return {
        "/checkpoint": get("checkpoint", "The signed state of the log.", _CHECKPOINT, [], signed),
        "/tile/{level}/{tile}": get(
            "tile", "A tile of the Merkle tree.", _TILE, [level, tile], responses("Its hashes.", bytes_, _REFUSALS)
        ),
        "/tile/entries/{bundle}": get(
            "entries", "A bundle of records.", _ENTRIES, [bundle], responses("The records.", bytes_, _SECURED)
        ),
        "/audit/proof/inclusion": get("inclusion", "That a record is in the log.", _INCLUSION, [index, size], included),
        "/audit/proof/consistency": get("consistency", "That the log only grew.", _CONSISTENCY, [old, new], consistent),
    }


def _count(name: str, description: str, required: Json | None = None) -> Json:
    schema = {"type": "integer", "minimum": 0, "maximum": MAX_SIZE}
    return {"name": name, "in": "query", "description": description, "schema": schema, **(required or _OPTIONAL)}
