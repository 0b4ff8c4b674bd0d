"""Publishing: one leader, every anchor and witness at its own pace, and whatever goes wrong with any of them."""

import msgspec
import pytest

from audit import checkpoint, note, receipt
from audit.attestation import adopt
from audit.errors import LedgerForked, LedgerUnavailable
from audit.witnesses import WitnessClient
from tests.ledger_fakes import until
from tests.publishing_fakes import QUICK, FakeAnchor, Watched, policy_of, publishing
from tests.witness_fakes import TEXT, FakeWitness

pytestmark = pytest.mark.verifies("REQ-PUB-002", "REQ-PUB-003")

SLOW = msgspec.structs.replace(QUICK, witness_timeout_ms=60_000, blob_deadline_ms=60_000)


def cosigners(database, size=None):
    """The names of the keys on the newest stored version of the largest size, the log's first."""
    newest = max(
        (one for one in database.cosigned if size in (None, one.size)), key=lambda one: (one.size, one.version)
    )
    return [line.name for line in note.split(newest.checkpoint)[1]]


# -- anchors


def test_the_newest_signed_checkpoint_is_anchored(published):
    async def test(log):
        anchor, size = FakeAnchor(), await log.grow()
        async with publishing(log.publisher(anchors={"container": anchor})):
            await until(lambda: anchor.put_sizes == [size])

    published(test)


def test_what_an_anchor_holds_is_told(published):
    async def test(log):
        watched, size = Watched(), await log.grow()
        async with publishing(log.publisher(anchors={"container": FakeAnchor()}, watched=watched)):
            await until(lambda: watched.held == {"container": size})

    published(test)


def test_an_anchor_that_failed_is_tried_again(published):
    async def test(log):
        anchor, watched = FakeAnchor(), Watched()
        anchor.fault = LedgerUnavailable("away")
        async with publishing(log.publisher(anchors={"container": anchor}, watched=watched)):
            await until(lambda: len(watched.failed) >= 3)
            anchor.fault = None
            await until(lambda: anchor.put_sizes == [1])
        assert set(watched.failed) == {("container", "ledger_unavailable")}

    published(test)


def test_an_anchor_with_another_history_raises_the_alarm(published):
    async def test(log):
        anchor, alarms = FakeAnchor(), list[str]()
        anchor.fault = LedgerForked("two roots")
        async with publishing(log.publisher(anchors={"container": anchor}, forked=alarms.append)):
            await until(lambda: alarms != [])
        assert alarms[0] == "two roots"

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_an_anchor_that_hangs_delays_no_other_and_no_witness(published, witnesses):
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

    published(test)


def test_an_anchor_that_hangs_is_given_up_and_not_asked_again_meanwhile(published):
    async def test(log):
        anchor, watched = FakeAnchor(), Watched()
        anchor.hangs.set()
        quick = msgspec.structs.replace(QUICK, blob_deadline_ms=1_000)
        try:
            async with publishing(log.publisher(anchors={"container": anchor}, watched=watched, settings=quick)):
                await until(lambda: len(watched.failed) >= 2)
        finally:
            anchor.hangs.clear()

    published(test)


def test_what_the_log_did_not_sign_is_sent_to_nobody(published):
    async def test(log):
        anchor, watched = FakeAnchor(), Watched()
        await log.store.append(1, *log.entries.batch(1))
        await log.store.publish(2, b"anything")
        async with publishing(log.publisher(anchors={"container": anchor}, watched=watched)):
            await until(lambda: "anchor_altered" in watched.codes)
        assert anchor.put_sizes == []

    published(test)


# -- witnesses


