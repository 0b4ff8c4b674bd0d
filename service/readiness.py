"""Whether this process could give a finding now, and why not."""

from collections.abc import Callable

from audit.ledger import Ledger


class Readiness:
    """Whether a finding could be given now. Models are checked before there is one of these."""

    def __init__(self, ledger: Ledger, *, stale: Callable[[], bool] = lambda: False) -> None:
        """`stale`: whether the secrets are too old to do anything by them."""
        self._ledger, self._stale = ledger, stale
        self.draining = False

    def reason(self) -> str | None:
        """Why not, or None."""
        if self.draining:
            return "draining"
        return "the vault of the secrets is away" if self._stale() else self._ledger.unready()
