import hashlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle
from audit.errors import ConsistencyInvalid, InclusionInvalid

LEAVES = [merkle.leaf_hash(bytes([at])) for at in range(130)]
SIZES = st.integers(0, 130)


@cache
def naive_root(end, first=0):
    """MTH(D[first:end]) of RFC 6962 section 2.1, word for word."""
    if end == first:
        return hashlib.sha256(b"").digest()
    if end - first == 1:
        return LEAVES[first]
    k = first + _split(end - first)
    return hashlib.sha256(b"\x01" + naive_root(k, first) + naive_root(end, k)).digest()


def naive_path(m, end, first=0):
    """PATH(m, D[first:end]) of RFC 6962 section 2.1.1."""
    if end - first == 1:
        return ()
    k = _split(end - first)
    if m < k:
        return (*naive_path(m, first + k, first), naive_root(end, first + k))
    return (*naive_path(m - k, end, first + k), naive_root(first + k, first))


def naive_proof(m, end, *, first=0, whole=True):
    """SUBPROOF(m, D[first:end], whole) of RFC 6962 section 2.1.2."""
    if m == end - first:
        return () if whole else (naive_root(end, first),)
    k = _split(end - first)
    if m <= k:
        return (*naive_proof(m, first + k, first=first, whole=whole), naive_root(end, first + k))
    return (*naive_proof(m - k, end, first=first + k, whole=False), naive_root(first + k, first))


def _split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def node(height, index):
    assert index + 1 << height <= len(LEAVES)
    return naive_root(index + 1 << height, index << height)


@pytest.mark.verifies("REQ-LED-008")
def test_a_leaf_is_hashed_as_rfc_6962_says():
    assert merkle.leaf_hash(b"abc") == hashlib.sha256(b"\x00abc").digest()


@pytest.mark.verifies("REQ-LED-008")
def test_a_node_is_hashed_as_rfc_6962_says():
    assert merkle.node_hash(b"l" * 32, b"r" * 32) == hashlib.sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()


def test_the_root_of_the_known_tree_of_certificate_transparency_is_found():
    # google/certificate-transparency, merkletree/merkle_tree_test.cc: the eight inputs and the root over them.
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in inputs]
    assert merkle.root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_the_root_of_no_leaves_is_the_hash_of_nothing():
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(70))
def test_the_root_is_that_of_the_recursive_definition(size):
    assert merkle.root(LEAVES[:size]) == naive_root(size)


@given(st.lists(SIZES, max_size=6))
def test_the_frontier_does_not_depend_on_how_leaves_came_in_batches(cuts):
    size, frontier = 0, merkle.extend(0, (), [])
    for cut in sorted(cuts):
        frontier = merkle.extend(size, frontier, LEAVES[size:cut])
        size = cut
    assert frontier == tuple(node(*place) for place in merkle.frontier_needs(size))


@given(SIZES)
def test_the_frontier_folds_to_the_root(size):
    frontier = merkle.extend(0, (), LEAVES[:size])
    assert merkle.frontier_root(size, frontier) == naive_root(size)


@pytest.mark.parametrize("call", [merkle.frontier_root, lambda size, frontier: merkle.extend(size, frontier, [])])
def test_a_frontier_that_does_not_fit_its_size_is_refused(call):
    with pytest.raises(ValueError):
        call(3, (b"\x00" * 32,))


@pytest.mark.verifies("REQ-LED-008")
@pytest.mark.parametrize("first", range(40))
def test_every_path_of_every_batch_is_that_of_the_recursive_definition(first):
    frontier = merkle.extend(0, (), LEAVES[:first])
    for size in range(first, first + 36):
        tree = merkle.BatchTree(first, frontier, LEAVES[first:size])
        for index in range(first, size):
            assert tree.path(index) == naive_path(index, size)


@pytest.mark.verifies("REQ-LED-008")
@pytest.mark.parametrize("first", [0, 1, 31, 63, 64, 65, 96])
def test_a_batch_ends_at_the_root_and_frontier_of_the_whole_tree(first):
    frontier = merkle.extend(0, (), LEAVES[:first])
    for size in range(first, len(LEAVES)):
        tree = merkle.BatchTree(first, frontier, LEAVES[first:size])
        assert (tree.size, tree.root) == (size, naive_root(size))
        assert tree.frontier == merkle.extend(0, (), LEAVES[:size])


