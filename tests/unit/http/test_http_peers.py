"""Whose request it is: the peer's address, or what a trusted proxy says of it; always as a pseudonym."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.peers import Peers
from tests.http_fakes import FakePseudonyms


class Plain:
    """Pseudonyms that can be read."""

    def of(self, kind, value):
        return f"{kind} {value}"


TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.verifies("REQ-SEC-019")
@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("198.51.100.7", None, "198.51.100.7"),
        ("198.51.100.7", b"203.0.113.1", "198.51.100.7"),
        ("10.0.0.1", b"203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", b"203.0.113.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", b"203.0.113.1, 10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", b"203.0.113.1, DOE^JOHN", "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("fd00::1", b"2001:db8::1", "2001:db8::/64"),
        ("fd00::1", b"[2001:db8:0:1::9]:4711", "2001:db8:0:1::/64"),
        ("10.0.0.1", b"203.0.113.1:4711", "203.0.113.1"),
        ("::ffff:10.0.0.1", b"203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", b"::ffff:203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", b"203.0.113.1, 203.0.113.256", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.1, [2001:db8::1", "10.0.0.1"),
        ("unix", b"203.0.113.1", "unix"),
    ],
)
def test_a_forwarded_address_is_believed_only_from_a_trusted_proxy(client, forwarded, expected):
    assert Peers(Plain(), TRUSTED).pseudonym((client, 1), forwarded) == f"peer {expected}"


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("198.51.100.7", b"for=203.0.113.1", "198.51.100.7"),
        ("10.0.0.1", b"for=203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", b"For=203.0.113.1;proto=https;by=10.0.0.1", "203.0.113.1"),
        ("10.0.0.1", b'proto=https; for="203.0.113.1:4711"', "203.0.113.1"),
        ("10.0.0.1", b'for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::/64"),
        ("10.0.0.1", b"for=203.0.113.9, for=203.0.113.1, for=10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", b'for=203.0.113.9;host="a,for=192.0.2.1", for=203.0.113.1', "203.0.113.1"),
        ("10.0.0.1", b"for=unknown", "10.0.0.1"),
        ("10.0.0.1", b"for=_hidden", "10.0.0.1"),
        ("10.0.0.1", b"proto=https", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.1", "10.0.0.1"),
        ("10.0.0.1", b'for="203.0.113.1', "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
    ],
)
def test_a_proxy_may_name_its_peer_in_the_header_of_rfc_7239_instead(client, forwarded, expected):
    peers = Peers(Plain(), TRUSTED, header="forwarded")
    assert peers.pseudonym((client, 1), forwarded) == f"peer {expected}"


@pytest.mark.parametrize(("header", "believed"), [("x-forwarded-for", "203.0.113.1"), ("forwarded", "203.0.113.2")])
def test_of_the_two_headers_only_the_one_that_is_set_is_looked_at(service, drive, header, believed):
    """A proxy that sets the one passes the other on as its client wrote it."""

    async def scenario():
        running = service(trusted_proxies=TRUSTED, forwarded_header=header)
        headers = {"x-forwarded-for": "203.0.113.1", "forwarded": "for=203.0.113.2"}
        await running.ask("GET", "/version", peer="10.0.0.1", headers=headers)
        assert running.ledger.records[-1].peer == FakePseudonyms().of("peer", believed)

    drive(scenario)


def test_all_addresses_of_one_ipv6_network_are_one_peer():
    peers = Peers(Plain(), ())
    assert peers.pseudonym(("2001:db8::1", 1), None) == peers.pseudonym(("2001:db8::ffff:1", 1), None)


def test_addresses_of_two_ipv6_networks_are_two_peers():
    peers = Peers(Plain(), ())
    assert peers.pseudonym(("2001:db8:0:1::1", 1), None) != peers.pseudonym(("2001:db8:0:2::1", 1), None)


def test_ipv6_addresses_can_be_told_apart_one_by_one():
    peers = Peers(Plain(), (), ipv6_bits=128)
    assert peers.pseudonym(("2001:db8::1", 1), None) == "peer 2001:db8::1"


@given(st.binary(max_size=64), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_whatever_a_header_holds_there_is_a_peer(header, which):
    assert Peers(Plain(), TRUSTED, header=which).pseudonym(("10.0.0.1", 1), header).startswith("peer ")


@pytest.mark.verifies("REQ-SEC-019")
def test_without_trusted_proxies_nobody_may_say_who_asks():
    assert Peers(Plain(), ()).pseudonym(("10.0.0.1", 1), b"203.0.113.1") == "peer 10.0.0.1"


@pytest.mark.verifies("REQ-SEC-019")
def test_a_request_without_an_address_has_a_peer_as_well():
    assert Peers(Plain(), ()).pseudonym(None, None) == "peer unknown"


def test_the_address_is_in_no_record(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/version", peer="198.51.100.7")
        assert "198.51.100.7" not in repr(running.ledger.records)

    drive(scenario)
