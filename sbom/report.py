"""What a look-up of vulnerabilities came to, as it is written to `vulnerabilities.json`.

Pure.
"""

import datetime as dt
from typing import Final

import msgspec
from msgspec import Struct

from sbom.errors import DocumentInvalid
from sbom.vex import Judged
from sbom.vulnerabilities import Feed

FORMAT: Final = "medai.vulnerabilities/1"


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was looked up, in what, and what came of it. Where `checked` is false, no finding means nothing."""

    format: str = FORMAT
    checked: bool
    why_not: str | None = None
    sbom: str
    release: str
    today: dt.date
    audited: int
    unaudited: dict[str, int] = {}
    """Components that ship and that no feed was asked about, by kind: of these nothing is known."""
    feeds: tuple[Feed, ...]
    findings: tuple[Judged, ...]
    open: int


def encode(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2) + b"\n"


def decode(text: bytes) -> Report:
    """A report that `encode` made. Raises `DocumentInvalid`."""
    try:
        report = msgspec.json.decode(text, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DocumentInvalid(f"vulnerabilities: not a report of `medai sbom vulns`: {error}") from error
    if report.format != FORMAT:
        raise DocumentInvalid(f"vulnerabilities: of the format {report.format!r}, expected {FORMAT!r}")
    return report


def unchecked(why: str, *, sbom: str, release: str, today: dt.date) -> Report:
    """The report of a look-up that could not be made: it says so, and never that nothing was found."""
    return Report(
        checked=False, why_not=why, sbom=sbom, release=release, today=today, audited=0, feeds=(), findings=(), open=0
    )