@pytest.mark.parametrize("index", [-1, 4, 7])
def test_a_batch_has_no_path_for_the_records_of_others(index):
    tree = merkle.BatchTree(5, merkle.extend(0, (), LEAVES[:5]), LEAVES[5:7])
    with pytest.raises(IndexError):
        tree.path(index)


@given(SIZES, SIZES)
def test_an_inclusion_path_from_subtrees_is_that_of_the_definition(index, size):
    index, size = min(index, size - 1), max(index, size)
    if index < 0 or size < 1:
        return
    assert merkle.inclusion_path(index, size, node) == naive_path(index, size)


@given(SIZES, SIZES)
def test_an_inclusion_path_asks_for_what_it_said_it_needs(index, size):
    index, size = min(index, size - 1), max(index, size)
    if index < 0:
        return
    known = {place: node(*place) for place in merkle.inclusion_needs(index, size)}
    asked = []
    merkle.inclusion_path(index, size, lambda height, at: asked.append((height, at)) or known[height, at])
    assert sorted(asked) == sorted(known)


@given(SIZES, SIZES)
def test_a_consistency_path_from_subtrees_is_that_of_the_definition(old, new):
    old, new = min(old, new), max(old, new)
    expected = () if old == 0 else naive_proof(old, new)
    assert merkle.consistency_path(old, new, node) == expected


@given(SIZES, SIZES)
def test_a_consistency_path_asks_for_what_it_said_it_needs(old, new):
    old, new = min(old, new), max(old, new)
    known = {place: node(*place) for place in merkle.consistency_needs(old, new)}
    asked = []
    merkle.consistency_path(old, new, lambda height, at: asked.append((height, at)) or known[height, at])
    assert sorted(asked) == sorted(known)


@pytest.mark.verifies("REQ-AUD-008")
@pytest.mark.parametrize("size", range(1, 40))
def test_every_record_of_a_tree_is_verified(size):
    root = naive_root(size)
    for index in range(size):
        merkle.verify_inclusion(LEAVES[index], index, size, naive_path(index, size), root)


@pytest.mark.verifies("REQ-AUD-009")
@pytest.mark.parametrize("new", range(40))
def test_every_tree_is_consistent_with_every_earlier_one(new):
    for old in range(new + 1):
        path = merkle.consistency_path(old, new, node)
        merkle.verify_consistency(old, naive_root(old), new, naive_root(new), path)


@pytest.mark.verifies("REQ-AUD-008")
def test_a_record_is_included_under_no_other_index_or_size_of_its_shape():
    size, index = 13, 5
    path, root = naive_path(index, size), naive_root(size)
    accepted = []
    for other in range(20):
        for other_size in range(20):
            try:
                merkle.verify_inclusion(LEAVES[index], other, other_size, path, root)
            except InclusionInvalid:
                continue
            accepted.append((other, other_size))
    # A size with the same turns on the way would fold alike: sizes come from signed checkpoints only.
    assert {at for at, _ in accepted} == {index}


INCLUSION = {
    "leaf-changed": lambda c: {**c, "leaf_hash": LEAVES[6]},
    "index-plus-one": lambda c: {**c, "index": 6},
    "index-minus-one": lambda c: {**c, "index": 4},
    "index-negative": lambda c: {**c, "index": -1},
    "index-is-size": lambda c: {**c, "index": 13},
    "size-zero": lambda c: {**c, "size": 0},
    "size-of-smaller-tree": lambda c: {**c, "size": 8},
    "size-of-larger-tree": lambda c: {**c, "size": 17},
    "path-empty": lambda c: {**c, "path": ()},
    "path-cut-at-end": lambda c: {**c, "path": c["path"][:-1]},
    "path-cut-at-start": lambda c: {**c, "path": c["path"][1:]},
    "path-extra-at-end": lambda c: {**c, "path": (*c["path"], LEAVES[0])},
    "path-extra-at-start": lambda c: {**c, "path": (LEAVES[0], *c["path"])},
    "path-extra-is-root": lambda c: {**c, "path": (*c["path"], c["root"])},
    "path-swapped": lambda c: {**c, "path": (c["path"][1], c["path"][0], *c["path"][2:])},
    "path-hash-of-31-bytes": lambda c: {**c, "path": (c["path"][0][:31], *c["path"][1:])},
    "path-hash-of-64-bytes": lambda c: {**c, "path": (c["path"][0] * 2, *c["path"][1:])},
    "root-changed": lambda c: {**c, "root": LEAVES[0]},
    "root-empty": lambda c: {**c, "root": b""},
    "root-is-leaf": lambda c: {**c, "root": c["leaf_hash"], "path": ()},
}


