"""Every error as an RFC 9457 problem: the one table from stable codes to HTTP, and the one encoder.

A problem never holds a stack trace, a value from the input or a name. Errors know nothing of HTTP; codes that
are not in the table are ours and are told to nobody: they become `internal_error`.
"""

from typing import Final

import msgspec
from litestar.exceptions import HTTPException
from msgspec import Struct

from audit.errors import AuditError
from service.errors import ServiceError
from traceability.marks import implements

MEDIA_TYPE: Final = "application/problem+json"

TABLE: Final[dict[str, tuple[int, str]]] = {
    "bad_request": (400, "The request is not well-formed"),
    "body_incomplete": (400, "The body ended before it was complete"),
    "unauthenticated": (401, "A valid bearer token is needed"),
    "forbidden": (403, "The token does not have the scope"),
    "not_found": (404, "There is nothing at this path"),
    "not_signed": (404, "No signed checkpoint covers this yet"),
    "not_in_tree": (404, "The tree of that size does not have this"),
    "method_not_allowed": (405, "This path does not take this method"),
    "not_acceptable": (406, "The answer has none of the accepted media types"),
    "body_timeout": (408, "The body did not arrive in time"),
    "body_too_large": (413, "The body is larger than the limit"),
    "image_too_large": (413, "The image is larger than the limit"),
    "media_unsupported": (415, "The media type is not supported"),
    "transfer_syntax_unsupported": (415, "The DICOM transfer syntax is not supported"),
    "request_invalid": (422, "A parameter or part is wrong"),
    "decode_failed": (422, "The body is not a readable image"),
    "frame_invalid": (422, "The frame is missing or not there"),
    "outside_intended_use": (422, "The image is outside the model's intended use"),
    "model_unknown": (422, "There is no such model"),
    "rate_limited": (429, "This caller asks too often, or for too much at once"),
    "internal_error": (500, "The service failed"),
    "inference_failed": (500, "The model could not be run"),
    "ledger_unavailable": (503, "The answer cannot be recorded now, so there is none"),
    "log_unavailable": (503, "The log cannot be read now"),
    "overloaded": (503, "The queue is full"),
    "draining": (503, "The service is about to stop"),
    "secrets_unavailable": (503, "The service's secrets cannot be confirmed now"),
}

# Litestar raises these by itself; any other status of its own is a request that it could not read.
_BY_STATUS: Final = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
                     406: "not_acceptable", 413: "body_too_large", 415: "media_unsupported",
                     422: "request_invalid", 429: "rate_limited"}  # fmt: skip

# RFC 6750 section 3: without credentials no error is named.
_CHALLENGES: Final = {
    "unauthenticated": b'Bearer realm="medai"',
    "forbidden": b'Bearer realm="medai", error="insufficient_scope"',
}


class Problem(Struct, frozen=True, kw_only=True):
    """What went wrong, before it is known under which index it is recorded."""

    code: str
    detail: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def status(self) -> int:
        return TABLE[self.code][0]


class Document(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a problem answer (RFC 9457 section 3.1, with three members of ours)."""

    type: str
    title: str
    status: int
    code: str
    correlation_id: str
    detail: str | None = None
    ledger_index: int | None = None


@implements("REQ-SEC-010")
def problem_of(error: Exception, retry_after_s: int) -> Problem:
    """The problem that tells a caller of `error`, and nothing that the caller may not know."""
    if isinstance(error, ServiceError) and error.code in TABLE:
        return of_code(error.code, str(error) or None, error.retry_after_s or retry_after_s)
    if isinstance(error, AuditError):
        code = "ledger_unavailable" if error.code == "ledger_unavailable" else "internal_error"
        return of_code(code, None, retry_after_s)
    if isinstance(error, HTTPException) and error.status_code < 500:
        code = _BY_STATUS.get(error.status_code, "bad_request")
        allow = tuple(
            (b"allow", value.encode("ascii")) for name, value in (error.headers or {}).items() if name == "allow"
        )
        return Problem(code=code, headers=allow)
    return Problem(code="internal_error")


def of_code(code: str, detail: str | None = None, retry_after_s: int = 1) -> Problem:
    """The problem with `code`; 429 and 503 say when to come back (RFC 9110 section 10.2.3)."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if TABLE[code][0] in (429, 503):
        headers = ((b"retry-after", str(retry_after_s).encode()),)
    elif code in _CHALLENGES:
        headers = ((b"www-authenticate", _CHALLENGES[code]),)
    return Problem(code=code, detail=detail, headers=headers)


@implements("REQ-SEC-010")
def encode(problem: Problem, correlation_id: str, ledger_index: int | None) -> bytes:
    status, title = TABLE[problem.code]
    return _encoder.encode(
        Document(
            type=f"urn:medai:problem:{problem.code}",
            title=title,
            status=status,
            code=problem.code,
            correlation_id=correlation_id,
            detail=problem.detail,
            ledger_index=ledger_index,
        )
    )


_encoder: Final = msgspec.json.Encoder(order="sorted")
