"""Publishing: one leader, every anchor and witness at its own pace, and whatever goes wrong with any of them."""

import asyncio
from contextlib import ExitStack
from uuid import uuid4

import msgspec
import pytest

from audit import checkpoint, note, receipt
from audit.attestation import adopt
from audit.errors import LeaseLost, LedgerForked, LedgerUnavailable
from audit.memory import MemoryStore
from audit.publishing import NAME
from tests.ledger_fakes import until
from tests.publishing_fakes import QUICK, FakeAnchor, PublishedLog, Watched, policy_of, publishing
from tests.witness_fakes import TEXT, FakeWitness, serving

SLOW = msgspec.structs.replace(QUICK, witness_timeout_ms=60_000, blob_deadline_ms=60_000)


@pytest.fixture
def told(tmp_path, entries):
    """Runs an async test over a published log of one record, bounded in time."""

    def run(test):
        async def whole():
            log = PublishedLog(tmp_path, entries)
            await log.begin()
            await asyncio.wait_for(test(log), 20)

        asyncio.run(whole())

    return run


@pytest.fixture
def witnesses():
    """Three of them: A, B and C."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(serving(FakeWitness(name.lower(), seed)))
            for seed, name in enumerate("ABC", start=1)
        }


def cosigners(database, size=None):
    """The names of the keys on the newest stored version of the largest size, the log's first."""
    newest = max(
        (one for one in database.cosigned if size in (None, one.size)), key=lambda one: (one.size, one.version)
    )
    return [line.name for line in note.split(newest.checkpoint)[1]]


# -- anchors


def test_the_newest_signed_checkpoint_is_anchored(told):
    async def test(log):
        anchor, size = FakeAnchor(), await log.grow()
        async with publishing(log.publisher(anchors={"container": anchor})):
            await until(lambda: anchor.put_sizes == [size])

    told(test)


def test_what_an_anchor_holds_is_told(told):
    async def test(log):
        watched, size = Watched(), await log.grow()
        async with publishing(log.publisher(anchors={"container": FakeAnchor()}, watched=watched)):
            await until(lambda: watched.held == {"container": size})

    told(test)


def test_an_anchor_that_failed_is_tried_again(told):
    async def test(log):
        anchor, watched = FakeAnchor(), Watched()
        anchor.fault = LedgerUnavailable("away")
        async with publishing(log.publisher(anchors={"container": anchor}, watched=watched)):
            await until(lambda: len(watched.failed) >= 3)
            anchor.fault = None
            await until(lambda: anchor.put_sizes == [1])
        assert set(watched.failed) == {("container", "ledger_unavailable")}

    told(test)


def test_an_anchor_with_another_history_raises_the_alarm(told):
    async def test(log):
        anchor, alarms = FakeAnchor(), list[str]()
        anchor.fault = LedgerForked("two roots")
        async with publishing(log.publisher(anchors={"container": anchor}, forked=alarms.append)):
            await until(lambda: alarms != [])
        assert alarms[0] == "two roots"

    told(test)


def test_an_anchor_that_hangs_delays_no_other_and_no_witness(told, witnesses):
    async def test(log):
        hanging, other = FakeAnchor(), FakeAnchor()
        hanging.hangs.set()
        made = log.publisher(
            anchors={"hanging": hanging, "other": other}, policy=policy_of(witnesses, 3), settings=SLOW
        )
        try:
            async with publishing(made):
                await until(lambda: other.put_sizes == [1] and log.database.cosigned != [])
        finally:
            hanging.hangs.clear()

    told(test)


def test_an_anchor_that_hangs_is_given_up_and_not_asked_again_meanwhile(told):
    async def test(log):
        anchor, watched = FakeAnchor(), Watched()
        anchor.hangs.set()
        quick = msgspec.structs.replace(QUICK, blob_deadline_ms=1_000)
        try:
            async with publishing(log.publisher(anchors={"container": anchor}, watched=watched, settings=quick)):
                await until(lambda: len(watched.failed) >= 2)
        finally:
            anchor.hangs.clear()

    told(test)


def test_what_the_log_did_not_sign_is_sent_to_nobody(told):
    async def test(log):
        anchor, watched = FakeAnchor(), Watched()
        await log.store.append(1, *log.entries.batch(1))
        await log.store.publish(2, b"anything")
        async with publishing(log.publisher(anchors={"container": anchor}, watched=watched)):
            await until(lambda: "anchor_altered" in watched.codes)
        assert anchor.put_sizes == []

    told(test)


# -- witnesses


