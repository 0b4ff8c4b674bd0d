"""Receipts of records that our writer refuses to make, in a tree that was signed nevertheless.

This is what a thief of the writer's database login can bring about: the database takes any bytes, and honest
processes sign the tree over them. Beside them stands one record of each kind as the schema has it.
"""

from collections.abc import Iterator
from typing import Any

from audit import canonical, record
from tests.audit_log import EVENT_ID, REQUEST_ID, Log, a_prediction, an_answer, digest, log_of

REMOVED = object()
ENTRY: dict[str, Any] = {"format": "medai.record/1", "event_id": EVENT_ID, "recorded_at_us": 1_790_000_000_000_000}
MODEL = {"name": "ct-slice", "version": "1.0.0", "sha256": digest("model")}
PEER = f"k1:{digest('peer')}"
KINDS: dict[str, dict[str, Any]] = {
    "genesis": {
        "origin": 'log "example" \\ a',
        "verifier_key": "log.example/a+00000000+AAAA",
        "formats": ["medai.record/1", "c2sp.org/tlog-proof@v1"],
        "clock_tolerance_us": 10_000_000,
    },
    "request": {
        "request_id": REQUEST_ID,
        "correlation_id": REQUEST_ID,
        "traceparent": f"00-{1:032x}-{2:016x}-01",
        "method": "GET",
        "route": "/tile/entries/{index}",
        "status": 404,
        "actor": "auditor",
        "peer": PEER,
        "release": digest("release"),
        "code": "not_found",
    },
    "outcome": {"of_index": 4, "request_id": REQUEST_ID, "outcome": "client_gone", "bytes_sent": 0},
    "window": {
        "phase": "closed",
        "subject": "refusals",
        "peer": PEER,
        "minute_us": 60_000_000,
        "process_id": REQUEST_ID,
        "opens_index": 3,
        "count": 100,
        "first_us": 60_000_001,
        "last_us": 60_000_002,
        "release": None,
    },
    "outage": {"process_id": REQUEST_ID, "from_us": 1, "to_us": 2, "refused": 3},
    "service_started": {
        "process_id": REQUEST_ID,
        "version": "1.0.0",
        "commit": "unknown",
        "release": None,
        "models": [MODEL],
    },
    "service_stopped": {"process_id": REQUEST_ID, "requests": 7},
    "release_activated": {
        "process_id": REQUEST_ID,
        "release": digest("release"),
        "version": "1.0.0",
        "commit": "unknown",
        "environment": "production",
        "differences": 0,
        "signed_by": [digest("key")],
    },
    "administered": {
        "action": "token_revoked",
        "actor": "entra.11111111-2222-4333-8444-555555555555",
        "vouched_by": "entra",
        "object": "ward-7",
    },
}
# Name of the vector -> kind, member, and what it is instead.
OUTSIDE: dict[str, tuple[str, str, object]] = {
    "prediction-without-a-finding": ("prediction", "finding", REMOVED),
    "prediction-with-a-finding-that-is-null": ("prediction", "finding", None),
    "prediction-with-a-finding-that-is-a-list": ("prediction", "finding", []),
    "prediction-with-an-unknown-decision": ("prediction", "finding.decision", "probable"),
    "prediction-without-a-decision": ("prediction", "finding.decision", REMOVED),
    "prediction-without-reasons": ("prediction", "finding.reasons", REMOVED),
    "prediction-with-17-reasons": ("prediction", "finding.reasons", ["a"] * 17),
    "prediction-with-a-reason-in-words": ("prediction", "finding.reasons", ["looks bad"]),
    "prediction-with-a-label-that-is-null": ("prediction", "finding.label", None),
    "prediction-with-a-label-of-65-characters": ("prediction", "finding.label", "x" * 65),
    "prediction-with-a-probability-above-one": ("prediction", "finding.probability_ppm", 1_000_001),
    "prediction-with-a-negative-threshold": ("prediction", "finding.threshold_ppm", -1),
    "prediction-with-a-note-in-its-finding": ("prediction", "finding.note", "benign"),
    "prediction-without-a-model": ("prediction", "model", REMOVED),
    "prediction-without-the-model-digest": ("prediction", "model.sha256", REMOVED),
    "prediction-with-an-empty-model-name": ("prediction", "model.name", ""),
    "prediction-without-an-input": ("prediction", "input", REMOVED),
    "prediction-with-an-unknown-media-type": ("prediction", "input.media_type", "image/gif"),
    "prediction-with-negative-rows": ("prediction", "input.rows", -1),
    "prediction-with-a-frame-that-is-null": ("prediction", "input.frame", None),
    "prediction-without-a-window": ("prediction", "input.window", REMOVED),
    "prediction-with-an-unknown-window-source": ("prediction", "input.window.source", "guess"),
    "prediction-with-a-window-width-as-text": ("prediction", "input.window.width_milli", "400000"),
    "prediction-without-quality": ("prediction", "quality", REMOVED),
    "prediction-with-an-unknown-quality-verdict": ("prediction", "quality.verdict", "fair"),
    "prediction-with-quality-as-boolean": ("prediction", "quality.clipped_ppm", False),
    "prediction-without-a-runtime": ("prediction", "runtime", REMOVED),
    "prediction-with-a-runtime-member-added": ("prediction", "runtime.seed", 1),
    "prediction-with-a-patient-in-the-clear": ("prediction", "subject", {"patient": "Doe^Jane"}),
    "prediction-without-an-answer-digest": ("prediction", "answer_sha256", REMOVED),
    "prediction-with-an-answer-digest-in-capitals": ("prediction", "answer_sha256", digest("answer").upper()),
    "prediction-with-a-member-added": ("prediction", "note", "benign"),
    "prediction-with-a-code": ("prediction", "code", "not_found"),
    "prediction-with-a-status-of-99": ("prediction", "status", 99),
    "prediction-with-a-status-of-600": ("prediction", "status", 600),
    "prediction-with-a-status-as-boolean": ("prediction", "status", True),
    "prediction-with-a-query-in-its-route": ("prediction", "route", "/infer?patient=1"),
    "prediction-with-a-method-in-small-letters": ("prediction", "method", "post"),
    "prediction-with-a-peer-in-the-clear": ("prediction", "peer", "192.0.2.1"),
    "prediction-with-a-space-in-its-actor": ("prediction", "actor", "a b"),
    "prediction-with-a-newline-after-its-actor": ("prediction", "actor", "pacs\n"),
    "prediction-with-a-traceparent-cut-short": ("prediction", "traceparent", "00-00-00-00"),
    "prediction-without-a-release": ("prediction", "release", REMOVED),
    "prediction-with-an-empty-release": ("prediction", "release", ""),
    "record-without-an-event-id": ("prediction", "event_id", REMOVED),
    "record-with-an-event-id-in-capitals": ("prediction", "event_id", EVENT_ID.upper()),
    "record-from-before-1970": ("prediction", "recorded_at_us", -1),
    "record-without-a-kind": ("prediction", "kind", REMOVED),
    "record-with-a-kind-that-is-a-list": ("prediction", "kind", ["prediction"]),
    "record-larger-than-16-kib": ("prediction", "finding.reasons", ["a" * 64] * 300),
    "request-with-a-finding": ("request", "finding", {"decision": "negative", "reasons": []}),
    "request-with-a-code-in-words": ("request", "code", "Not Found"),
    "genesis-without-formats": ("genesis", "formats", REMOVED),
    "genesis-with-a-newline-in-its-origin": ("genesis", "origin", "log\nexample"),
    "genesis-with-an-origin-of-257-characters": ("genesis", "origin", "x" * 257),
    "genesis-with-a-key-without-an-id": ("genesis", "verifier_key", "log.example/a+AAAA"),
    "outcome-with-an-unknown-outcome": ("outcome", "outcome", "delivered"),
    "outcome-of-no-index": ("outcome", "of_index", REMOVED),
    "window-with-an-unknown-phase": ("window", "phase", "ajar"),
    "window-with-a-count-that-is-null": ("window", "count", None),
    "outage-without-a-count": ("outage", "refused", REMOVED),
    "service-started-with-33-models": ("service_started", "models", [MODEL] * 33),
    "service-started-with-a-model-without-a-digest": ("service_started", "models", [{"name": "a", "version": "1"}]),
    "service-stopped-with-a-reason": ("service_stopped", "reason", "idle"),
    "release-activated-without-a-digest": ("release_activated", "release", None),
    "release-activated-in-no-environment": ("release_activated", "environment", "staging"),
    "administered-by-nobody": ("administered", "actor", REMOVED),
    "administered-by-somebody-whom-nobody-vouches-for": ("administered", "vouched_by", "hearsay"),
    "administered-with-an-action-in-words": ("administered", "action", "revoked a token"),
}


