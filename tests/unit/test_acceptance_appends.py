"""What the database answers to an append is believed where this process computes the same, and nowhere else."""

import hashlib

import msgspec
import pytest

from audit import chain, merkle
from audit.acceptance import check_append
from audit.errors import LedgerForked
from audit.ports import Appended, Head

pytestmark = pytest.mark.verifies("REQ-LED-010")

OTHER = hashlib.sha256(b"another").digest()


def leaves(name, count):
    return tuple(merkle.leaf_hash(f"{name} {at}".encode()) for at in range(count))


OLD, BETWEEN, OURS = leaves("old", 5), leaves("between", 2), leaves("ours", 3)
KNOWN = Head(size=5, frontier=merkle.extend(0, (), OLD), chain=chain.extend(chain.start("log"), OLD))


def honest(between=BETWEEN):
    """What an honest database says after `between`, which others wrote, and our batch."""
    before = merkle.extend(5, KNOWN.frontier, between)
    first = 5 + len(between)
    return Appended(
        first=first,
        before=before,
        after=merkle.extend(first, before, OURS),
        chain=chain.extend(chain.extend(KNOWN.chain, between), OURS),
        between=between,
        leaves=OURS,
    )


@pytest.mark.parametrize("between", [(), BETWEEN[:1], BETWEEN])
def test_an_honest_answer_gives_the_tree_of_all_records(between):
    tree = check_append(KNOWN, OURS, honest(between))
    everything = (*OLD, *between, *OURS)
    assert (tree.size, tree.root, tree.frontier) == (
        len(everything), merkle.root(everything), merkle.extend(0, (), everything),
    )  # fmt: skip


def test_the_tree_proves_each_record_of_the_batch():
    tree = check_append(KNOWN, list(OURS), honest())
    for at, leaf in enumerate(OURS):
        assert merkle.verify_inclusion(leaf, 7 + at, tree.size, tree.path(7 + at), tree.root) is None


def altered(**changes):
    return msgspec.structs.replace(honest(), **changes)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (altered(first=6), "append: first index 6, but 5 + 2 are known"),
        (altered(first=8), "append: first index 8, but 5 + 2 are known"),
        (altered(between=()), "append: first index 7, but 5 + 0 are known"),
        (altered(before=KNOWN.frontier), "append: the frontier at size 7 does not extend ours at 5"),
        (altered(between=(BETWEEN[0], OTHER)), "append: the frontier at size 7 does not extend ours at 5"),
        (altered(before=()), "append: the frontier at size 7 does not extend ours at 5"),
        (altered(leaves=(*OURS[:2], OTHER)), "append: what was stored from index 7 is not what was sent"),
        (altered(leaves=OURS[:2]), "append: what was stored from index 7 is not what was sent"),
        (altered(leaves=OURS[::-1]), "append: what was stored from index 7 is not what was sent"),
        (altered(after=honest().before), "append: the frontier at size 10 is not that of the records"),
        (altered(after=()), "append: the frontier at size 10 is not that of the records"),
        (altered(chain=KNOWN.chain), "append: the chain hash at size 10 is not that of the records"),
        (
            altered(chain=chain.extend(KNOWN.chain, OURS)),
            "append: the chain hash at size 10 is not that of the records",
        ),
    ],
)
def test_an_answer_that_differs_in_one_thing_is_refused_for_it(answer, words):
    with pytest.raises(LedgerForked) as refused:
        check_append(KNOWN, OURS, answer)
    assert str(refused.value) == words


def test_another_history_of_the_same_size_is_refused():
    theirs = Head(size=5, frontier=merkle.extend(0, (), leaves("other", 5)), chain=KNOWN.chain)
    with pytest.raises(LedgerForked):
        check_append(theirs, OURS, honest())