def test_a_checkpoint_that_meets_the_policy_is_stored_and_served(told, witnesses):
    async def test(log):
        size = await log.grow(3)
        policy = policy_of(witnesses, 2)
        async with publishing(log.publisher(policy=policy)):
            await until(lambda: any(one.attested for one in log.database.cosigned))
        served = await log.reader.checkpoint()
        assert served is not None
        assert served[0] == size
        trusted = adopt(policy.encode(), [log.signer.verifier]).policy
        receipt.require_quorum(trusted, receipt.open_checkpoint(served[1], trusted))

    told(test)


def test_each_witness_is_sent_a_proof_from_the_size_that_it_has(told, witnesses):
    async def test(log):
        watched = Watched()
        async with publishing(log.publisher(policy=policy_of(witnesses, 3), watched=watched)):
            await until(lambda: watched.met == [1])
            await log.grow(4)
            await until(lambda: watched.met == [1, 5])
        assert [request.old_size for request in witnesses["A"].requests] == [0, 1]

    told(test)


def test_a_witness_that_has_more_than_was_known_is_asked_again_from_there(told, witnesses):
    async def test(log):
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned != [])
        await log.grow(4)
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned[-1].size == 5)
        assert [request.old_size for request in witnesses["A"].requests] == [0, 0, 1]

    told(test)


def test_a_witness_that_is_down_costs_its_own_cosignature_and_no_other(told, witnesses):
    async def test(log):
        watched = Watched()
        witnesses["B"].instead = lambda _: (500, TEXT, b"")
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1] and ("B", "refused") in watched.failed)
        assert cosigners(log.database) == [log.signer.name, "a.example/witness", "c.example/witness"]

    told(test)


def test_a_witness_that_never_answers_delays_no_quorum_without_it(told, witnesses):
    async def test(log):
        watched = Watched()
        witnesses["B"].silent.set()
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched, settings=SLOW)):
            await until(lambda: watched.met == [1])
            size = await log.grow()
            await until(lambda: watched.met == [1, size])
        witnesses["B"].silent.clear()

    told(test)


def test_a_cosignature_that_comes_late_is_a_further_version(told, witnesses):
    async def test(log):
        watched = Watched()
        witnesses["B"].silent.set()
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1])
            witnesses["B"].silent.clear()
            await until(lambda: len(log.database.cosigned) == 2)
        assert [len(note.split(one.checkpoint)[1]) for one in log.database.cosigned] == [3, 4]

    told(test)


def test_a_witness_that_comes_back_has_part_in_the_next_round(told, witnesses):
    async def test(log):
        watched = Watched()
        witnesses["B"].instead = lambda _: (500, TEXT, b"")
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1])
            witnesses["B"].instead = None
            size = await log.grow()
            await until(lambda: watched.cosigned.get("B") == size)

    told(test)


LIES = {
    "a cosignature over another size": lambda witness, request: (
        200, TEXT, witness.lines(checkpoint.format(checkpoint.Checkpoint(
            origin=request.origin, size=7, root=bytes(32)))),
    ),
    "a cosignature by another key": lambda _, request: (
        200, TEXT, FakeWitness("b", seed=77).lines(note.split(request.signed)[0]),
    ),
    "no cosignature": lambda *_: (200, TEXT, b"thank you\n"),
    "another size each time": lambda _, request: (409, "text/x.tlog.size", b"%d\n" % (1 - request.old_size)),
    "more than there is": lambda *_: (409, "text/x.tlog.size", b"1000000\n"),
    "that we are inconsistent": lambda *_: (422, TEXT, b""),
}  # fmt: skip
REASONS = dict(
    zip(
        LIES,
        ("cosignature_invalid", "cosignature_missing", "malformed", "conflicting", "ahead", "inconsistent"),
        strict=True,
    )
)


@pytest.mark.parametrize("lie", LIES)
def test_a_witness_that_lies_is_told_by_name_and_stored_by_nobody(told, witnesses, lie):
    async def test(log):
        watched = Watched()
        witnesses["B"].instead = lambda request: LIES[lie](witnesses["B"], request)
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1] and watched.failed != [])
        assert watched.failed[0] == ("B", REASONS[lie])
        assert cosigners(log.database) == [log.signer.name, "a.example/witness", "c.example/witness"]

    told(test)


def test_too_few_cosignatures_are_stored_and_not_served(told, witnesses):
    async def test(log):
        for name in ("B", "C"):
            witnesses[name].instead = lambda _: (500, TEXT, b"")
        async with publishing(log.publisher(policy=policy_of(witnesses, 2))):
            await until(lambda: log.database.cosigned != [])
        assert cosigners(log.database) == [log.signer.name, "a.example/witness"]
        assert await log.reader.checkpoint() == (1, log.database.checkpoints[1])

    told(test)


def test_a_policy_without_a_quorum_still_collects_what_witnesses_say(told, witnesses):
    async def test(log):
        policy = policy_of(witnesses, 2).replace("quorum G", "quorum none")
        async with publishing(log.publisher(policy=policy)):
            await until(lambda: log.database.cosigned != [])
        assert not log.database.cosigned[-1].attested

    told(test)


