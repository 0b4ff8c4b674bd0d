"""A request under way, as the recorder and the handlers share it."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from audit.ports import Proven
from audit.record import Prediction
from service.http.problems import Problem

SCOPE_KEY: Final = "medai.case"
UNMATCHED: Final = "<unmatched>"

Receive = Callable[[], Awaitable[Any]]


class Case:
    """One request. The recorder makes it, handlers fill in what they learn, and the recorder decides.

    `commit` makes the handler's own decision record durable; it may be called once. `about_to_append` tells the
    ledger that this request will soon append, so that a flush may linger for it. `receive` is ASGI's, watched.
    """

    __slots__ = (
        "about_to_append",
        "actor",
        "commit",
        "correlation_id",
        "declared_bytes",
        "index",
        "method",
        "peer",
        "problem",
        "receive",
        "received_us",
        "release",
        "request_id",
        "route",
        "traceparent",
    )

    def __init__(
        self,
        *,
        request_id: str,
        correlation_id: str,
        traceparent: str,
        method: str,
        peer: str,
        received_us: int,
        release: str | None = None,
    ) -> None:
        self.request_id = request_id
        self.correlation_id = correlation_id
        self.traceparent = traceparent
        self.method = method
        self.peer = peer
        self.received_us = received_us
        self.release = release
        self.route = UNMATCHED
        self.actor: str | None = None
        self.problem: Problem | None = None
        self.index: int | None = None
        self.declared_bytes: int | None = None
        self.receive: Receive
        self.commit: Callable[[Prediction], Awaitable[Proven]]
        self.about_to_append: Callable[[], None]

    @property
    def caller(self) -> str:
        """Whose rate and whose shares this request counts against."""
        return self.actor or self.peer


def case_of(scope: Any) -> Case:
    """The case that the recorder put into the ASGI scope."""
    case: Case = scope[SCOPE_KEY]
    return case
