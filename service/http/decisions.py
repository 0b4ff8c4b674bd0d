"""The two records that the recorder makes by itself: what was decided of a request, and what became of the answer."""

from typing import Literal

from audit import record as records
from service.http.case import Case
from traceability.marks import implements

Fate = Literal["client_gone", "answer_cut", "answer_replaced"]


@implements("REQ-LED-003")
def decided(case: Case, status: int, code: str | None, now_us: int) -> records.Request:
    """The decision record of a request that made none of its own. The route's template stands for path and query."""
    return records.Request(
        format=records.FORMAT,
        event_id=records.new_event_id(),
        recorded_at_us=now_us,
        request_id=case.request_id,
        correlation_id=case.correlation_id,
        traceparent=case.traceparent,
        method=case.method,
        route=case.route,
        status=status,
        actor=case.actor,
        peer=case.peer,
        release=case.release,
        code=code,
    )


@implements("REQ-LED-005")
def became(case: Case, index: int, fate: Fate, bytes_sent: int, now_us: int) -> records.Outcome:
    """What happened after the decision that is recorded at `index`."""
    return records.Outcome(
        format=records.FORMAT,
        event_id=records.new_event_id(),
        recorded_at_us=now_us,
        of_index=index,
        request_id=case.request_id,
        outcome=fate,
        bytes_sent=bytes_sent,
    )
