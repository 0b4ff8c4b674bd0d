"""Whether this process could give a finding now, and why not."""

from audit.ledger import Ledger
from traceability.marks import implements


@implements("REQ-DEP-003")
class Readiness:
    """Whether a finding could be given now. Models are checked before there is one of these."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.draining = False

    def reason(self) -> str | None:
        """Why not, or None."""
        return "draining" if self.draining else self._ledger.unready()
