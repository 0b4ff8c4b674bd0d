"""Records as lines: JSON Lines, CSV for spreadsheets, CEF for a SIEM.

Each line carries the index and the leaf hash, so that it leads back to its proof. Pure.
"""

import base64
import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from audit.derived import COLUMNS, columns_of
from audit.record import Prediction, Record, Request
from traceability.marks import implements

HEADER: Final = (
    "index",
    "leaf_hash",
    "event_id",
    "recorded_at",
    *(name for name in COLUMNS if name != "recorded_at_us"),
)
"""The members of a CSV line."""
CEF_VERSION: Final = "CEF:0"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@implements("REQ-LOG-006")
def json_line(index: int, leaf_hash: bytes, body: bytes) -> bytes:
    """One line of JSON: where the record stands, and the record's own bytes, which are canonical JSON themselves."""
    leaf = base64.b64encode(leaf_hash)
    return b'{"index":%d,"leaf_hash":"%s","record":%s}\n' % (index, leaf, body)


@implements("REQ-LOG-006")
def csv_header() -> str:
    return _csv(HEADER)


@implements("REQ-LOG-006")
def csv_line(index: int, leaf_hash: bytes, record: Record) -> str:
    """One line of CSV (RFC 4180): what a spreadsheet would take for a formula begins with an apostrophe."""
    said = dict(zip(COLUMNS, columns_of(record), strict=True))
    values: list[object] = [index, leaf_hash.hex(), record.event_id, instant(record.recorded_at_us)]
    values += [said[name] for name in COLUMNS if name != "recorded_at_us"]
    return _csv([safe(each) for each in values])


@implements("REQ-LOG-006")
def safe(value: object) -> str:
    """`value` as a spreadsheet shows it and never runs it (OWASP, CSV injection). Numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


@implements("REQ-LOG-006")
def cef_line(index: int, leaf_hash: bytes, record: Record, *, origin: str, version: str) -> str:
    """One CEF line (ArcSight Common Event Format): header fields by pipes, an extension of key=value.

    Severity: 3 for what succeeded, 5 for a refusal, 8 for a failure of ours or an outage.
    """
    kind = str(type(record).__struct_config__.tag)
    severity, name = 3, kind
    extension: list[tuple[str, str]] = [
        ("rt", str(record.recorded_at_us // 1000)),
        ("externalId", str(index)),
        ("deviceExternalId", origin),
        ("cs1Label", "leafHash"),
        ("cs1", leaf_hash.hex()),
    ]
    if isinstance(record, Request | Prediction):
        severity = 3 if record.status < 400 else 5 if record.status < 500 else 8
        name = f"{record.method} {record.route}"
        extension += [
            ("request", record.route),
            ("requestMethod", record.method),
            ("outcome", str(record.status)),
            ("suid", record.actor or ""),
            ("cs2Label", "peerPseudonym"),
            ("cs2", record.peer),
            ("cs3Label", "correlationId"),
            ("cs3", record.correlation_id),
        ]
        if isinstance(record, Prediction):
            extension += [
                ("act", record.finding.decision),
                ("cs4Label", "model"),
                ("cs4", f"{record.model.name}@{record.model.version}"),
            ]
        elif record.code is not None:
            extension.append(("reason", record.code))
    elif kind == "outage":
        severity = 8
    header = (CEF_VERSION, "MedAI Flow", "medai-flow", version, kind, name, str(severity))
    head = "|".join(each if nth == 0 else _cef_header(each) for nth, each in enumerate(header))
    tail = " ".join(f"{key}={_cef_value(value)}" for key, value in extension if value)
    return f"{head}|{tail}\n"


def instant(us: int) -> str:
    """RFC 3339, UTC, to the microsecond."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _csv(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue()


def _cef_header(text: str) -> str:
    return re.sub(r"[\r\n]+", " ", text.replace("\\", "\\\\").replace("|", "\\|"))


def _cef_value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
