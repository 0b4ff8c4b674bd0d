"""Saved answers: one as it is, in other layouts and with one mutation each; and answers whose record says the
same, but is no record of a finding that was ever released.
"""

import json
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from audit import canonical, evidence, note, receipt, record
from tests.audit_log import EVENT_ID, REQUEST_ID, Log, a_prediction, an_answer, digest, log_of
from tests.audit_vectors_records import REMOVED, changed, members_of

OTHER_ID = "0190f0c4-6d1a-7b3e-8f21-bbbbbbbbbbbb"
# Name of the vector -> member of the answer, and what it is instead; the record is as it was.
ALTERED: dict[str, tuple[str, object]] = {
    "decision-changed": ("finding.decision", "negative"),
    "label-changed": ("finding.label", "no-lesion"),
    "label-null": ("finding.label", None),
    "probability-changed": ("finding.probability_ppm", 12_345),
    "probability-as-float": ("finding.probability_ppm", 912_345.0),
    "probability-as-text": ("finding.probability_ppm", "912345"),
    "threshold-changed": ("finding.threshold_ppm", 950_000),
    "reason-removed": ("finding.reasons", []),
    "reason-added": ("finding.reasons", ["above_threshold", "x"]),
    "finding-member-added": ("finding.note", "benign"),
    "finding-missing": ("finding", REMOVED),
    "finding-null": ("finding", None),
    "model-name-changed": ("model.name", "other"),
    "model-version-changed": ("model.version", "2.0.0"),
    "model-digest-changed": ("model.sha256", digest("x")),
    "input-digest-changed": ("input.sha256", digest("x")),
    "pixels-digest-changed": ("input.pixels_sha256", digest("x")),
    "rows-changed": ("input.rows", 511),
    "frame-changed": ("input.frame", 1),
    "window-changed": ("input.window.source", "card"),
    "media-type-changed": ("input.media_type", "image/jpeg"),
    "quality-verdict-changed": ("quality.verdict", "failed"),
    "quality-contrast-changed": ("quality.contrast_ppm", 1),
    "quality-member-as-boolean": ("quality.clipped_ppm", False),
    "request-id-changed": ("request_id", OTHER_ID),
    "correlation-id-changed": ("correlation_id", OTHER_ID),
    "intended-use-changed": ("intended_use", "For clinical use."),
    "latency-changed": ("latency_ms", 11),
    "latency-as-float": ("latency_ms", 12.0),
    "integer-beyond-53-bits": ("latency_ms", 2**53),
    "member-added": ("note", "benign"),
    "member-name-in-capitals": ("NOTE", 1),
    "null-member-added": ("note", None),
    "null-member-removed": ("input.frame", REMOVED),
    "format-of-another-version": ("format", "medai.answer/2"),
    "format-missing": ("format", REMOVED),
    "ledger-missing": ("ledger", REMOVED),
    "ledger-null": ("ledger", None),
    "ledger-index-changed": ("ledger.index", 6),
    "ledger-index-as-text": ("ledger.index", "5"),
    "ledger-leaf-hash-changed": ("ledger.leaf_hash", digest("x")),
    "ledger-proof-missing": ("ledger.proof", REMOVED),
    "ledger-proof-not-a-receipt": ("ledger.proof", "hello"),
}
# Name of the vector -> what answer and signed record say alike, and whether that was ever released.
AGREED: dict[str, tuple[int, dict[str, object]]] = {
    "negative": (0, {"finding.decision": "negative", "finding.probability_ppm": 499_999}),
    "positive-at-its-threshold": (0, {"finding.probability_ppm": 500_000}),
    "abstained-on-what-was-measured": (0, {"finding.decision": "abstain", "finding.reasons": ["uncertain"]}),
    "abstained-without-a-measurement": (0, {"finding": {"decision": "abstain", "reasons": ["blank_image"]}}),
    "status-500": (1, {"status": 500}),
    "status-201": (1, {"status": 201}),
    "route-other-than-infer": (1, {"route": "/health"}),
    "method-other-than-post": (1, {"method": "GET"}),
    "no-finding": (1, {"finding": REMOVED}),
    "unknown-decision": (1, {"finding.decision": "probable"}),
    "positive-below-its-threshold": (1, {"finding.probability_ppm": 499_999}),
    "negative-at-its-threshold": (1, {"finding.decision": "negative", "finding.probability_ppm": 500_000}),
    "positive-without-a-label": (1, {"finding.label": REMOVED}),
    "positive-without-a-probability": (1, {"finding.probability_ppm": REMOVED}),
    "positive-without-a-threshold": (1, {"finding.threshold_ppm": REMOVED}),
    "negative-without-a-measurement": (1, {"finding": {"decision": "negative", "reasons": []}}),
    "abstained-without-a-reason": (1, {"finding": {"decision": "abstain", "reasons": []}}),
    "abstained-with-a-label-alone": (
        1,
        {"finding": {"decision": "abstain", "label": "lesion", "reasons": ["uncertain"]}},
    ),
}