@pytest.mark.verifies("REQ-PUB-006")
def test_a_checkpoint_that_meets_the_policy_is_stored_and_served(published, witnesses):
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

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_each_witness_is_sent_a_proof_from_the_size_that_it_has(published, witnesses):
    async def test(log):
        watched = Watched()
        async with publishing(log.publisher(policy=policy_of(witnesses, 3), watched=watched)):
            await until(lambda: watched.met == [1])
            await log.grow(4)
            await until(lambda: watched.met == [1, 5])
        assert [request.old_size for request in witnesses["A"].requests] == [0, 1]

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_a_witness_that_has_more_than_was_known_is_asked_again_from_there(published, witnesses):
    async def test(log):
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned != [])
        await log.grow(4)
        async with publishing(log.publisher(policy=policy_of(witnesses, 3))):
            await until(lambda: log.database.cosigned[-1].size == 5)
        assert [request.old_size for request in witnesses["A"].requests] == [0, 0, 1]

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_a_witness_that_is_down_costs_its_own_cosignature_and_no_other(published, witnesses):
    async def test(log):
        watched = Watched()
        witnesses["B"].instead = lambda _: (500, TEXT, b"")
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1] and ("B", "refused") in watched.failed)
        assert cosigners(log.database) == [log.signer.name, "a.example/witness", "c.example/witness"]

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_a_witness_that_never_answers_delays_no_quorum_without_it(published, witnesses):
    async def test(log):
        watched = Watched()
        witnesses["B"].silent.set()
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched, settings=SLOW)):
            await until(lambda: watched.met == [1])
            size = await log.grow()
            await until(lambda: watched.met == [1, size])
        witnesses["B"].silent.clear()

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_a_cosignature_that_comes_late_is_a_further_version(published, witnesses):
    async def test(log):
        watched = Watched()
        witnesses["B"].silent.set()
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1])
            witnesses["B"].silent.clear()
            await until(lambda: len(log.database.cosigned) == 2)
        assert [len(note.split(one.checkpoint)[1]) for one in log.database.cosigned] == [3, 4]

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_a_witness_that_comes_back_has_part_in_the_next_round(published, witnesses):
    async def test(log):
        watched = Watched()
        witnesses["B"].instead = lambda _: (500, TEXT, b"")
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1])
            witnesses["B"].instead = None
            size = await log.grow()
            await until(lambda: watched.cosigned.get("B") == size)

    published(test)


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
    "more than there can be": lambda *_: (409, "text/x.tlog.size", b"9999999999999999999\n"),
    "a size that is none": lambda *_: (409, "text/x.tlog.size", b"-1\n"),
    "a conflict without a size": lambda *_: (409, TEXT, b""),
    "the size that we said": lambda _, request: (409, "text/x.tlog.size", b"%d\n" % request.old_size),
    "that we are inconsistent": lambda *_: (422, TEXT, b""),
}  # fmt: skip
REASONS = dict(
    zip(
        LIES,
        (
            "cosignature_invalid",
            "cosignature_missing",
            "malformed",
            "conflicting",
            "ahead",
            "malformed",
            "malformed",
            "malformed",
            "conflicting",
            "inconsistent",
        ),
        strict=True,
    )
)


@pytest.mark.verifies("REQ-PUB-006")
@pytest.mark.parametrize("lie", LIES)
def test_a_witness_that_lies_is_told_by_name_and_stored_by_nobody(published, witnesses, lie):
    async def test(log):
        watched = Watched()
        witnesses["B"].instead = lambda request: LIES[lie](witnesses["B"], request)
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1] and watched.failed != [])
        assert watched.failed[0] == ("B", REASONS[lie])
        assert cosigners(log.database) == [log.signer.name, "a.example/witness", "c.example/witness"]

    published(test)


SHOWN = {
    "nothing": b"", "what is no text": b"\xff\xfe", "text without an end": b"a" * 60_000, "a page": b"<html></html>",
    "a note of nobody": "x\n1\nAAAA\n\n\u2014 x AAAA\n".encode(),
}  # fmt: skip


@pytest.mark.parametrize("shown", SHOWN)
def test_nonsense_that_a_witness_shows_as_its_history_stops_nothing(published, witnesses, shown):
    async def test(log):
        watched, alarms = Watched(), list[str]()
        witnesses["B"].instead = lambda _: (422, TEXT, b"")
        witnesses["B"].shown = SHOWN[shown]
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched, forked=alarms.append)):
            await until(lambda: watched.met == [1] and len(watched.failed) > 1)
            size = await log.grow()
            await until(lambda: size in watched.met)
        assert (set(watched.failed), alarms, watched.codes) == ({("B", "inconsistent")}, [], ["publisher_leads"])

    published(test)


