"""Whose request it is: the peer's address, or what a trusted proxy says of it; always as a pseudonym."""

from ipaddress import ip_network

import pytest

from service.http.peers import Peers


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
        ("fd00::1", b"2001:db8::1", "2001:db8::1"),
        ("unix", b"203.0.113.1", "unix"),
    ],
)
def test_a_forwarded_address_is_believed_only_from_a_trusted_proxy(client, forwarded, expected):
    assert Peers(Plain(), TRUSTED).pseudonym((client, 1), forwarded) == f"peer {expected}"


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
