import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import chain

LEAVES = st.lists(st.binary(min_size=32, max_size=32), max_size=12)
ORIGINS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.verifies("REQ-LED-009")
def test_the_chain_begins_with_the_name_of_the_log():
    assert chain.start("log.example/é") == hashlib.sha256(b"\x03" + "log.example/é".encode()).digest()


@pytest.mark.verifies("REQ-LED-009")
def test_each_link_hashes_the_one_before_and_its_leaf():
    begun = chain.start("a")
    assert chain.extend(begun, [b"l" * 32]) == hashlib.sha256(b"\x02" + begun + b"l" * 32).digest()


@given(ORIGINS, LEAVES, st.integers(0, 12))
def test_the_chain_does_not_depend_on_how_leaves_came_in_batches(origin, leaves, cut):
    begun = chain.start(origin)
    assert chain.extend(chain.extend(begun, leaves[:cut]), leaves[cut:]) == chain.extend(begun, leaves)


@given(ORIGINS, LEAVES)
def test_the_chain_tells_one_leaf_more(origin, leaves):
    linked = chain.extend(chain.start(origin), leaves)
    assert chain.extend(linked, [b"\x00" * 32]) != linked


@pytest.mark.verifies("REQ-LED-009")
@given(LEAVES)
def test_the_chain_tells_the_order_of_leaves(leaves):
    backwards = leaves[::-1]
    same = chain.extend(chain.start("a"), leaves) == chain.extend(chain.start("a"), backwards)
    assert same is (leaves == backwards)


@pytest.mark.verifies("REQ-LED-009")
@given(ORIGINS, ORIGINS, LEAVES)
def test_the_chain_tells_one_log_from_another(one, other, leaves):
    same = chain.extend(chain.start(one), leaves) == chain.extend(chain.start(other), leaves)
    assert same is (one == other)
