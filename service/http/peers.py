"""Who is calling, as a pseudonym: the address never reaches a record or a log."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from service.http.ports import Pseudonyms
from traceability.marks import implements

_REMEMBERED: Final = 4096
OTHERS: Final = "others"
"""The one name of all peers beyond the bound; it is no address."""


class Peers:
    """Pseudonyms of client addresses. Proxies are believed only where they are named as trusted."""

    def __init__(self, pseudonyms: Pseudonyms, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = tuple(trusted)
        self._pseudonym = lru_cache(_REMEMBERED)(lambda address: pseudonyms.of("peer", address))

    @implements("REQ-SEC-019")
    def pseudonym(self, client: tuple[str, int] | None, forwarded: bytes | None) -> str:
        address = client[0] if client is not None else "unknown"
        if self._trusted and forwarded is not None:
            address = self._behind_proxies(address, forwarded)
        return self._pseudonym(address)

    def others(self) -> str:
        return self._pseudonym(OTHERS)

    @implements("REQ-SEC-019")
    def _behind_proxies(self, address: str, forwarded: bytes) -> str:
        """Each proxy appends its peer: read from the right, as long as the one who says so is trusted."""
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            if not self._is_trusted(address):
                break
            try:
                address = str(ip_address(hop.strip()))
            except ValueError:
                break
        return address

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)
