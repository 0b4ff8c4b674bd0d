"""The same worker without a ledger: what recording costs is what the other one takes longer.

Only here. `service.app` makes its `Ledger`; in this process that name is a stand-in that records nothing, hashes
nothing and proves nothing. Everything else, down to the last line of the HTTP edge, is the service's own.
"""

import sys

from audit.ledger import Ledger
from audit.ports import Proven
from audit.record import Record
from service import app, worker


class Unrecorded(Ledger):
    """Does nothing where a ledger connects, hashes, signs or waits; its keys are read like any ledger's."""

    _next = 0

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def append(self, record: Record) -> Proven:
        self._next += 1
        return Proven(index=self._next, leaf_hash=b"", proof="")

    def enter(self) -> None:
        pass

    def leave(self) -> None:
        pass

    def unready(self) -> str | None:
        return None

    def refused(self, recorded_at_us: int) -> None:
        pass


def main() -> int:
    setattr(app, "Ledger", Unrecorded)  # noqa: B010  # a checker rightly refuses the plain assignment
    return worker.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
