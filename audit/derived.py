"""The columns that the database derives from a record, to search by; verification derives them again here.

The database does it in SQL, in `ledger.append`; this is the same in other words, so that neither is believed.
"""

from typing import Any, Final

from audit.record import (
    Administered,
    Genesis,
    KeyRotated,
    Outage,
    Outcome,
    Prediction,
    Record,
    ReleaseActivated,
    Request,
    ServiceStarted,
    ServiceStopped,
    Window,
)
from traceability.marks import implements

COLUMNS: Final = (
    "kind",
    "recorded_at_us",
    "request_id",
    "correlation_id",
    "actor",
    "peer",
    "route",
    "status",
    "code",
    "decision",
    "model",
    "release",
    "patient",
    "study",
    "process_id",
    "phase",
    "minute_us",
    "of_index",
)
"""Of table `records`, in its order, after idx, event_id, record and leaf_hash."""


@implements("REQ-AUD-012")
def columns_of(entry: Record) -> tuple[Any, ...]:
    """The search columns of `entry`, in the order of `COLUMNS`, None where it says nothing of one.

    UUIDs are in their text form.
    """
    match entry:
        case Prediction():
            subject = entry.subject
            return _request(
                "prediction",
                entry,
                decision=entry.finding.decision,
                model=f"{entry.model.name}@{entry.model.version}",
                patient=subject.patient if subject is not None else None,
                study=subject.study if subject is not None else None,
            )
        case Request():
            return _request("request", entry, code=entry.code)
        case Outcome():
            return _other("outcome", entry, request_id=entry.request_id, of_index=entry.of_index)
        case Window():
            return _other(
                "window",
                entry,
                peer=entry.peer,
                release=entry.release,
                process_id=entry.process_id,
                phase=entry.phase,
                minute_us=entry.minute_us,
                of_index=entry.opens_index,
            )
        case ServiceStarted():
            return _other("service_started", entry, release=entry.release, process_id=entry.process_id)
        case ServiceStopped():
            return _other("service_stopped", entry, process_id=entry.process_id)
        case ReleaseActivated():
            return _other("release_activated", entry, release=entry.release, process_id=entry.process_id)
        case Administered():
            return _other("administered", entry, actor=entry.actor)
        case Outage():
            return _other("outage", entry, process_id=entry.process_id)
        case Genesis():
            return _other("genesis", entry)
        case KeyRotated():
            return _other("key_rotated", entry)


def _request(
    kind: str,
    entry: Prediction | Request,
    *,
    code: str | None = None,
    decision: str | None = None,
    model: str | None = None,
    patient: str | None = None,
    study: str | None = None,
) -> tuple[Any, ...]:
    return (
        kind,
        entry.recorded_at_us,
        entry.request_id,
        entry.correlation_id,
        entry.actor,
        entry.peer,
        entry.route,
        entry.status,
        code,
        decision,
        model,
        entry.release,
        patient,
        study,
        None,
        None,
        None,
        None,
    )


def _other(
    kind: str,
    entry: Record,
    *,
    request_id: str | None = None,
    actor: str | None = None,
    peer: str | None = None,
    release: str | None = None,
    process_id: str | None = None,
    phase: str | None = None,
    minute_us: int | None = None,
    of_index: int | None = None,
) -> tuple[Any, ...]:
    before = (kind, entry.recorded_at_us, request_id, None, actor, peer, None, None, None, None, None, release)
    return (*before, None, None, process_id, phase, minute_us, of_index)
