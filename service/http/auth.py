"""Guards: who calls, whether they may, and whether they can read the answer. All before a body is read."""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from service.errors import Forbidden, ServiceError, Unauthenticated
from service.http.admission import Rates
from service.http.case import case_of
from service.http.ports import TokenBook

_MAX_TOKEN_CHARACTERS: Final = 512


class NotAcceptable(ServiceError):
    """The caller accepts none of the media types that this route answers with."""

    code = "not_acceptable"


def requires(scope: str, tokens: TokenBook) -> Guard:
    """A guard that lets in whoever has a token with `scope`, and names them as the record's actor.

    Raises `Unauthenticated` without a known token, `Forbidden` where the token lacks the scope.
    """

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        token = _bearer(connection.headers.get("authorization"))
        principal = tokens.principal(token) if token is not None else None
        if principal is None:
            raise Unauthenticated("send Authorization: Bearer TOKEN with a token that is valid now")
        case_of(connection.scope).actor = principal.name
        if scope not in principal.scopes:
            raise Forbidden(f"the token needs the scope {scope}")

    return guard


def public(rates: Rates) -> Guard:
    """The guard of every route; where no token is asked for and each request is recorded: a rate for each peer."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if "caller" not in handler.opt and "record" not in handler.opt:
            rates.take(case_of(connection.scope).peer)

    return guard


def acceptable(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route: 406 where `Accept` admits nothing that the route answers with."""
    produces = handler.opt.get("produces")
    accept = connection.headers.get("accept")
    if produces is not None and accept is not None and not admits(accept, produces):
        raise NotAcceptable(f"this path answers with {produces}")


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


def _bearer(header: str | None) -> str | None:
    """RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110 section 11.1)."""
    scheme, _, token = (header or "").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= _MAX_TOKEN_CHARACTERS or not token.isascii():
        return None
    return token
