"""A prediction's two faces: the record that is committed, and the answer that is released with its proof.

The answer is encoded before the append, without its `ledger` member; the record holds the digest of exactly
those bytes. Whoever has the answer can make them again: take `ledger` away and encode canonically.
"""

from hashlib import sha256
from typing import Final, Literal

import msgspec
from msgspec import Struct

from audit import record as records
from audit.ports import Proven
from service.domain import messages
from service.http.case import Case
from service.http.ports import Pseudonyms
from traceability.marks import implements

FORMAT: Final = "medai.answer/1"


class LedgerProof(Struct, frozen=True, kw_only=True):
    """Where the answer's record is, and the C2SP tlog-proof that it is there."""

    index: records.Count
    leaf_hash: records.Sha256
    proof: str


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a 200 from `/infer`. There are no floats anywhere in it."""

    format: Literal["medai.answer/1"]
    request_id: records.Uuid
    correlation_id: records.CorrelationId
    model: records.ModelRef
    finding: records.Finding
    input: records.Input
    quality: records.Quality
    intended_use: str
    latency_ms: records.Count
    ledger: LedgerProof | None = None


def answer_of(prediction: messages.Prediction, case: Case, latency_ms: int) -> Answer:
    """The answer, not yet proved."""
    finding, report = prediction.finding, prediction.quality
    return Answer(
        format=FORMAT,
        request_id=case.request_id,
        correlation_id=case.correlation_id,
        model=records.ModelRef(
            name=prediction.model.name, version=prediction.model.version, sha256=prediction.model.sha256
        ),
        finding=records.Finding(
            decision=finding.decision,
            label=finding.label,
            probability_ppm=finding.probability_ppm,
            threshold_ppm=finding.threshold_ppm,
            reasons=finding.reasons,
        ),
        input=_input(prediction),
        quality=records.Quality(
            verdict="passed" if report.passed else "failed",
            contrast_ppm=report.contrast_ppm,
            clipped_ppm=report.clipped_ppm,
        ),
        intended_use=prediction.intended_use,
        latency_ms=latency_ms,
    )


@implements("REQ-SEC-007")
def record_of(
    answer: Answer,
    prediction: messages.Prediction,
    case: Case,
    *,
    answer_sha256: str,
    recorded_at_us: int,
    pseudonyms: Pseudonyms,
) -> records.Prediction:
    """The record of `answer`. Patient and study go in as pseudonyms and nowhere else."""
    return records.Prediction(
        format=records.FORMAT,
        event_id=records.new_event_id(),
        recorded_at_us=recorded_at_us,
        request_id=case.request_id,
        correlation_id=case.correlation_id,
        traceparent=case.traceparent,
        method=case.method,
        route="/infer",
        status=200,
        actor=case.actor,
        peer=case.peer,
        release=case.release,
        model=answer.model,
        finding=answer.finding,
        input=answer.input,
        quality=answer.quality,
        subject=_subject(prediction, pseudonyms),
        runtime=records.Runtime(
            name=prediction.runtime.name,
            version=prediction.runtime.version,
            provider=prediction.runtime.provider,
            optimization=prediction.runtime.optimization,
        ),
        answer_sha256=answer_sha256,
    )


@implements("REQ-LED-013")
def digest(answer: Answer) -> str:
    """SHA-256 of the canonical bytes of an answer without its `ledger` member."""
    assert answer.ledger is None
    return sha256(encode(answer)).hexdigest()


@implements("REQ-LED-013")
def proved(answer: Answer, proven: Proven) -> bytes:
    """The answer's final bytes."""
    ledger = LedgerProof(index=proven.index, leaf_hash=proven.leaf_hash.hex(), proof=proven.proof)
    return encode(msgspec.structs.replace(answer, ledger=ledger))


def encode(answer: Answer) -> bytes:
    """Canonical JSON (RFC 8785, restricted as in `audit.canonical`; a test holds the two equal)."""
    return _encoder.encode(answer)


def _input(prediction: messages.Prediction) -> records.Input:
    window = prediction.window
    return records.Input(
        media_type=prediction.media_type,
        sha256=prediction.input_sha256,
        pixels_sha256=prediction.pixels_sha256,
        rows=prediction.rows,
        columns=prediction.columns,
        frame=prediction.frame,
        window=records.WindowUsed(
            source=window.source, center_milli=window.center_milli, width_milli=window.width_milli
        ),
    )


@implements("REQ-SEC-007")
def _subject(prediction: messages.Prediction, pseudonyms: Pseudonyms) -> records.Subject | None:
    if prediction.patient is None and prediction.study is None:
        return None
    return records.Subject(
        patient=pseudonyms.of("patient", prediction.patient) if prediction.patient is not None else None,
        study=pseudonyms.of("study", prediction.study) if prediction.study is not None else None,
    )


_encoder: Final = msgspec.json.Encoder(order="sorted")
