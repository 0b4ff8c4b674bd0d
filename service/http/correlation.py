"""The ids that tie a request to its caller's own records: taken when well-formed, else made.

Only forms that cannot carry a name or a number of a patient are taken; whatever else came is replaced.
"""

import re
import secrets
from typing import Final
from uuid import UUID

from traceability.marks import implements

# A UUID (RFC 9562 section 4), a ULID (Crockford base 32, first digit at most 7), or 32 hexadecimal digits.
_CORRELATION: Final = re.compile(
    rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    rb"|[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}"
    rb"|[0-9a-fA-F]{32}"
)
# W3C Trace Context section 3.2: version 00 has exactly four fields, and neither id is all zeros.
_TRACEPARENT: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@implements("REQ-SEC-008")
def correlation_id(header: bytes | None, now_us: int) -> str:
    """The caller's id where it is well-formed, else a new UUIDv7."""
    if header is not None and _CORRELATION.fullmatch(header):
        return header.decode("ascii")
    return str(uuid7(now_us))


@implements("REQ-SEC-008")
def traceparent(header: bytes | None) -> str:
    """The caller's trace context where it is well-formed, else the root of a new trace, not sampled."""
    if header is not None and _TRACEPARENT.fullmatch(header):
        return header.decode("ascii")
    return f"00-{_nonzero_hex(16)}-{_nonzero_hex(8)}-00"


def uuid7(now_us: int) -> UUID:
    """RFC 9562 section 5.7: 48 bits of milliseconds since the epoch, then 74 random bits."""
    milliseconds = (now_us // 1000) & 0xFFFF_FFFF_FFFF
    random = secrets.randbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    return UUID(int=value)


def _nonzero_hex(size: int) -> str:
    return (secrets.randbits(size * 8) or 1).to_bytes(size, "big").hex()
