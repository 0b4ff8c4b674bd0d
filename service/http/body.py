"""Reads the body of a request: bounded in bytes and in time, in memory alone.

Patient data never touches a disk here: neither the raw body nor a part of a form is spooled.
"""

import asyncio
from collections import Counter
from typing import Final, NoReturn

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from service.domain.messages import MediaType
from service.errors import (
    BodyTimeout,
    BodyTooLarge,
    MediaUnsupported,
    Overloaded,
    RateLimited,
    RequestInvalid,
    ServiceError,
)
from service.http.case import Case
from service.http.policy import Policy
from service.http.shares import is_within
from traceability.marks import implements

MEDIA_TYPES: Final[dict[str, MediaType]] = {
    "application/dicom": "application/dicom",
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
}
FORM: Final = "multipart/form-data"
PART: Final = "image"
_FORM_OVERHEAD_BYTES: Final = 16 * 1024
"""What boundaries and part headers may add to an image of the largest size."""


class BodyIncomplete(ServiceError):
    """The client went away before its body was complete; nobody hears the answer, but it is recorded."""

    code = "body_incomplete"


class Bodies:
    """All request bodies that one process holds in memory, bounded together, and those of one caller by its share."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        # Never less than one image of the largest size: that alone must be possible.
        self._one_bytes = policy.max_body_bytes + _FORM_OVERHEAD_BYTES
        self._held: Counter[str] = Counter()
        self.held_bytes = 0

    @implements("REQ-SEC-011")
    async def read(self, case: Case, content_type: bytes | None) -> "Body":
        """The image and its declared media type. The caller must `release` it.

        Raises `MediaUnsupported` and `BodyTooLarge` by the headers alone, before a byte is read.
        """
        media_type, boundary = _declared(content_type)
        limit = self._policy.max_body_bytes + (_FORM_OVERHEAD_BYTES if boundary else 0)
        if case.declared_bytes is not None and case.declared_bytes > limit:
            self._too_large()
        body = Body(self, case.caller)
        try:
            async with asyncio.timeout(self._policy.body_timeout_ms / 1000):
                content = await self._collect(case, body, limit)
        except TimeoutError as error:
            body.release()
            raise BodyTimeout(f"the body must arrive within {self._policy.body_timeout_ms} ms") from error
        except BaseException:
            body.release()
            raise
        try:
            body.content, body.media_type = (
                _form(content, boundary, self._policy.max_body_bytes) if boundary else (content, media_type)
            )
        except BaseException:
            body.release()
            raise
        return body

    @implements("REQ-SEC-011")
    async def _collect(self, case: Case, body: "Body", limit: int) -> bytes:
        chunks: list[bytes] = []
        while True:
            message = await case.receive()
            if message["type"] == "http.disconnect":
                raise BodyIncomplete
            chunk: bytes = message.get("body", b"")
            if body.size + len(chunk) > limit:
                self._too_large()
            if self.held_bytes + len(chunk) > self._policy.max_bodies_bytes:
                raise Overloaded("too many bodies are under way", retry_after_s=self._policy.retry_after_s)
            held, free = self._held[case.caller] + len(chunk), self._policy.max_bodies_bytes - self.held_bytes
            if held > self._one_bytes and not is_within(held, free - len(chunk), self._policy.caller_share_percent):
                raise RateLimited(
                    "this caller has its share of the memory; the rest is for others",
                    retry_after_s=self._policy.retry_after_s,
                )
            body.grow(len(chunk))
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def hold(self, caller: str, size: int) -> None:
        """`size` bytes more, or less where it is negative."""
        self.held_bytes += size
        self._held[caller] += size
        if self._held[caller] == 0:
            del self._held[caller]

    def _too_large(self) -> NoReturn:
        raise BodyTooLarge(f"the body may have {self._policy.max_body_bytes} bytes")


class Body:
    """One body in memory, and its share of the bound."""

    __slots__ = ("_bodies", "_caller", "content", "media_type", "size")

    def __init__(self, bodies: Bodies, caller: str) -> None:
        self._bodies = bodies
        self._caller = caller
        self.size = 0
        self.content = b""
        self.media_type: MediaType = "application/dicom"

    def grow(self, size: int) -> None:
        self.size += size
        self._bodies.hold(self._caller, size)

    def release(self) -> None:
        self._bodies.hold(self._caller, -self.size)
        self.size = 0
        self.content = b""


def _declared(content_type: bytes | None) -> tuple[MediaType, str]:
    """The media type by the header, or any and the boundary of a form."""
    if content_type is None:
        raise MediaUnsupported(_EXPECTED)
    name, options = parse_options_header(content_type.decode("latin-1"))
    if name == FORM:
        boundary = options.get("boundary", "")
        # RFC 2046 section 5.1.1: 1 to 70 characters of a small set.
        if not 1 <= len(boundary) <= 70 or not boundary.isascii() or not boundary.isprintable():
            raise RequestInvalid("multipart/form-data needs a boundary of 1 to 70 characters")
        return "application/dicom", boundary
    if name not in MEDIA_TYPES:
        raise MediaUnsupported(_EXPECTED)
    return MEDIA_TYPES[name], ""


@implements("REQ-SEC-012")
def _form(content: bytes, boundary: str, max_bytes: int) -> tuple[bytes, MediaType]:
    """The one part `image` of a form, and the media type that it declares or else begins like."""
    parser = PushMultipartParser(boundary, max_segment_count=1, max_segment_size=max_bytes, strict=True)
    segment: MultipartSegment | None = None
    chunks: list[bytes] = []
    try:
        with parser:
            for event in parser.parse(content):
                if isinstance(event, MultipartSegment):
                    segment = event
                elif event is not None:
                    chunks.append(bytes(event))
    except MultipartError as error:
        raise RequestInvalid(f"the form must be well-formed and have one part, named {PART}") from error
    if segment is None or segment.name != PART:
        raise RequestInvalid(f"the form must have one part, named {PART}")
    image = b"".join(chunks)
    declared = segment.content_type
    if declared is None or declared == "application/octet-stream":
        return image, _sniffed(image)
    if declared not in MEDIA_TYPES:
        raise MediaUnsupported(_EXPECTED)
    return image, MEDIA_TYPES[declared]


def _sniffed(image: bytes) -> MediaType:
    """What an unnamed part is, by its signature: tools like curl name no media type for a `.dcm` file."""
    if image[128:132] == b"DICM":  # DICOM PS3.10 section 7.1
        return "application/dicom"
    if image.startswith(b"\x89PNG\r\n\x1a\n"):  # PNG, third edition, section 5.2
        return "image/png"
    if image.startswith(b"\xff\xd8\xff"):  # ITU-T T.81 table B.1: SOI, then a marker
        return "image/jpeg"
    raise MediaUnsupported(_EXPECTED)


_EXPECTED: Final = f"send {', '.join(MEDIA_TYPES)}, or {FORM} with one part {PART} of one of these"
