"""What every store makes of leases and of checkpoints with cosignatures."""

import asyncio
import hashlib
from uuid import uuid4

import pytest

from audit.errors import LeaseLost, RecordRefused
from audit.ports import Cosigned

pytestmark = pytest.mark.anyio

NAME = "publisher"
A_MINUTE_MS = 60_000


def cosigned(size=1, checkpoint=b"cosigned", **other):
    return Cosigned(**{"size": size, "checkpoint": checkpoint, "attested": True, "policy": b"quorum X\n", **other})


@pytest.fixture
async def published(begun):
    await begun.store.publish(1, b"signed")
    return begun


@pytest.fixture
async def longer(published, entries):
    """Three sizes with a signed checkpoint: 1, 2 and 3."""
    for size in (1, 2):
        await published.store.append(size, *entries.batch(1))
        await published.store.publish(size + 1, b"signed")
    return published


async def leading(ledger):
    return await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)


async def test_whoever_asks_first_has_the_lease(ledger):
    lease = await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)
    assert (lease.held, lease.term) == (True, 1)


async def test_another_does_not_get_a_lease_that_is_held(ledger):
    await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)
    assert not (await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)).held


async def test_whoever_does_not_get_the_lease_is_told_how_long_it_lasts(ledger):
    await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)
    lease = await ledger.store.lease(NAME, uuid4(), 1)
    assert 0 < lease.remaining_ms <= A_MINUTE_MS


async def test_keeping_a_lease_is_still_the_same_term(ledger):
    holder = uuid4()
    first = await ledger.store.lease(NAME, holder, A_MINUTE_MS)
    assert (await ledger.store.lease(NAME, holder, A_MINUTE_MS)).term == first.term


async def test_leases_of_other_names_are_other_leases(ledger):
    await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)
    assert (await ledger.store.lease("watch", uuid4(), A_MINUTE_MS)).held


async def test_a_lease_that_was_given_back_is_to_be_had_for_a_new_term(ledger):
    holder = uuid4()
    first = await ledger.store.lease(NAME, holder, A_MINUTE_MS)
    await ledger.store.release(NAME, holder)
    second = await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)
    assert (second.held, second.term) == (True, first.term + 1)


async def test_nobody_gives_back_the_lease_of_another(ledger):
    await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)
    await ledger.store.release(NAME, uuid4())
    assert not (await ledger.store.lease(NAME, uuid4(), A_MINUTE_MS)).held


async def test_a_lease_that_ran_out_is_another_s_to_take_for_a_new_term(ledger):
    await ledger.store.lease(NAME, uuid4(), 1)
    other = uuid4()
    while not (lease := await ledger.store.lease(NAME, other, A_MINUTE_MS)).held:
        await asyncio.sleep(0.001)
    assert lease.term == 2


async def test_of_many_who_ask_at_once_one_has_the_lease(ledger):
    asked = await asyncio.gather(*(ledger.store.lease(NAME, uuid4(), A_MINUTE_MS) for _ in range(8)))
    assert sum(lease.held for lease in asked) == 1


@pytest.mark.parametrize("ttl_ms", [0, -1, 3_600_001])
async def test_a_lease_for_no_time_or_for_ever_is_refused(ledger, ttl_ms):
    with pytest.raises(RecordRefused):
        await ledger.store.lease(NAME, uuid4(), ttl_ms)


async def test_a_checkpoint_with_cosignatures_is_given_back_with_its_policy(published):
    await published.store.cosign(await leading(published), cosigned())
    policy_sha256 = hashlib.sha256(b"quorum X\n").digest()
    assert await published.reader.cosigned(0, 1, 10) == [cosigned(version=1, policy_sha256=policy_sha256)]


async def test_storing_the_same_again_makes_no_further_version(published):
    lease = await leading(published)
    for _ in range(2):
        await published.store.cosign(lease, cosigned())
    assert [one.version for one in await published.reader.cosigned(0, 1, 10)] == [1]


async def test_what_comes_in_later_is_a_further_version_and_the_earlier_stays(published):
    lease = await leading(published)
    await published.store.cosign(lease, cosigned(checkpoint=b"one", attested=False))
    await published.store.cosign(lease, cosigned(checkpoint=b"one and two"))
    found = await published.reader.cosigned(0, 1, 10)
    assert [(one.version, one.checkpoint) for one in found] == [(2, b"one and two"), (1, b"one")]


async def test_as_many_as_asked_for_are_given_back_the_newest_first(longer):
    lease = await leading(longer)
    for size in (1, 2, 3):
        await longer.store.cosign(lease, cosigned(size))
    assert [one.size for one in await longer.reader.cosigned(0, 3, 2)] == [3, 2]
    assert [one.size for one in await longer.reader.cosigned(1, 2, 2)] == [2]


async def test_nothing_is_stored_for_a_size_that_nobody_signed(published):
    with pytest.raises(RecordRefused):
        await published.store.cosign(await leading(published), cosigned(size=2))


async def test_whoever_never_had_the_lease_stores_nothing(published):
    await leading(published)
    other = await published.store.lease(NAME, uuid4(), A_MINUTE_MS)
    with pytest.raises(LeaseLost):
        await published.store.cosign(other, cosigned())


async def test_whoever_lost_the_lease_to_another_stores_nothing(published):
    lost = await leading(published)
    await published.store.release(NAME, lost.holder)
    await leading(published)
    with pytest.raises(LeaseLost):
        await published.store.cosign(lost, cosigned())


async def test_whoever_had_the_lease_in_an_earlier_term_stores_nothing_with_that(published):
    lost = await leading(published)
    await published.store.release(NAME, lost.holder)
    await published.store.lease(NAME, lost.holder, A_MINUTE_MS)
    with pytest.raises(LeaseLost):
        await published.store.cosign(lost, cosigned())


async def test_a_lease_that_ran_out_stores_nothing_although_nobody_took_it(published):
    lost = await published.store.lease(NAME, uuid4(), 1)
    await asyncio.sleep(0.05)
    with pytest.raises(LeaseLost):
        await published.store.cosign(lost, cosigned())


async def test_the_largest_that_met_its_policy_is_served_although_larger_ones_are_signed(longer):
    lease = await leading(longer)
    await longer.store.cosign(lease, cosigned(1, b"met at 1"))
    await longer.store.cosign(lease, cosigned(2, b"met at 2"))
    await longer.store.cosign(lease, cosigned(3, b"not met at 3", attested=False))
    assert await longer.reader.checkpoint() == (2, b"met at 2")


async def test_of_several_versions_that_met_their_policy_the_last_is_served(published):
    lease = await leading(published)
    for checkpoint in (b"two cosignatures", b"three cosignatures"):
        await published.store.cosign(lease, cosigned(checkpoint=checkpoint))
    assert await published.reader.checkpoint() == (1, b"three cosignatures")


async def test_the_largest_signed_is_served_where_none_met_a_policy(longer):
    await longer.store.cosign(await leading(longer), cosigned(2, attested=False))
    assert await longer.reader.checkpoint() == (3, b"signed")


async def test_the_largest_signed_is_found_whatever_was_cosigned(longer):
    await longer.store.cosign(await leading(longer), cosigned(2))
    assert await longer.reader.signed() == (3, b"signed")


async def test_nothing_is_signed_before_anything_is_published(begun):
    assert await begun.reader.signed() is None