def test_a_rewritten_database_is_found_out_by_its_witnesses(told, witnesses):
    async def test(log):
        watched = Watched()
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned != [])
        elsewhere = log.signed(2, bytes(32))  # a thief's: signed with the log's key, for a tree that has no beginning
        await log.store.append(1, *log.entries.batch(1))
        await log.store.publish(2, elsewhere.encode())
        async with publishing(log.publisher(policy=policy_of(witnesses, 3), watched=watched)):
            await until(lambda: len(watched.failed) >= 3)
        assert {reason for _, reason in watched.failed} == {"inconsistent"}

    told(test)


# -- who leads


def test_of_two_publishers_at_once_one_leads(told, witnesses):
    async def test(log):
        watched = Watched()
        both = [log.publisher(policy=policy_of(witnesses, 3), watched=watched) for _ in range(2)]
        async with publishing(*both):
            await until(lambda: watched.met == [1])
            size = await log.grow()
            await until(lambda: watched.met == [1, size])
        assert watched.codes.count("publisher_leads") == 1

    told(test)


def test_a_leader_that_stops_lets_another_lead_at_once(told):
    async def test(log):
        first, second = FakeAnchor(), FakeAnchor()
        log.database.now_ms = lambda: 0  # no lease ever ends by itself
        async with publishing(log.publisher(anchors={"first": first})):
            await until(lambda: first.put_sizes == [1])
        async with publishing(log.publisher(anchors={"second": second})):
            await until(lambda: second.put_sizes == [1])

    told(test)


def test_when_a_leader_is_killed_another_leads_once_its_lease_has_ended(told):
    async def test(log):
        killed = log.publisher(anchors={"first": FakeAnchor()})
        term = await killed.take()
        assert term is not None
        now, watched = log.database.now_ms(), Watched()
        log.database.now_ms = lambda: now
        async with publishing(log.publisher(anchors={"second": FakeAnchor()}, watched=watched)):
            await asyncio.sleep(0.5)
            assert watched.codes == []
            now += QUICK.lease_ms
            await until(lambda: watched.held == {"second": 1})

    told(test)


class Deaf(MemoryStore):
    """A store whose leases nobody can renew, as in a process that is cut off from the database."""

    cut_off = False

    async def lease(self, name, holder, ttl_ms):
        if self.cut_off:
            raise LedgerUnavailable("cut off")
        return await super().lease(name, holder, ttl_ms)


def test_a_leader_that_cannot_renew_its_lease_stops_by_its_own_clock(told):
    async def test(log):
        store = Deaf(log.database)
        made = log.publisher(anchors={"container": FakeAnchor()}, store=store)
        term = await made.take()
        assert term is not None
        store.cut_off = True
        await made.lead(term)
        with pytest.raises(LeaseLost):
            term.require()

    told(test)


def test_what_a_witness_answers_after_the_lease_was_lost_is_stored_by_nobody(told, witnesses):
    async def test(log):
        store = Deaf(log.database)
        for witness in witnesses.values():
            witness.silent.set()
        made = log.publisher(policy=policy_of(witnesses, 2), store=store, settings=SLOW)
        term = await made.take()
        assert term is not None
        leading = asyncio.create_task(made.lead(term))
        store.cut_off = True
        await leading
        for witness in witnesses.values():
            witness.silent.clear()
        await until(lambda: all(witness.latest is not None for witness in witnesses.values()))
        assert log.database.cosigned == []

    told(test)


def test_a_leader_whose_lease_another_took_stops(told):
    async def test(log):
        watched = Watched()
        made = log.publisher(anchors={"container": FakeAnchor()}, watched=watched)
        term = await made.take()
        assert term is not None
        log.database.leases[NAME] = (uuid4(), term.lease.term + 1, log.database.now_ms() + 60_000)
        assert await made.lead(term) is None

    told(test)


def test_what_the_leader_before_collected_is_not_asked_for_again(told, witnesses):
    async def test(log):
        witnesses["C"].instead = lambda _: (500, TEXT, b"")
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned != [])
        witnesses["C"].instead = None
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned[-1].attested)
        assert [len(witnesses[name].requests) for name in "AB"] == [1, 1]

    told(test)


def test_a_database_that_is_away_for_a_while_ends_nothing_for_good(told, witnesses):
    async def test(log):
        watched = Watched()
        async with publishing(log.publisher(policy=policy_of(witnesses, 3), watched=watched)):
            await until(lambda: watched.met == [1])
            log.database.reachable = False
            await until(lambda: "publisher_failed" in watched.codes)
            log.database.reachable = True
            size = await log.grow()
            await until(lambda: watched.met[-1] == size)

    told(test)
