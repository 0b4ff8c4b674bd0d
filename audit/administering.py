"""What is administered by a command is on record before it is done.

    1. the record is appended      a crash here: on record as about to be done, and not done; the command is run again
    2. what it says is done

The command holds no signing key: its record is in the tree that a process of the service signs next.
"""

import asyncio
from typing import Final

from audit import acceptance, merkle, record
from audit.errors import CallerBehind, LedgerNotInitialised, LedgerUnavailable
from audit.operators import Operator
from audit.ports import Clock, Reader, Store
from audit.record import Administered
from traceability.marks import implements

TRIES: Final = 5
PAUSE_S: Final = 0.2


@implements("REQ-SEC-049")
async def noted(
    store: Store, reader: Reader, clock: Clock, operator: Operator, action: str, subject: str | None = None
) -> int:
    """The index of the record that `operator` is about to do `action` to `subject`; it is durable.

    Raises `LedgerNotInitialised` where there is no log, `LedgerUnavailable` where nothing can be recorded now.
    """
    entry = Administered(
        format=record.FORMAT,
        event_id=record.new_event_id(),
        recorded_at_us=clock.now_us(),
        action=action,
        actor=operator.name,
        vouched_by=operator.vouched_by,
        object=subject,
    )
    body = record.encode(entry)
    acceptance.require_usable(await store.ready())
    head = await reader.head()
    if head.size == 0:
        raise LedgerNotInitialised("ledger: no record 0 in this database; run `medai ledger init`")
    for left in reversed(range(TRIES)):
        try:
            answer = await store.append(head.size, [record.event_uuid(entry)], [body])
        except CallerBehind:
            head = await acceptance.extend(reader, head)
        except LedgerUnavailable:
            if left == 0:
                raise
            await asyncio.sleep(PAUSE_S)
        else:
            acceptance.check_append(head, [merkle.leaf_hash(body)], answer)
            return answer.first
    raise LedgerUnavailable("ledger: others write faster than this process can read what they wrote; try again")
