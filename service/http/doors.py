"""How many connections are open, and whose: so that no address, nor any number of them, keeps the others out.

What is turned away here is no request: nothing of it was read. It is counted, and on record nowhere.
"""

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from service.errors import RateLimited
from service.http.admission import Rates
from service.http.peers import Address, named, parsed
from service.http.shares import is_within
from traceability.marks import implements


@implements("REQ-SEC-022")
class Doors:
    """The connections of one listening socket in one process. A trusted proxy's are many callers': it has no share."""

    def __init__(
        self,
        *,
        max_connections: int,
        share_percent: int,
        ipv6_bits: int,
        trusted: Sequence[IPv4Network | IPv6Network],
        rates: Rates,
    ) -> None:
        """`rates` is how often an address may come: whoever is refused and comes again costs a connection each time."""
        self._max_connections = max_connections
        self._percent = share_percent
        self._ipv6_bits = ipv6_bits
        self._trusted = tuple(trusted)
        self._rates = rates
        self._open: Counter[str] = Counter()
        self.open = 0

    def enter(self, host: str) -> str | None:
        """Room for one connection from `host`: the name to `leave` under; None where there is none."""
        address = parsed(host)
        who = named(address or host, self._ipv6_bits)
        held, free = self._open[who] + 1, self._max_connections - self.open - 1
        if free < 0 or not (self._is_proxy(address) or self._may_come(who, held, free)):
            if held == 1:
                del self._open[who]
            return None
        self._open[who] = held
        self.open += 1
        return who

    def _is_proxy(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)

    def _may_come(self, who: str, held: int, free: int) -> bool:
        if held > 1 and not is_within(held, free, self._percent):
            return False
        try:
            self._rates.take(who)
        except RateLimited:
            return False
        return True

    def leave(self, who: str) -> None:
        """A connection that had entered is closed."""
        self.open -= 1
        self._open[who] -= 1
        if self._open[who] == 0:
            del self._open[who]
