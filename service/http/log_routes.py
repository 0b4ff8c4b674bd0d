"""The routes of the public log (C2SP tlog-tiles) and of proofs.

GET /checkpoint                                        folded into windows
GET /tile/<L>/<N>[.p/<W>]                              folded into windows
GET /tile/entries/<N>[.p/<W>]                          for `audit.read`; each on record
GET /audit/proof/inclusion?index=N[&size=M]            each on record; strangers', up to a flood
GET /audit/proof/consistency?old=M[&new=N]             each on record; strangers', up to a flood
"""

from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from audit import tiles
from audit.errors import Malformed
from audit.merkle import MAX_SIZE
from audit.tiles import Tile
from service.errors import NotInTree, RequestInvalid
from service.http import log_proofs
from service.http.admission import Rates
from service.http.auth import admits
from service.http.case import case_of
from service.http.log import PublicLog
from traceability.marks import implements

CHECKPOINT_TYPE: Final = "text/plain"  # C2SP tlog-tiles, "Checkpoints"; Litestar adds the charset, utf-8
TILE_TYPE: Final = "application/octet-stream"
JSON: Final = "application/json"

# C2SP tlog-tiles: a checkpoint is not to be cached beyond a few seconds; a new one is published every second.
FRESH: Final = "public, max-age=1"
# RFC 8246: as long as it is fresh, and it is for a year, nobody asks whether it is still the same.
FOR_EVER: Final = "public, max-age=31536000, immutable"
# Its bytes never change either, but soon nobody asks for this width any more.
FOR_A_WHILE: Final = "public, max-age=60"
# Committed, and about to be signed; until then nothing outside the database holds it to these bytes.
UNSIGNED: Final = "no-store"
PRIVATE: Final = "private"

_PUBLIC: Final = {"record": "window"}


@implements("REQ-LOG-003")
def routes(log: PublicLog, callers: Rates) -> list[HTTPRouteHandler]:
    """All of them. `callers` bounds how often one token may ask for entries and proofs."""
    return [*_public(log), _entries(log, callers), *_proofs(log, callers)]


def _public(log: PublicLog) -> list[HTTPRouteHandler]:
    @get("/checkpoint", opt=_PUBLIC | {"produces": "text/plain"})
    async def checkpoint() -> Response[bytes]:
        return Response(await log.checkpoint(), media_type=CHECKPOINT_TYPE, headers={"cache-control": FRESH})

    @get("/tile/{level:str}/{tile:path}", opt=_PUBLIC | {"produces": TILE_TYPE})
    async def tile(scope: Scope) -> Response[bytes]:
        wanted = _tile(scope)
        cut = await log.tile(wanted)
        kept = UNSIGNED if not cut.is_signed else FOR_EVER if wanted.is_full else FOR_A_WHILE
        return Response(cut.body, media_type=TILE_TYPE, headers={"cache-control": kept})

    return [checkpoint, tile]


def _entries(log: PublicLog, callers: Rates) -> HTTPRouteHandler:
    @get("/tile/entries/{bundle:path}", opt={"produces": TILE_TYPE, "scope": "audit.read"})
    async def entries(scope: Scope) -> Response[bytes]:
        callers.take(case_of(scope).caller)
        wanted = _tile(scope)
        headers = {"cache-control": PRIVATE, "vary": "accept-encoding"}
        # C2SP tlog-tiles: bundles should be compressed at the HTTP layer.
        if _takes_gzip(scope):
            headers |= {"content-encoding": "gzip"}
            return Response(await log.packed(wanted), media_type=TILE_TYPE, headers=headers)
        return Response((await log.tile(wanted)).body, media_type=TILE_TYPE, headers=headers)

    return entries


def _proofs(log: PublicLog, callers: Rates) -> list[HTTPRouteHandler]:
    opt = {"produces": JSON, "named": True}

    @get("/audit/proof/inclusion", opt=opt, media_type=JSON)
    async def inclusion(scope: Scope) -> Response[bytes]:
        _take_rate(scope, callers)
        asked = _counts(scope, "index", "size")
        index, size = asked["index"], asked.get("size")
        if size is not None and index >= size:
            raise NotInTree("the index of a record is below the size of a tree that has it")
        return Response(log_proofs.inclusion(index, *await log.inclusion(index, size)), media_type=JSON)

    @get("/audit/proof/consistency", opt=opt, media_type=JSON)
    async def consistency(scope: Scope) -> Response[bytes]:
        _take_rate(scope, callers)
        asked = _counts(scope, "old", "new")
        old, new = asked["old"], asked.get("new")
        if new is not None and old > new:
            raise NotInTree("a tree begins no smaller one: old is not above new")
        return Response(log_proofs.consistency(old, *await log.consistency(old, new)), media_type=JSON)

    return [inclusion, consistency]


def _take_rate(scope: Scope, callers: Rates) -> None:
    """The rate of a caller who is named; a stranger's was taken by the guard."""
    case = case_of(scope)
    if case.actor is not None:
        callers.take(case.caller)


def _tile(scope: Scope) -> Tile:
    """The tile whose path was asked for, in its one spelling: no escapes, no second slash, none at the end."""
    try:
        return tiles.parse(scope["raw_path"].decode("latin-1").removeprefix("/"))
    except Malformed as error:
        raise NotFoundException from error


def _counts(scope: Scope, required: str, optional: str) -> dict[str, int]:
    """The two parameters, as decimals. One that is not known is refused: a misspelt `size` would be another proof."""
    try:
        pairs = parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=4)
    except ValueError as error:
        raise RequestInvalid("the query must be percent-encoded UTF-8 with few parameters") from error
    given = dict(pairs)
    if len(given) != len(pairs) or not {required} <= given.keys() <= {required, optional}:
        raise RequestInvalid(f"the query takes {required} and, if wanted, {optional}, each at most once")
    return {name: _count(name, value) for name, value in given.items()}


def _count(name: str, value: str) -> int:
    canonical = value.isascii() and value.isdigit() and len(value) <= 19 and (value == "0" or value[0] != "0")
    if not canonical or int(value) > MAX_SIZE:
        raise RequestInvalid(f"{name} is a decimal integer without leading zeros, at most {MAX_SIZE}")
    return int(value)


def _takes_gzip(scope: Any) -> bool:
    """RFC 9110 section 12.5.3: only where it is named, with a weight above zero, is it surely understood."""
    header = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    return b"gzip" in header.lower() and admits(header.decode("latin-1"), "gzip")
