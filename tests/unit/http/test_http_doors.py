"""How many connections there may be, and whose."""

from ipaddress import ip_network

import pytest

from service.http.admission import Rates
from service.http.doors import Doors

pytestmark = pytest.mark.verifies("REQ-SEC-022")


def doors(*, share_percent=50, trusted=(), ipv6_bits=64, per_s=1_000, now=lambda: 0.0):
    rates = Rates(per_s=per_s, burst=per_s, max_callers=1_000, now=now)
    return Doors(max_connections=20, share_percent=share_percent, ipv6_bits=ipv6_bits, trusted=trusted, rates=rates)


def entered(doors, *hosts):
    """How many of these connections find room."""
    return sum(doors.enter(host) is not None for host in hosts)


def test_one_address_gets_no_more_than_its_share():
    assert entered(doors(), *["192.0.2.1"] * 30) == 10


def test_an_address_that_has_its_share_does_not_keep_another_out():
    made = doors()
    entered(made, *["192.0.2.1"] * 30)
    assert entered(made, "192.0.2.2") == 1


@pytest.mark.parametrize("greedy", range(1, 10))
def test_greedy_addresses_together_leave_room_for_one_more(greedy):
    made = doors()
    entered(made, *[f"192.0.2.{number % greedy}" for number in range(200)])
    assert entered(made, "198.51.100.1") == 1


def test_all_addresses_together_get_no_more_than_there_may_be():
    assert entered(doors(), *[f"192.0.2.{number}" for number in range(60)]) == 20


def test_a_trusted_proxy_may_have_all():
    assert entered(doors(trusted=(ip_network("10.0.0.0/8"),)), *["10.0.0.1"] * 30) == 20


def test_a_network_of_ipv6_addresses_has_one_share():
    assert entered(doors(), *[f"2001:db8::{number:x}" for number in range(30)]) == 10


def test_a_connection_that_ends_makes_room():
    made = doors()
    names = [made.enter("192.0.2.1") for _ in range(10)]
    made.leave(names[0])
    assert entered(made, *["192.0.2.1"] * 3) == 1


def test_addresses_without_a_connection_take_no_memory():
    made = doors()
    for number in range(100):
        made.leave(made.enter(f"192.0.2.{number}"))
    entered(made, *[f"198.51.100.{number}" for number in range(60)])
    assert (len(made._open), made.open) == (20, 20)


def test_without_a_share_one_address_may_have_all():
    assert entered(doors(share_percent=100), *["192.0.2.1"] * 30) == 20


def test_what_is_no_address_has_a_share_like_one():
    assert entered(doors(), *["unknown"] * 30) == 10


def test_an_address_that_comes_again_and_again_is_turned_away_for_a_while():
    made = doors(per_s=5)
    assert sum(bool((name := made.enter("192.0.2.1")) and (made.leave(name) or True)) for _ in range(9)) == 5


def test_one_second_later_it_may_come_again():
    moment = [0.0]
    made = doors(per_s=5, now=lambda: moment[0])
    for _ in range(9):
        if (name := made.enter("192.0.2.1")) is not None:
            made.leave(name)
    moment[0] = 1.0
    assert entered(made, "192.0.2.1") == 1


def test_a_trusted_proxy_may_come_as_often_as_it_likes():
    assert entered(doors(per_s=1, trusted=(ip_network("10.0.0.0/8"),)), *["10.0.0.1"] * 9) == 9
