"""What every place for anchors makes of them: the folder, the container, and several taken together."""

from datetime import UTC, datetime

import pytest

from audit import checkpoint, note
from audit.anchors import FolderAnchor
from audit.anchors_blob import BlobAnchor, connect
from audit.anchors_configured import Several
from audit.checkpoint import Checkpoint
from audit.errors import KeyUnknown, LedgerForked
from tests import blob_fakes

ORIGIN = "log.example/anchors"
LOG = note.Signer.generate(ORIGIN, bytes(range(32)))
NEXT = note.Signer.generate(ORIGIN, bytes(range(1, 33)))


def signed(size, root=b"r" * 32, signer=LOG):
    return note.sign(checkpoint.format(Checkpoint(origin=ORIGIN, size=size, root=root)), [signer])


def put(anchor, text):
    anchor.put(text, system_identifier="1", timeline=1)


@pytest.fixture(params=["folder", "container", "several"])
def anchor(request, tmp_path):
    folder = FolderAnchor(tmp_path / "anchors", (LOG.verifier,))
    if request.param == "folder":
        yield folder
        return
    with blob_fakes.serving() as storage:
        container = BlobAnchor(
            connect(storage.url, timeout_ms=2_000), (LOG.verifier,), origin=ORIGIN, retention_days=0,
            now=lambda: datetime.now(UTC),
        )  # fmt: skip
        yield container if request.param == "container" else Several((container, folder))


def test_there_is_no_newest_before_anything_was_put(anchor):
    assert (anchor.newest(), list(anchor.all())) == (None, [])


def test_what_was_put_last_is_the_newest_with_its_size_and_root(anchor):
    for size in (5, 9):
        put(anchor, signed(size))
    newest = anchor.newest()
    assert (newest.checkpoint, newest.size, newest.root) == (signed(9), 9, b"r" * 32)


def test_all_that_was_put_is_there_the_oldest_first(anchor):
    for size in (5, 9, 10, 300):
        put(anchor, signed(size))
    assert [one.size for one in anchor.all()] == [5, 9, 10, 300]


def test_putting_the_same_again_leaves_one(anchor):
    for _ in range(2):
        put(anchor, signed(5))
    assert [one.size for one in anchor.all()] == [5]


def test_a_second_root_for_the_newest_size_is_a_fork(anchor):
    put(anchor, signed(5))
    with pytest.raises(LedgerForked):
        put(anchor, signed(5, b"s" * 32))


def test_the_newest_by_a_key_that_is_not_trusted_is_no_absence(anchor):
    put(anchor, signed(5))
    anchor.trust((LOG.verifier, NEXT.verifier))
    put(anchor, signed(9, signer=NEXT))
    anchor.trust((LOG.verifier,))
    with pytest.raises(KeyUnknown):
        anchor.newest()


def test_anchors_by_keys_that_are_not_trusted_are_passed_over_among_all(anchor):
    put(anchor, signed(5))
    anchor.trust((LOG.verifier, NEXT.verifier))
    put(anchor, signed(9, signer=NEXT))
    anchor.trust((LOG.verifier,))
    assert [one.size for one in anchor.all()] == [5]


def test_every_part_is_its_own_only_part(anchor):
    assert [list(part.parts()) for part in anchor.parts()] == [[part] for part in anchor.parts()]