@pytest.mark.verifies("REQ-AUD-008")
@pytest.mark.parametrize("mutate", INCLUSION.values(), ids=INCLUSION)
def test_a_mutated_inclusion_proof_is_refused(mutate):
    case = {
        "leaf_hash": LEAVES[5],
        "index": 5,
        "size": 13,
        "path": naive_path(5, 13),
        "root": naive_root(13),
    }
    with pytest.raises(InclusionInvalid):
        merkle.verify_inclusion(**mutate(case))


@pytest.mark.verifies("REQ-AUD-008")
@given(st.integers(0, 12), st.integers(0, 3), st.integers(0, 255))
def test_an_inclusion_path_with_any_bit_flipped_is_refused(index, position, bit):
    path = list(naive_path(index, 13))
    position %= len(path)
    path[position] = _flipped(path[position], bit)
    with pytest.raises(InclusionInvalid):
        merkle.verify_inclusion(LEAVES[index], index, 13, path, naive_root(13))


CONSISTENCY = {
    "sizes-swapped": lambda c: {**c, "old_size": 13, "new_size": 6},
    "roots-swapped": lambda c: {**c, "old_root": c["new_root"], "new_root": c["old_root"]},
    "old-size-minus-one": lambda c: {**c, "old_size": 5},
    "old-size-plus-one": lambda c: {**c, "old_size": 7},
    "old-size-negative": lambda c: {**c, "old_size": -1},
    "new-size-of-smaller-tree": lambda c: {**c, "new_size": 8},
    "new-size-of-larger-tree": lambda c: {**c, "new_size": 17},
    "old-root-changed": lambda c: {**c, "old_root": LEAVES[0]},
    "new-root-changed": lambda c: {**c, "new_root": LEAVES[0]},
    "old-root-short": lambda c: {**c, "old_root": c["old_root"][:31]},
    "path-empty": lambda c: {**c, "path": ()},
    "path-cut-at-end": lambda c: {**c, "path": c["path"][:-1]},
    "path-cut-at-start": lambda c: {**c, "path": c["path"][1:]},
    "path-extra-at-end": lambda c: {**c, "path": (*c["path"], LEAVES[0])},
    "path-extra-at-start": lambda c: {**c, "path": (LEAVES[0], *c["path"])},
    "path-reversed": lambda c: {**c, "path": c["path"][::-1]},
    "path-begins-with-old-root": lambda c: {**c, "path": (c["old_root"], *c["path"])},
    "path-hash-of-31-bytes": lambda c: {**c, "path": (c["path"][0][:31], *c["path"][1:])},
    "same-size-other-root": lambda c: {**c, "old_size": 13, "path": ()},
    "same-size-with-path": lambda c: {**c, "old_size": 13, "old_root": c["new_root"]},
    "empty-tree-with-path": lambda c: {**c, "old_size": 0, "old_root": merkle.EMPTY_ROOT},
    "empty-tree-with-another-root": lambda c: {**c, "old_size": 0, "path": ()},
    "both-empty-with-another-root": lambda c: {**c, "old_size": 0, "new_size": 0, "path": ()},
}


@pytest.mark.verifies("REQ-AUD-009")
@pytest.mark.parametrize("mutate", CONSISTENCY.values(), ids=CONSISTENCY)
def test_a_mutated_consistency_proof_is_refused(mutate):
    case = {
        "old_size": 6,
        "old_root": naive_root(6),
        "new_size": 13,
        "new_root": naive_root(13),
        "path": naive_proof(6, 13),
    }
    with pytest.raises(ConsistencyInvalid):
        merkle.verify_consistency(**mutate(case))


@pytest.mark.verifies("REQ-AUD-009")
@given(st.integers(1, 12), st.integers(0, 4), st.integers(0, 255))
def test_a_consistency_path_with_any_bit_flipped_is_refused(old, position, bit):
    path = list(naive_proof(old, 13))
    position %= len(path)
    path[position] = _flipped(path[position], bit)
    with pytest.raises(ConsistencyInvalid):
        merkle.verify_consistency(old, naive_root(old), 13, naive_root(13), path)


def _flipped(value, bit):
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
