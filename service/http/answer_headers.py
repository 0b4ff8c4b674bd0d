"""The headers that every answer carries."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from service.http.case import Case

Scope = dict[str, Any]
Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
Header = tuple[bytes, bytes]

READ: Final = frozenset(
    {
        b"x-correlation-id",
        b"traceparent",
        b"x-forwarded-for",
        b"forwarded",
        b"content-length",
        b"transfer-encoding",
        b"expect",
    }
)
"""The request headers that the recorder reads itself."""

_ALWAYS: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# What a route may widen for itself: the documentation pages run their own script and may be cached.
_UNLESS_SET: Final[tuple[Header, ...]] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def complete(headers: Iterable[Header], case: Case, *, closes: bool) -> list[Header]:
    """`headers` with the ids, the ledger index and what browsers are told."""
    present = [(name, _with_head(value)) if name == b"allow" else (name, value) for name, value in headers]
    names = {name for name, _ in present}
    present += [header for header in _UNLESS_SET if header[0] not in names]
    present += _ALWAYS
    present.append((b"x-correlation-id", case.correlation_id.encode("ascii")))
    present.append((b"traceparent", case.traceparent.encode("ascii")))
    if case.index is not None:
        present.append((b"ledger-index", str(case.index).encode("ascii")))
    if closes:
        present.append((b"connection", b"close"))
    return present


def _with_head(allow: bytes) -> bytes:
    """Litestar lists GET alone; what answers GET answers HEAD as well (RFC 9110 section 9.3.2)."""
    methods = {method.strip() for method in allow.split(b",")}
    return b", ".join(sorted(methods | {b"HEAD"} if b"GET" in methods else methods))