def test_a_fault_of_ours_with_one_witness_keeps_no_other_waiting(published, witnesses, monkeypatch):
    async def test(log):
        watched, ask = Watched(), WitnessClient.add_checkpoint

        def failing(client, *arguments):
            if client.name == "B":
                raise ZeroDivisionError
            return ask(client, *arguments)

        monkeypatch.setattr(WitnessClient, "add_checkpoint", failing)
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched)):
            await until(lambda: watched.met == [1] and len(watched.failed) > 1)
            size = await log.grow()
            await until(lambda: size in watched.met)
        assert (set(watched.failed), watched.codes) == ({("B", "internal")}, ["publisher_leads"])

    published(test)


def test_a_fault_of_ours_with_one_anchor_keeps_no_other_waiting(published):
    async def test(log):
        failing, other, watched = FakeAnchor(), FakeAnchor(), Watched()
        failing.fault = ZeroDivisionError()
        async with publishing(log.publisher(anchors={"failing": failing, "other": other}, watched=watched)):
            await until(lambda: len(watched.failed) > 1)
            size = await log.grow()
            await until(lambda: size in other.put_sizes)
        assert (set(watched.failed), watched.codes) == ({("failing", "internal")}, ["publisher_leads"])

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_too_few_cosignatures_are_stored_and_not_served(published, witnesses):
    async def test(log):
        for name in ("B", "C"):
            witnesses[name].instead = lambda _: (500, TEXT, b"")
        async with publishing(log.publisher(policy=policy_of(witnesses, 2))):
            await until(lambda: log.database.cosigned != [])
        assert cosigners(log.database) == [log.signer.name, "a.example/witness"]
        assert await log.reader.checkpoint() == (1, log.database.checkpoints[1])

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_a_policy_without_a_quorum_still_collects_what_witnesses_say(published, witnesses):
    async def test(log):
        policy = policy_of(witnesses, 2).replace("quorum G", "quorum none")
        async with publishing(log.publisher(policy=policy)):
            await until(lambda: log.database.cosigned != [])
        assert not log.database.cosigned[-1].attested

    published(test)


def shows(witness, size, signed):
    """The witness has cosigned this, says so, and shows it."""
    witness.latest = checkpoint.parse(note.split(signed)[0])
    witness.shown = signed.encode()


@pytest.mark.verifies("REQ-PUB-006")
@pytest.mark.parametrize("size", [1, 1_000], ids=["another tree", "more records"])
def test_a_witness_that_shows_another_history_signed_by_the_log_raises_the_alarm_with_both(published, witnesses, size):
    async def test(log):
        alarms = list[str]()
        elsewhere = log.signed(size, bytes(32))
        shows(witnesses["B"], size, elsewhere)
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), forked=alarms.append)):
            await until(lambda: alarms != [])
        assert elsewhere in alarms[0]
        assert log.database.checkpoints[1].decode() in alarms[0]

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
@pytest.mark.parametrize("size", [1, 1_000], ids=["another tree", "more records"])
def test_a_witness_that_shows_what_the_log_did_not_sign_raises_no_alarm(published, witnesses, size):
    async def test(log):
        watched, alarms = Watched(), list[str]()
        shows(witnesses["B"], size, log.signed(size, bytes(32)).replace("log.example/published ", "log.example/other "))
        async with publishing(log.publisher(policy=policy_of(witnesses, 2), watched=watched, forked=alarms.append)):
            await until(lambda: len(watched.failed) >= 2)
        assert (alarms, watched.met) == ([], [1])

    published(test)


@pytest.mark.verifies("REQ-PUB-006")
def test_a_rewritten_database_is_found_out_by_its_witnesses(published, witnesses):
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

    published(test)
