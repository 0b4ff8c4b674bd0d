"""Several anchors as one: written to the first, read from all, and a ledger compared with the newest of each."""

import pytest

from audit import checkpoint, note
from audit.anchors import FolderAnchor
from audit.anchors_configured import Several, served
from audit.checkpoint import Checkpoint
from audit.cosignature import Cosigner
from audit.errors import LedgerForked, LedgerUnavailable, SettingInvalid
from audit.settings import places, publish_settings
from tests.ledger_fakes import World, told


def signed(world, size, root=bytes(32)):
    text = checkpoint.format(Checkpoint(origin=world.signer.name, size=size, root=root))
    return note.sign(text, [world.signer])


def put(anchor, text):
    anchor.put(text, system_identifier=None, timeline=0)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def remote(world, tmp_path):
    return FolderAnchor(tmp_path / "remote", (world.signer.verifier,))


@pytest.fixture
def several(world, remote):
    return Several((world.anchor, remote))


@pytest.mark.verifies("REQ-PUB-005")
def test_the_first_is_written_to_and_no_other(world, remote, several):
    put(several, signed(world, 5))
    assert (world.anchor.newest().size, remote.newest()) == (5, None)


@pytest.mark.verifies("REQ-PUB-005")
def test_the_newest_is_the_largest_of_any(world, remote, several):
    put(world.anchor, signed(world, 5))
    put(remote, signed(world, 9))
    assert several.newest().size == 9


@pytest.mark.verifies("REQ-PUB-005")
def test_all_are_those_of_each(world, remote, several):
    put(world.anchor, signed(world, 5))
    put(remote, signed(world, 9))
    assert [one.size for one in several.all()] == [5, 9]


@pytest.mark.verifies("REQ-PUB-005")
def test_several_within_several_are_as_many_parts(several, world):
    assert len(Several((several, world.anchor)).parts()) == 3


@pytest.mark.verifies("REQ-PUB-005")
def test_one_that_cannot_be_read_keeps_all_from_being_read(world, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnavailable):
        Several((world.anchor, FolderAnchor(tmp_path / "file", ()))).newest()


async def started(world):
    ledger = await world.ledger()
    await ledger.close()


def begun_with(world, anchor):
    """A ledger that was begun, whose next process is given `anchor`."""

    async def test(_):
        ledger = await world.begin()
        await ledger.close()
        world.anchor = anchor
        await started(world)

    return test


@pytest.mark.verifies("REQ-PUB-005")
@pytest.mark.parametrize("size", [1, 9])
def test_a_database_that_one_of_them_contradicts_is_not_written_to(world, remote, several, size):
    put(remote, signed(world, size))
    with pytest.raises(LedgerForked, match="the newest anchor"):
        told(world, begun_with(world, several))


@pytest.mark.verifies("REQ-PUB-005")
def test_a_database_is_not_written_to_while_one_of_them_cannot_be_read(world, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnavailable):
        told(world, begun_with(world, Several((world.anchor, FolderAnchor(tmp_path / "file", ())))))


@pytest.mark.verifies("REQ-PUB-005")
def test_a_database_that_all_of_them_agree_with_is_written_to(world, several):
    assert told(world, begun_with(world, several)) is None


def test_a_ledger_that_is_halted_takes_no_more_records(world):
    async def test(_):
        ledger = await world.begin()
        ledger.halt("an anchor holds another history")
        assert ledger.unready() == "an anchor holds another history"

    told(world, test)


def test_every_setting_of_the_publisher_is_read_from_its_variable():
    assert publish_settings({"MEDAI_PUBLISH_LEASE_MS": "2000"}).lease_ms == 2_000


def test_the_container_and_the_policy_are_nowhere_unless_they_are_named(tmp_path):
    where = places({"MEDAI_HOME": str(tmp_path)})
    assert (where.anchor_blob_url, where.policy_file) == (None, None)


WITNESS = f"witness W {Cosigner('w.example/witness', bytes(32)).verifier} http://127.0.0.1/\n"


@pytest.mark.verifies("REQ-PUB-005")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [("quorum none\n", "signed"), (WITNESS + "quorum none\n", "signed"), (WITNESS + "quorum W\n", "attested")],
    ids=["no witness", "a witness that nobody has to hear", "a witness"],
)
def test_what_meets_the_policy_is_served_where_it_asks_for_witnesses(tmp_path, policy, expected):
    (tmp_path / "policy").write_text(policy)
    assert served(places({"MEDAI_POLICY_FILE": str(tmp_path / "policy")})) == expected


@pytest.mark.verifies("REQ-PUB-005")
def test_without_a_policy_what_is_signed_is_served(tmp_path):
    assert served(places({"MEDAI_HOME": str(tmp_path)})) == "signed"


@pytest.mark.verifies("REQ-PUB-005")
def test_a_policy_that_cannot_be_read_is_not_the_same_as_none(tmp_path):
    with pytest.raises(SettingInvalid):
        served(places({"MEDAI_POLICY_FILE": str(tmp_path / "policy")}))
