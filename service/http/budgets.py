"""How many records strangers may cause one by one in a minute: each address, and all of them together.

Whatever comes beyond is folded into windows, so that neither one address nor many at once can fill the ledger.
"""

from traceability.marks import implements


@implements("REQ-SEC-023")
class Budget:
    """That of one kind of answer. Memory: at most `max_peers` addresses; those beyond count as one, `others`."""

    def __init__(self, *, each: int, together: int, max_peers: int, others: str) -> None:
        self._each = each
        self._together = together
        self._max_peers = max_peers
        self._others = others
        self._minute_us = 0
        self._spent: dict[str, int] = {}
        self._spent_together = 0

    def spend(self, peer: str, minute_us: int) -> str | None:
        """Count an answer. None where it is to be recorded singly, else whose window it is to join: its peer's own
        once that had its share of single records in this minute, the others' once all peers together had theirs."""
        if minute_us != self._minute_us:
            self._minute_us = minute_us
            self._spent.clear()
            self._spent_together = 0
        if peer not in self._spent and len(self._spent) >= self._max_peers:
            peer = self._others
        had = self._spent.get(peer, 0)
        if had > self._each:
            return peer  # its window is open
        if self._spent_together >= self._together:
            return self._others
        # The first of a peer to be folded counts as well: it opens a window, which is a record.
        self._spent_together += 1
        self._spent[peer] = had + 1
        return peer if had == self._each else None
