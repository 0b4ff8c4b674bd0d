"""Log lines that are alike: so many a minute, and what was left out is said."""

import pytest
from structlog import DropEvent

from service.adapters.alike import MINUTE_S, Alike

pytestmark = pytest.mark.verifies("REQ-SEC-031")
BOUND = 3
MALFORMED = {"event": "library", "level": "warning", "logger": "uvicorn.error"}


class Clock:
    now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def write(clock):
    """Writes a line; the line as it leaves, or None where it is left out."""
    alike = Alike(BOUND, clock)

    def written(**line):
        try:
            return alike(None, "", dict(line))
        except DropEvent:
            return None

    return written


def test_lines_up_to_the_bound_are_written(write):
    assert None not in [write(**MALFORMED) for _ in range(BOUND)]


def test_lines_beyond_the_bound_are_left_out(write):
    assert [write(**MALFORMED) for _ in range(100)][BOUND:] == [None] * (100 - BOUND)


def test_the_last_line_of_a_minute_says_that_more_may_follow(write):
    assert ["more" in write(**MALFORMED) for _ in range(BOUND)] == [False] * (BOUND - 1) + [True]


def test_a_line_of_another_kind_is_written_all_the_same(write):
    for _ in range(BOUND + 1):
        write(**MALFORMED)
    assert write(event="ledger", level="warning", code="unavailable") is not None


@pytest.mark.parametrize("name", ["event", "where", "logger", "error", "code"])
def test_lines_that_differ_in_what_happened_are_of_two_kinds(write, name):
    line = {"event": "failed", "level": "error"}
    for _ in range(BOUND):
        write(**line)
    assert write(**{**line, name: "another"}) is not None


def test_lines_that_differ_in_anything_else_are_alike(write):
    written = [write(event="failed", level="error", message=f"flow.py:{number}") for number in range(BOUND + 2)]
    assert written[BOUND:] == [None, None]


def test_the_next_minute_begins_with_how_many_were_left_out(write, clock):
    for _ in range(BOUND + 7):
        write(**MALFORMED)
    clock.now_s += MINUTE_S
    assert [write(**MALFORMED).get("left_out") for _ in range(2)] == [7, None]


def test_until_the_minute_is_over_nothing_more_is_written(write, clock):
    for _ in range(BOUND):
        write(**MALFORMED)
    clock.now_s += MINUTE_S - 1
    assert write(**MALFORMED) is None


def test_lines_for_developers_are_not_bounded(write):
    assert None not in [write(event="answered", level="debug") for _ in range(10 * BOUND)]
