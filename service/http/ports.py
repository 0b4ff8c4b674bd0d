"""What the HTTP edge asks of the world besides the ledger. Implementations live in `service.adapters`."""

from contextlib import AbstractContextManager
from typing import Literal, Protocol

Unrecorded = Literal["ledger_unavailable", "record_refused", "outcome", "window"]


class Principal(Protocol):
    """Who a token belongs to; the name is what records call the actor."""

    @property
    def name(self) -> str: ...

    @property
    def scopes(self) -> frozenset[str]: ...


class TokenBook(Protocol):
    def principal(self, token: str) -> Principal | None:
        """Whose token this is; None where it is unknown, revoked or expired. Waits for nothing."""
        ...

    async def late(self, token: str) -> Principal | None:
        """As `principal`, for a token that it did not know: whoever may know more by now is asked, in bounded time."""
        ...


class Pseudonyms(Protocol):
    def of(self, kind: Literal["patient", "study", "peer"], value: str) -> str:
        """`KEY:HEX`, the same for the same kind and value under one key, and nothing without the key."""
        ...


class Telemetry(Protocol):
    """Counts and log lines. No label and no field carries a token, a peer or anything of a patient."""

    def answered(
        self, method: str, route: str, status: int, code: str | None, seconds: float, *, correlation_id: str
    ) -> None: ...

    def unrecorded(self, reason: Unrecorded) -> None: ...

    def inferred(self, model: str, decision: str, seconds: float) -> None:
        """One finding was made; how long decoding and the model took together."""
        ...

    def waiting(self, admitted: int, running: int) -> None:
        """How many `/infer` requests are admitted, and how many of them run."""
        ...

    def failed(self, where: str, error: BaseException, *, correlation_id: str | None = None) -> None:
        """An error of ours: its class and where it was raised are logged, never its message; and the id of the
        request that met it, where there was one."""
        ...


class Exchange(Protocol):
    def answered(self, *, method: str, route: str, status: int, code: str | None, index: int | None) -> None:
        """How the request was answered, and the record that covers it."""
        ...


class Tracing(Protocol):
    def exchange(
        self, traceparent: str, *, begun_by: Literal["caller", "service"], correlation_id: str, request_id: str
    ) -> AbstractContextManager[Exchange]:
        """Around one request; everything below it belongs to it. `traceparent` is what its record says: of the
        caller's span, or of this very one."""
        ...
