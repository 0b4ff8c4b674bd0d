"""What a retired key signs afterwards, where it is kept outside with the log's own checkpoints."""

import asyncio

import pytest
from msgspec import structs

from tests.held_anchors import anchored, signed_by
from tests.tampering import changes, judged
from tests.tampering import tables as do
from tests.tampering.ledger import KEY, ROTATED, TALL

pytestmark = pytest.mark.verifies("REQ-AUD-013")
FORGED = b"\x11" * 32


@pytest.fixture(scope="module")
def whole():
    return asyncio.run(judged.written(TALL))


def said_of(whole, size):
    made, tables = whole
    added = anchored(signed_by(KEY, size, FORGED))
    kept = sorted([*made.anchors, added], key=lambda one: one.size)
    return judged.said(asyncio.run(judged.report_on(tables, structs.replace(made, anchors=tuple(kept)))))


@pytest.mark.parametrize("size", [ROTATED + 2, 272, 500, 600, 1_000_000])
def test_a_size_that_was_not_the_retired_keys_is_its_alone_and_no_fork(whole, size):
    assert said_of(whole, size) == [("wrong_key", "key", size, size)]


def test_a_size_that_was_the_retired_keys_is_a_fork(whole):
    assert said_of(whole, 6) == [("forked", "key", 6, 6)]


def test_a_rotation_that_was_moved_up_does_not_make_the_old_keys_last_anchor_nobodys(whole):
    made, tables = whole
    altered = tables.copy()
    changes.delete_and_close(altered, 7)
    changes.cut()(altered, ROTATED)
    do.recompute_all(altered)
    kept = tuple(one for one in made.anchors if one.size <= ROTATED + 1)
    report = asyncio.run(judged.report_on(altered, structs.replace(made, anchors=kept)))
    assert report.exit_code == 1
