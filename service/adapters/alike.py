"""Log lines that are alike, so many a minute: what strangers can have written as often as they like fills no disk.

A request that is not HTTP, or that asks for another protocol, is a line of the server's library each, before the
application sees it; an error of ours is a line for each request that meets it. Who else writes is no concern here.
"""

import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from structlog import DropEvent

from traceability.marks import implements

KIND: Final = ("event", "where", "logger", "error", "code")
"""The fields by which lines are alike. None of them is a caller's choice, so there are few kinds."""
MINUTE_S: Final = 60.0


class Alike:
    """A processor of structlog's. Of each kind, the first `per_minute` lines of a minute are written; the last of
    these says that more may follow, and the next minute's first how many were left out."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._ends = float("-inf")
        self._written: dict[tuple[Any, ...], int] = {}
        self._left_out: dict[tuple[Any, ...], int] = {}

    @implements("REQ-SEC-031")
    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("level") == "debug":  # a line for each request is what it is asked for
            return event
        now = self._now()
        if now >= self._ends:
            self._ends = now + MINUTE_S
            self._written.clear()
        kind = tuple(event.get(name) for name in KIND)
        written = self._written.get(kind, 0)
        if written >= self._per_minute:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            raise DropEvent
        self._written[kind] = written + 1
        if left_out := self._left_out.pop(kind, 0):
            event["left_out"] = left_out
        if written + 1 == self._per_minute:
            event["more"] = "left out for a minute at most"
        return event
