import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import submission
from audit.errors import Malformed
from tests.witness_log import tree

LOG = tree()
BODY = LOG.body(5, 12)
HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.verifies("REQ-WIT-004")
def test_a_submission_is_old_size_proof_and_checkpoint():
    found = submission.parse(BODY)
    assert (found.old_size, found.proof, found.signed) == (5, LOG.proof(5, 12), LOG.signed(12))


@pytest.mark.verifies("REQ-WIT-004")
def test_the_origin_of_a_submission_is_its_checkpoints():
    assert submission.parse(BODY).origin == "log.example/a"


@pytest.mark.verifies("REQ-WIT-004")
@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple))
def test_what_is_written_is_read_back(old_size, proof):
    made = submission.AddCheckpoint(old_size=old_size, proof=proof, signed=LOG.signed(12))
    assert submission.parse(submission.format(made)) == made


def test_the_form_is_that_of_the_specification():
    head = BODY.decode().partition("\n\n")[0]
    assert head == "\n".join(["old 5", *(base64.b64encode(value).decode() for value in LOG.proof(5, 12))])


BROKEN = {
    "empty": b"",
    "checkpoint-alone": LOG.signed(12).encode(),
    "old-line-missing": BODY.split(b"\n", 1)[1],
    "old-size-missing": BODY.replace(b"old 5", b"old"),
    "old-size-negative": BODY.replace(b"old 5", b"old -5"),
    "old-size-with-a-leading-zero": BODY.replace(b"old 5", b"old 05"),
    "old-size-with-a-plus": BODY.replace(b"old 5", b"old +5"),
    "old-size-of-twenty-digits": BODY.replace(b"old 5", b"old " + b"1" * 20),
    "old-line-with-two-spaces": BODY.replace(b"old 5", b"old  5"),
    "old-line-in-capitals": BODY.replace(b"old 5", b"OLD 5"),
    "old-line-twice": BODY.replace(b"old 5", b"old 5\nold 5"),
    "hash-of-31-bytes": BODY.replace(b"old 5", b"old 5\n" + base64.b64encode(bytes(31))),
    "hash-empty": BODY.replace(b"old 5\n", b"old 5\n\n", 1),
    "hash-not-base64": BODY.replace(b"old 5", b"old 5\n!!!!"),
    "hash-with-stray-bits": BODY.replace(b"old 5", b"old 5\n" + HASH.replace("A=", "B=").encode()),
    "hash-with-a-space": BODY.replace(b"old 5", b"old 5\n " + HASH.encode()),
    "64-hashes": BODY.replace(b"old 5", b"\n".join([b"old 5", *[HASH.encode()] * 64])),
    "empty-line-missing": BODY.replace(b"\n\nlog", b"\nlog"),
    "checkpoint-missing": BODY.partition(b"\n\n")[0] + b"\n\n",
    "checkpoint-unsigned": BODY.replace(LOG.signed(12).encode(), LOG.text(12).encode()),
    "checkpoint-size-with-a-leading-zero": BODY.replace(b"\n12\n", b"\n012\n"),
    "checkpoint-of-two-lines": BODY.replace(b"\n12\n", b"\n"),
    "carriage-returns": BODY.replace(b"\n", b"\r\n"),
    "final-newline-missing": BODY[:-1],
    "not-utf-8": BODY.replace(b"old", b"\xff"),
}


@pytest.mark.verifies("REQ-WIT-004")
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_a_submission_with_a_mutation_is_malformed(body):
    with pytest.raises(Malformed):
        submission.parse(body)


@pytest.mark.verifies("REQ-WIT-004")
def test_a_proof_may_have_as_many_hashes_as_the_specification_allows():
    body = LOG.body(5, 12, proof=(bytes(32),) * 63)
    assert len(submission.parse(body).proof) == 63


@pytest.mark.verifies("REQ-WIT-004")
def test_a_witness_may_take_fewer_hashes():
    with pytest.raises(Malformed):
        submission.parse(BODY, max_proof_hashes=1)


@pytest.mark.verifies("REQ-WIT-004")
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_malformed(body):
    with pytest.raises(Malformed):
        submission.parse(body)
