"""Where verification must find an alteration: each takes the ledger's plan and the index, or size, that was meant."""

from collections.abc import Callable

from tests.tampering.ledger import Plan

Place = tuple[int, int]
Where = Callable[[Plan, int], list[Place]]


def record(_: Plan, at: int) -> list[Place]:
    """The record."""
    return [(at, at + 1)]


def both(other: Callable[[int], int]) -> Where:
    """Both records."""
    return lambda _, at: sorted([(at, at + 1), (other(at), other(at) + 1)])


def span(other: Callable[[int], int]) -> Where:
    """From the one place to the other."""
    return lambda _, at: [(min(at, other(at)), max(at, other(at)) + 1)]


def hashed_with(plan: Plan, at: int) -> list[Place]:
    """The records of its batch that share one hash of the batch's frontier."""
    return [plan.hashed_with(at)]


def batch(plan: Plan, at: int) -> list[Place]:
    """The batch."""
    return [plan.batch_of(at)]


def batch_and_next(plan: Plan, at: int) -> list[Place]:
    """The batch and the one after it."""
    first, size = plan.batch_of(at)
    return [(first, plan.batch_of(size)[1] if size < plan.size else size)]


def tile(_: Plan, at: int) -> list[Place]:
    """The subtree's records."""
    return [(at // 256 * 256, at // 256 * 256 + 256)]


def interval(plan: Plan, at: int) -> list[Place]:
    """From the last signed size that agrees to the first that does not."""
    return [plan.between_signed(at)]


def interval_in_tile(plan: Plan, at: int) -> list[Place]:
    """What of that interval is in the subtree."""
    (low, high), (first, last) = plan.between_signed(at), tile(plan, at)[0]
    return [(max(low, first), min(high, last))]


def end(plan: Plan, at: int) -> list[Place]:
    """From the last signed size that is left to the largest that was signed."""
    signed = {*plan.published, *plan.cosigned, *plan.anchored}
    return [(max((size for size in signed if size <= at), default=0), plan.size)]


def rest(plan: Plan, at: int) -> list[Place]:
    """The missing records."""
    return [(at, plan.size)]


def added(plan: Plan, _: int) -> list[Place]:
    """The record that was added."""
    return [(plan.size, plan.size + 1)]


def after(_: Plan, at: int) -> list[Place]:
    """The record that was put in."""
    return [(at + 1, at + 2)]


def size(_: Plan, at: int) -> list[Place]:
    """The checkpoint's size."""
    return [(at, at)]


def first(_plan: Plan, _at: int) -> list[Place]:
    """Record 0."""
    return [(0, 1)]
