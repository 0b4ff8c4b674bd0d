"""The tree as a reader gives it: whatever is asked of it agrees with the tree over all leaf hashes."""

import asyncio
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle, tiles, tree
from audit.checkpoint import Checkpoint
from audit.errors import Altered
from audit.tiles import ENTRIES, Tile
from tests.log_fakes import Served, leaf

pytestmark = pytest.mark.verifies("REQ-LOG-002")

LARGE = 66_000  # a tile of level 2, and partial ones at all levels
LEAVES = [leaf(at) for at in range(LARGE)]
PLACES = st.integers(0, LARGE)


@pytest.fixture(scope="module")
def served():
    return Served(LARGE)


def _signed(size):
    return Checkpoint(origin="log.example/a", size=size, root=_root(size))


@cache
def _root(size):
    return merkle.root(LEAVES[:size])


@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, LARGE)), max_size=6))
def test_a_subtree_is_the_root_over_its_leaves(served, wanted):
    places = [(height, index % (LARGE >> height)) for height, index in wanted]
    found = asyncio.run(tree.subtrees(served.reader, places))
    assert found == {
        (height, index): merkle.root(LEAVES[index << height : (index + 1) << height]) for height, index in places
    }


def test_all_that_a_proof_needs_is_asked_in_one_question(served):
    served.reader.questions = 0
    asyncio.run(tree.inclusion_under(served.reader, 300, 40_000, _signed(LARGE)))
    assert served.reader.questions == 1


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_535, 65_536, 65_537, LARGE])
def test_the_frontier_leads_to_the_root(served, size):
    frontier = asyncio.run(tree.frontier(served.reader, size))
    assert merkle.frontier_root(size, frontier) == _root(size)


@given(PLACES, PLACES)
def test_an_inclusion_path_leads_to_the_root_of_any_size(served, index, size):
    index, size = min(index, size - 1), max(index, size)
    if index < 0:
        return
    path = asyncio.run(tree.inclusion(served.reader, index, size))
    merkle.verify_inclusion(LEAVES[index], index, size, path, _root(size))


@given(PLACES, PLACES)
def test_a_consistency_path_leads_from_any_size_to_any_other(served, old, new):
    old, new = sorted((old, new))
    path = asyncio.run(tree.consistency(served.reader, old, new))
    merkle.verify_consistency(old, _root(old), new, _root(new), path)


@given(st.integers(0, LARGE - 1), st.integers(1, LARGE))
def test_a_proof_under_a_checkpoint_leads_all_the_way_to_its_root(served, index, size):
    size = max(index + 1, size)
    proof = asyncio.run(tree.inclusion_under(served.reader, index, size, _signed(LARGE)))
    assert proof.leaf_hash == LEAVES[index]
    merkle.verify_inclusion(proof.leaf_hash, index, size, proof.path, proof.root)
    merkle.verify_consistency(size, proof.root, LARGE, _root(LARGE), proof.onward)


@given(PLACES, PLACES)
def test_two_trees_under_a_checkpoint_are_led_all_the_way_to_its_root(served, old, new):
    old, new = sorted((old, new))
    proof = asyncio.run(tree.consistency_under(served.reader, old, new, _signed(LARGE)))
    merkle.verify_consistency(old, proof.old_root, new, proof.new_root, proof.path)
    merkle.verify_consistency(new, proof.new_root, LARGE, _root(LARGE), proof.onward)


def test_no_proof_is_given_that_does_not_lead_to_the_checkpoint(served):
    another = Checkpoint(origin="log.example/a", size=LARGE, root=bytes(32))
    with pytest.raises(Altered):
        asyncio.run(tree.inclusion_under(served.reader, 5, LARGE, another))
    with pytest.raises(Altered):
        asyncio.run(tree.consistency_under(served.reader, 5, 10, another))


def test_a_tile_has_the_hashes_of_its_subtrees(served):
    for tile in (Tile(level=0, index=256), Tile(level=0, index=257, width=208), Tile(level=1, index=0)):
        body = asyncio.run(tree.tile(served.reader, tile))
        span = 1 << tile.height
        expected = [merkle.root(LEAVES[at * span : (at + 1) * span]) for at in range(tile.first, tile.end)]
        assert body == b"".join(expected)


def test_the_tile_above_the_full_ones_has_their_root(served):
    body = asyncio.run(tree.tile(served.reader, Tile(level=2, index=0, width=1)))
    assert body == _root(65_536)


def test_a_bundle_has_the_records_under_its_tile(served):
    body = asyncio.run(tree.bundle(served.reader, Tile(level=ENTRIES, index=3, width=17)))
    assert [merkle.leaf_hash(entry) for entry in tiles.decode_entries(body)] == LEAVES[768:785]


def test_a_hash_that_the_database_lacks_is_an_alteration():
    lacking = Served(600)
    del lacking.database.subtrees[8, 1]
    with pytest.raises(Altered):
        asyncio.run(tree.frontier(lacking.reader, 600))
    with pytest.raises(Altered):
        asyncio.run(tree.tile(lacking.reader, Tile(level=1, index=0, width=2)))


def test_a_record_that_the_database_lacks_is_an_alteration():
    lacking = Served(600)
    del lacking.database.stored[300]
    with pytest.raises(Altered):
        asyncio.run(tree.bundle(lacking.reader, Tile(level=ENTRIES, index=1)))
