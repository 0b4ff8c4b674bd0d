"""Every proof of every tree of up to 300 records verifies, and no single mutation of one does.

The proofs are made by the definitions of RFC 6962 section 2.1, word for word, over a table of roots.
"""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle
from audit.errors import ConsistencyInvalid, InclusionInvalid

LARGEST = 300
LEAVES = [merkle.leaf_hash(at.to_bytes(2)) for at in range(LARGEST)]
STRANGE = merkle.leaf_hash(b"of no record")
SIZES = range(1, LARGEST + 1)


@cache
def mth(first, end):
    if end - first < 2:
        return LEAVES[first] if end > first else merkle.EMPTY_ROOT
    k = _split(end - first)
    return merkle.node_hash(mth(first, first + k), mth(first + k, end))


def path_of(m, first, end):
    """PATH(m, D[first:end]) of RFC 6962 section 2.1.1."""
    if end - first == 1:
        return ()
    k = _split(end - first)
    if m < k:
        return (*path_of(m, first, first + k), mth(first + k, end))
    return (*path_of(m - k, first + k, end), mth(first, first + k))


def proof_of(m, first, end, *, whole=True):
    """SUBPROOF(m, D[first:end], whole) of RFC 6962 section 2.1.2."""
    if m == end - first:
        return () if whole else (mth(first, end),)
    k = _split(end - first)
    if m <= k:
        return (*proof_of(m, first, first + k, whole=whole), mth(first + k, end))
    return (*proof_of(m - k, first + k, end, whole=False), mth(first, first + k))


def _split(count):
    return 1 << (count - 1).bit_length() - 1


def mutations(path):
    """Every path that differs by one: a hash changed, gone, there twice, or changed for its neighbour."""
    for at, value in enumerate(path):
        yield (*path[:at], _flipped(value), *path[at + 1 :])
        yield (*path[:at], *path[at + 1 :])
        yield (*path[:at], value, value, *path[at + 1 :])
        if at and path[at - 1] != value:
            yield (*path[: at - 1], value, path[at - 1], *path[at + 1 :])
    yield (*path, STRANGE)


def _flipped(value):
    return bytes([value[0] ^ 1]) + value[1:]


def accepts(verify, refusal, *arguments):
    try:
        verify(*arguments)
    except refusal:
        return False
    return True


def is_included(*arguments):
    return accepts(merkle.verify_inclusion, InclusionInvalid, *arguments)


def is_consistent(*arguments):
    return accepts(merkle.verify_consistency, ConsistencyInvalid, *arguments)


@pytest.mark.parametrize("size", SIZES)
def test_every_record_is_proved_and_no_mutation_of_its_proof_is(size):
    root = mth(0, size)
    for index in range(size):
        leaf, path = LEAVES[index], path_of(index, 0, size)
        assert is_included(leaf, index, size, path, root)
        mutants = [(leaf, index, size, mutant, root) for mutant in mutations(path)]
        # Another size is not among them: one with the same turns on the way folds alike. Sizes are signed.
        mutants += [(leaf, index + 1, size, path, root), (leaf, index - 1, size, path, root)]
        mutants += [(STRANGE, index, size, path, root), (leaf, index, size, path, STRANGE)]
        assert not any(is_included(*mutant) for mutant in mutants)


@pytest.mark.parametrize("new", SIZES)
def test_every_earlier_tree_is_proved_and_no_mutation_of_its_proof_is(new):
    new_root = mth(0, new)
    for old in range(1, new):
        old_root, path = mth(0, old), proof_of(old, 0, new)
        assert is_consistent(old, old_root, new, new_root, path)
        mutants = [(old, old_root, new, new_root, mutant) for mutant in mutations(path)]
        mutants += [(old, STRANGE, new, new_root, path), (old, old_root, new, STRANGE, path)]
        mutants += [(old, new_root, new, old_root, path), (new, new_root, old, old_root, path)]
        assert not any(is_consistent(*mutant) for mutant in mutants)


@pytest.mark.parametrize("size", [0, *SIZES])
def test_a_tree_is_consistent_with_itself_and_with_the_empty_one_without_a_path(size):
    root = mth(0, size)
    assert is_consistent(size, root, size, root, ())
    assert is_consistent(0, merkle.EMPTY_ROOT, size, root, ())
    assert not is_consistent(size, root, size, root, (STRANGE,))
    assert not is_consistent(0, merkle.EMPTY_ROOT, size, root, (STRANGE,))
    assert not is_consistent(size, root, size, STRANGE, ())


@pytest.mark.parametrize("size", [0, *SIZES])
def test_the_root_of_the_leaves_is_that_of_the_definition(size):
    assert merkle.root(LEAVES[:size]) == mth(0, size)


@given(st.data())
def test_no_bit_of_an_inclusion_proof_may_be_another(data):
    size = data.draw(st.integers(1, LARGEST))
    index = data.draw(st.integers(0, size - 1))
    hashes = [LEAVES[index], mth(0, size), *path_of(index, 0, size)]
    at = data.draw(st.integers(0, len(hashes) - 1))
    bit = data.draw(st.integers(0, 255))
    hashes[at] = (int.from_bytes(hashes[at]) ^ 1 << bit).to_bytes(32)
    assert not is_included(hashes[0], index, size, hashes[2:], hashes[1])


@given(st.data())
def test_no_bit_of_a_consistency_proof_may_be_another(data):
    new = data.draw(st.integers(2, LARGEST))
    old = data.draw(st.integers(1, new - 1))
    hashes = [mth(0, old), mth(0, new), *proof_of(old, 0, new)]
    at = data.draw(st.integers(0, len(hashes) - 1))
    bit = data.draw(st.integers(0, 255))
    hashes[at] = (int.from_bytes(hashes[at]) ^ 1 << bit).to_bytes(32)
    assert not is_consistent(old, hashes[0], new, hashes[1], hashes[2:])


ANY_COUNT = st.integers(-3, 320) | st.integers() | st.booleans()
ANY_HASH = st.binary(min_size=32, max_size=32) | st.binary(max_size=40) | st.sampled_from([*LEAVES[:4], STRANGE])
ANY_PATH = st.lists(ANY_HASH, max_size=70)


@given(ANY_HASH, ANY_COUNT, ANY_COUNT, ANY_PATH, ANY_HASH)
def test_nothing_that_was_thrown_together_is_included(leaf, index, size, path, root):
    alone = index == 0 and size == 1 and not path and leaf == root and len(leaf) == 32 and type(index) is type(size)
    assert is_included(leaf, index, size, path, root) is (alone and type(index) is int)


@given(ANY_COUNT, ANY_HASH, ANY_COUNT, ANY_HASH, ANY_PATH)
def test_nothing_that_was_thrown_together_is_consistent(old, old_root, new, new_root, path):
    counts = type(old) is type(new) is int and 0 <= old <= new <= merkle.MAX_SIZE
    same = counts and old == new > 0 and old_root == new_root and not path
    assert is_consistent(old, old_root, new, new_root, path) is same
