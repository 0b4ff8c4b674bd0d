"""What stands in where a ledger has nobody to tell and nothing to note: benchmarks, tools, tests."""

from audit.record import Outage


class Unobserved:
    """An observer that tells nobody."""

    def flushed(self, *, records: int, commit_us: int) -> None:
        """Nothing."""

    def anchored(self, anchor: str, size: int) -> None:
        """Nothing."""

    def event(self, code: str, message: str) -> None:
        """Nothing."""


class Unwatched:
    """An observer of publishing that tells nobody."""

    def anchored(self, anchor: str, size: int) -> None:
        """Nothing."""

    def anchor_failed(self, anchor: str, reason: str) -> None:
        """Nothing."""

    def witnessed(self, witness: str, size: int) -> None:
        """Nothing."""

    def witness_failed(self, witness: str, reason: str) -> None:
        """Nothing."""

    def attested(self, size: int) -> None:
        """Nothing."""

    def event(self, code: str, message: str) -> None:
        """Nothing."""


class Forgotten:
    """Outages that no restart survives: for a ledger that is not told where to note them."""

    def note(self, outage: Outage) -> None:
        """Nothing."""

    def left(self) -> tuple[Outage, ...]:
        """None."""
        return ()

    def clear(self, outage: Outage) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