def records(log: Log) -> Iterator[tuple[int, str, str]]:
    """(exit code, name, receipt)."""
    for kind, members in KINDS.items():
        body = canonical.encode({**ENTRY, "kind": kind, **members})
        yield 0, f"record-of-kind-{kind.replace('_', '-')}", log_of(body, {}).proof
    for name, (kind, member, value) in OUTSIDE.items():
        yield 1, f"{name}-but-signed", log_of(canonical.encode(changed(members_of(kind), member, value)), {}).proof
    for name, body in second_forms(log.body).items():
        yield 1, f"{name}-but-signed", log_of(body, {}).proof


def second_forms(body: bytes) -> dict[str, bytes]:
    status = b'"status":200'
    return {
        "record-not-canonical": body.replace(status, b'"status": 200'),
        "record-of-another-format": body.replace(b"medai.record/1", b"medai.record/9"),
        "record-of-an-unknown-kind": body.replace(b'"kind":"prediction"', b'"kind":"guess"'),
        "record-with-a-float": body.replace(status, b'"status":200.5'),
        "record-with-a-member-twice": body.replace(status, status + b"," + status),
    }


def members_of(kind: str) -> dict[str, Any]:
    """A valid record of this kind, as JSON has it."""
    if kind == "prediction":
        value: dict[str, Any] = canonical.decode(record.encode(a_prediction(an_answer())))
        return value
    return {**ENTRY, "kind": kind, **KINDS[kind]}


def changed(members: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy in which the member at `path` is `value`, or is not there."""
    name, _, rest = path.partition(".")
    copy = dict(members)
    if rest:
        copy[name] = changed(copy[name], rest, value)
    elif value is REMOVED:
        del copy[name]
    else:
        copy[name] = value
    return copy
