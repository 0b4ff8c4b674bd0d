"""Who is calling, as a pseudonym: the address never reaches a record or a log.

Proxies are believed only where they are named as trusted, and only in the one header that they are said to set: a proxy
that sets the one passes on the other as its client wrote it.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

from service.http.ports import Pseudonyms
from traceability.marks import implements

Address = IPv4Address | IPv6Address

_REMEMBERED: Final = 4096
OTHERS: Final = "others"
"""The one name of all peers beyond the bound; it is no address."""

# RFC 7239 section 4: elements stand between commas, pairs between semicolons; either may be within a quoted string.
_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_FOR: Final = re.compile(r'(?:^|;)[ \t]*for=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))[ \t]*(?=;|$)', re.IGNORECASE)
# RFC 7239 section 6: an IPv6 address stands in brackets; either may have a port. Some write X-Forwarded-For so as well.
_NODE: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|([0-9.]+)(?::\d{1,5})?|([0-9A-Fa-f:.]+)")


class Peers:
    """Pseudonyms of client addresses. Of an IPv6 address the first `ipv6_bits` count: one caller has all below."""

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        trusted: Sequence[IPv4Network | IPv6Network],
        *,
        header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for",
        ipv6_bits: int = 64,
    ) -> None:
        self.header: Final = header.encode("ascii")
        self._hops = _forwarded if header == "forwarded" else _listed
        self._trusted = tuple(trusted)
        self._ipv6_bits = ipv6_bits
        # Names are remembered here; pseudonyms are by whoever has the key, since it may be another one by now.
        self._named = lru_cache(_REMEMBERED)(lambda host: self._name(parsed(host) or host))
        self._pseudonyms = pseudonyms

    @implements("REQ-SEC-019")
    def pseudonym(self, client: tuple[str, int] | None, said: bytes | None) -> str:
        """Of the connection's peer or, where that is a trusted proxy, of whom it names in `header`."""
        host = client[0] if client is not None else "unknown"
        if said is None or not self._trusted:
            return self._pseudonym(self._named(host))
        address = parsed(host)
        return self._pseudonym(self._named(host) if address is None else self._name(self._behind(address, said)))

    def others(self) -> str:
        return self._pseudonym(OTHERS)

    def _pseudonym(self, name: str) -> str:
        return self._pseudonyms.of("peer", name)

    @implements("REQ-SEC-019")
    def _behind(self, address: Address, said: bytes) -> Address:
        """Each proxy appends its peer: read from the right, as long as the one who says so is trusted."""
        for hop in self._hops(said.decode("latin-1")):
            if not any(address in network for network in self._trusted):
                break
            found = parsed(hop)
            if found is None:
                break
            address = found
        return address

    def _name(self, address: Address | str) -> str:
        return named(address, self._ipv6_bits)


def named(address: Address | str, ipv6_bits: int) -> str:
    """What an address counts as: itself or, of an IPv6 address, the network of its first `ipv6_bits`."""
    if not isinstance(address, IPv6Address) or ipv6_bits == address.max_prefixlen:
        return str(address)
    return str(ip_network((address, ipv6_bits), strict=False))


def _listed(said: str) -> Iterator[str]:
    """The addresses of an X-Forwarded-For header, the last first."""
    return (hop.strip() for hop in reversed(said.split(",")))


def _forwarded(said: str) -> Iterator[str]:
    """The `for` of each element of a Forwarded header (RFC 7239), the last first; empty where one has none."""
    for element in reversed(_ELEMENT.findall(said)):
        found = _FOR.search(element.strip())
        quoted = found is not None and found[1] is not None
        yield "" if found is None else re.sub(r"\\(.)", r"\1", found[1]) if quoted else found[2]


def parsed(node: str) -> Address | None:
    """The address that a hop names, with or without a port. An IPv4 address within IPv6 is the IPv4 address."""
    found = _NODE.fullmatch(node)
    if found is None:
        return None
    try:
        address = ip_address(found[1] or found[2] or found[3])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
