"""The records that a ledger makes by itself: what became of an answer that it could not confirm in time, and outages.

Nothing here is written: the ledger appends them.
"""

from audit import record
from audit.record import Outage, Outcome, Prediction, Request
from traceability.marks import implements


def replaced(entry: Prediction | Request, index: int, now_us: int) -> Outcome:
    """The answer of `entry`, which is at `index`, was replaced before it became durable."""
    return Outcome(
        format=record.FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=now_us,
        of_index=index,
        request_id=entry.request_id,
        outcome="answer_replaced",
        bytes_sent=0,
    )


@implements("REQ-LED-019")
def outage(process_id: str, from_us: int) -> Outage:
    """An outage that has just begun."""
    return Outage(
        format=record.FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=from_us,
        process_id=process_id,
        from_us=from_us,
        to_us=from_us,
        refused=0,
    )
