"""The guard: who calls, whether they may, and whether they can read the answer. All before a body is read."""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from service.errors import Forbidden, ServiceError, Unauthenticated
from service.http.admission import Rates
from service.http.case import Case, case_of
from service.http.ports import TokenBook
from traceability.marks import implements

_MAX_TOKEN_CHARACTERS: Final = 32_768
"""The most that any book may be set to take (MEDAI_ENTRA_MAX_TOKEN_BYTES)."""


class NotAcceptable(ServiceError):
    """The caller accepts none of the media types that this route answers with."""

    code = "not_acceptable"


def guard(tokens: TokenBook, rates: Rates) -> Guard:
    """The one guard of every route; a route says in its `opt` what it needs:

        scope      the scope that a caller's token must have; without it the route is public, at a rate for each peer
        named      of a public route: who sends a token that is valid, whatever its scopes, is on record by its name,
                   and no flood of strangers folds what it is given; the route takes that caller's rate
        produces   the media type that it answers with

    Raises `NotAcceptable`, `Unauthenticated`, `Forbidden` or, for a public route, `RateLimited`. (One and async:
    Litestar copies the route's handler for each guard, and runs a guard that is not async in a thread.)
    """

    async def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        case, opt = case_of(connection.scope), handler.opt
        produces, scope = opt.get("produces"), opt.get("scope")
        accept = connection.headers.get("accept")
        if produces is not None and accept is not None and not admits(accept, produces):
            raise NotAcceptable(f"this path answers with {produces}")
        if scope is not None:
            await _authorise(case, connection.headers.get("authorization"), scope, tokens)
        elif not (opt.get("named") and _is_named(case, connection.headers.get("authorization"), tokens)):
            rates.take(case.peer)

    return check


@implements("REQ-SEC-001", "REQ-SEC-002")
async def _authorise(case: Case, header: str | None, scope: str, tokens: TokenBook) -> None:
    """The caller's name goes on record, also where the token lacks the scope."""
    token = _bearer(header)
    principal = tokens.principal(token) if token is not None else None
    if principal is None and token is not None:
        principal = await tokens.late(token)
    if principal is None:
        raise Unauthenticated("send Authorization: Bearer TOKEN with a token that is valid now")
    case.actor = principal.name
    if scope not in principal.scopes:
        raise Forbidden(f"the token needs the scope {scope}")


@implements("REQ-LED-023")
def _is_named(case: Case, header: str | None, tokens: TokenBook) -> bool:
    """Whether the caller has a token that is valid; its name then goes on record. Any other is nobody's, as is none."""
    token = _bearer(header)
    principal = tokens.principal(token) if token is not None else None
    if principal is not None:
        case.actor = principal.name
    return principal is not None


def admits(accept: str, media_type: str) -> bool:
    """Whether an Accept header admits `media_type` (RFC 9110 section 12.5.1): the most specific range decides."""
    kind = media_type.partition("/")[0]
    best = (-1, False)
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        specificity = {media_type: 2, f"{kind}/*": 1, "*/*": 0, "*": 0}.get(name, -1)
        if specificity > best[0]:
            best = (specificity, not any(_is_zero_weight(parameter) for parameter in parameters))
    return best[1] if best[0] >= 0 else not accept.strip()


def _is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip() in ("0", "0.", "0.0", "0.00", "0.000")


@implements("REQ-SEC-001")
def _bearer(header: str | None) -> str | None:
    """RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110 section 11.1)."""
    scheme, _, token = (header or "").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= _MAX_TOKEN_CHARACTERS or not token.isascii():
        return None
    return token