def answers(log: Log) -> Iterator[tuple[int, str, str | bytes]]:
    """(exit code, name, answer)."""
    one = log.answer
    yield 0, "untouched", pretty(one)
    yield 0, "canonical", canonical.encode(one)  # type: ignore[arg-type]  # an answer is JSON
    yield 0, "members-in-another-order", pretty(dict(reversed(one.items())))
    yield 0, "escaped-to-ascii", json.dumps(one)
    yield 0, "in-one-line", json.dumps(one, ensure_ascii=False, separators=(",", ":"))
    stranger = note.sign(note.split(log.checkpoint)[0], [note.Signer.generate("stranger.example", b"s" * 32)])
    unsigned = receipt.format(replace(log.receipt, checkpoint=stranger))
    yield 3, "proof-signed-by-a-stranger-only", pretty(changed(one, "ledger.proof", unsigned))
    for name, (member, value) in ALTERED.items():
        yield 1, name, pretty(changed(one, member, value))
    for name, ledger in other_proofs(log).items():
        yield 1, name, pretty(changed(one, "ledger", ledger))
    for name, text in other_texts(log).items():
        yield 1, name, text
    for name, (code, members) in AGREED.items():
        yield code, name if code == 0 else f"{name}-but-signed", pretty(agreed(members))


def other_proofs(log: Log) -> dict[str, object]:
    """The answer's ledger member, of something else or in another form."""
    ours: Any = log.answer["ledger"]
    prediction = a_prediction(an_answer())
    finding = replace(prediction.finding, decision="negative", probability_ppm=12_345)
    other = replace(prediction, event_id="3f2b8a54-1111-4c7d-9b0a-333333333333", finding=finding)
    outcome = record.Outcome(
        format="medai.record/1",
        event_id=EVENT_ID,
        recorded_at_us=1,
        of_index=1,
        request_id=REQUEST_ID,
        outcome="client_gone",
        bytes_sent=0,
    )
    return {
        "proof-of-an-answer-with-another-finding": log_of(record.encode(other), an_answer()).answer["ledger"],
        "proof-of-an-outcome": log_of(record.encode(outcome), an_answer()).answer["ledger"],
        "ledger-leaf-hash-in-capitals": {**ours, "leaf_hash": ours["leaf_hash"].upper()},
        "ledger-proof-as-list": {**ours, "proof": [log.proof]},
    }


def other_texts(log: Log) -> dict[str, str]:
    """What no JSON value says: the text of the file is at fault."""
    text, ledger = pretty(log.answer), changed(log.answer, "ledger.proof", log.proof + "\ud800")
    latency, decision = '  "latency_ms": 12', '"decision": "positive"'
    return {
        "lone-surrogate": json.dumps({**log.answer, "intended_use": "\ud800"}),
        "lone-surrogate-in-proof": json.dumps(ledger),
        "member-twice": text.replace(latency, f'  "latency_ms": 11,\n{latency}', 1),
        "decision-twice": text.replace(decision, f'"decision": "negative",\n    {decision}', 1),
        "truncated": text[:-200],
        "array": pretty([log.answer]),
        "nested-too-deep": '{"a":' + "[" * 5000 + "]" * 5000 + "}",
        "minus-zero": text.replace('"clipped_ppm": 0', '"clipped_ppm": -0'),
        "nan": text.replace('"latency_ms": 12', '"latency_ms": NaN'),
        "byte-order-mark": "\ufeff" + text,
    }


def agreed(members: dict[str, object]) -> dict[str, Any]:
    """An answer and its signed record in which `members` are alike; the record's digest is the answer's."""
    answer, recorded = an_answer(), members_of("prediction")
    for path, value in members.items():
        recorded = changed(recorded, path, value)
        if path.partition(".")[0] in answer:
            answer = changed(answer, path, value)
    recorded["answer_sha256"] = evidence.answer_sha256(answer)
    return log_of(canonical.encode(recorded), answer).answer


def pretty(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
