import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from audit import checkpoint, cosignature, merkle, note, receipt
from audit.checkpoint import Checkpoint
from audit.errors import (
    InclusionInvalid,
    Malformed,
    SignatureInvalid,
    SignatureMissing,
    Unattested,
    VerificationFailed,
)
from audit.receipt import Policy, Receipt

RECEIPTS = st.builds(
    Receipt,
    index=st.integers(0, checkpoint.MAX_SIZE - 1),
    path=st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple),
    checkpoint=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    extra=st.none() | st.binary(min_size=1, max_size=40),
)
WITNESS = cosignature.Cosigner("witness.example", b"w" * 32)
STRANGER = note.Signer.generate("stranger.example", b"s" * 32)


@pytest.fixture(scope="module")
def published(third_party_vectors):
    return json.loads((third_party_vectors / "c2sp-tlog-proof" / "cases.json").read_text(encoding="utf-8"))


@pytest.mark.verifies("REQ-LED-012")
def test_published_proofs_are_written_byte_for_byte(published):
    for case in published["marshal"]:
        assert receipt.format(_receipt_of(case)) == case["want"]


@pytest.mark.verifies("REQ-LED-012")
def test_published_proofs_are_read(published):
    for case in published["marshal"]:
        assert receipt.parse(case["want"]) == _receipt_of(case)


def test_published_proofs_that_are_wrong_are_refused(published):
    for case in published["reject"]:
        with pytest.raises(Malformed):
            receipt.parse(case["text"])


def _receipt_of(case):
    return Receipt(
        index=case["index"],
        path=tuple(map(base64.b64decode, case["hashes_b64"])),
        checkpoint=case["checkpoint"],
        extra=base64.b64decode(case["extra_b64"]) if "extra_b64" in case else None,
    )


@pytest.mark.verifies("REQ-LED-012")
@given(RECEIPTS)
def test_what_is_written_is_read_back(made):
    assert receipt.parse(receipt.format(made)) == made


def test_bytes_and_text_are_read_alike(log):
    assert receipt.parse(log.proof.encode()) == receipt.parse(log.proof) == log.receipt


BROKEN = {
    "empty": lambda text: "",
    "header-changed": lambda text: text.replace("@v1", "@v2"),
    "header-missing": lambda text: text.split("\n", 1)[1],
    "header-with-space": lambda text: text.replace("@v1", "@v1 "),
    "carriage-returns": lambda text: text.replace("\n", "\r\n"),
    "extra-empty": lambda text: _line(text, 1, "extra "),
    "extra-not-base64": lambda text: _line(text, 1, "extra !!"),
    "extra-without-padding": lambda text: _line(text, 1, "extra YQ"),
    "extra-with-stray-bits": lambda text: _line(text, 1, "extra YR=="),
    "extra-twice": lambda text: _line(text, 1, "extra YQ==\nextra YQ=="),
    "extra-after-index": lambda text: _line(_line(text, 1, "index 5"), 2, "extra YQ=="),
    "index-missing": lambda text: text.replace("index 5\n", ""),
    "index-twice": lambda text: text.replace("index 5\n", "index 5\nindex 5\n"),
    "index-leading-zero": lambda text: text.replace("index 5\n", "index 05\n"),
    "index-negative": lambda text: text.replace("index 5\n", "index -5\n"),
    "index-plus": lambda text: text.replace("index 5\n", "index +5\n"),
    "index-empty": lambda text: text.replace("index 5\n", "index \n"),
    "index-with-space": lambda text: text.replace("index 5\n", "index 5 \n"),
    "index-with-two-spaces": lambda text: text.replace("index 5\n", "index  5\n"),
    "index-not-ascii": lambda text: text.replace("index 5\n", "index \N{ARABIC-INDIC DIGIT FIVE}\n"),
    "index-of-20-digits": lambda text: text.replace("index 5\n", "index 10000000000000000000\n"),
    "hash-of-31-bytes": lambda text: _line(text, 3, base64.b64encode(bytes(31)).decode()),
    "hash-of-64-bytes": lambda text: _line(text, 3, base64.b64encode(bytes(64)).decode()),
    "hash-with-stray-bits": lambda text: _line(text, 3, "A" * 42 + "B="),
    "hash-with-trailing-space": lambda text: _line(text, 3, base64.b64encode(bytes(32)).decode() + " "),
    "path-of-64-hashes": lambda text: _line(text, 3, "\n".join([base64.b64encode(bytes(32)).decode()] * 64)),
    "no-empty-line": lambda text: text.replace("\n\n", "\n", 1),
    "no-checkpoint": lambda text: text.partition("\n\n")[0] + "\n\n",
    "too-large": lambda text: text + "a" * receipt.MAX_RECEIPT_BYTES,
}


@pytest.mark.parametrize("mutate", BROKEN.values(), ids=BROKEN)
def test_what_is_not_a_receipt_is_refused(log, mutate):
    with pytest.raises(Malformed):
        receipt.verify(mutate(log.proof), log.policy)


def test_bytes_that_are_not_utf_8_are_refused(log):
    with pytest.raises(Malformed):
        receipt.parse(log.proof.encode().replace(b"index", b"\xff"))


@pytest.mark.parametrize(
    "change",
    [
        {"index": -1},
        {"index": checkpoint.MAX_SIZE},
        {"path": (b"short",)},
        {"path": (bytes(32),) * 64},
        {"checkpoint": ""},
        {"extra": b""},
    ],
    ids=str,
)
def test_what_has_no_text_is_not_written(log, change):
    with pytest.raises(Malformed):
        receipt.format(replace(log.receipt, **change))


def test_a_receipt_of_the_log_verifies(log):
    assert receipt.verify(log.proof, log.policy) is None


def test_a_receipt_that_was_read_already_verifies(log):
    assert receipt.verify(log.receipt, log.policy) is None


def test_a_receipt_of_a_log_of_one_record_verifies(log, make_log):
    assert receipt.verify(make_log(log.body, {}, index=0, size=1).proof, log.policy) is None


@given(data=st.data())
def test_a_receipt_with_any_bit_of_its_record_flipped_is_refused(log, data):
    bit = data.draw(st.integers(0, len(log.body) * 8 - 1))
    body = bytearray(log.body)
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InclusionInvalid):
        receipt.verify(replace(log.receipt, extra=bytes(body)), log.policy)


@pytest.mark.parametrize(
    "change",
    [{"index": 4}, {"index": 13}, {"path": ()}, {"path": (bytes(32),) * 4}],
    ids=["neighbour", "beyond", "no-path", "made-up-path"],
)
def test_a_receipt_for_another_place_is_refused(log, change):
    with pytest.raises(InclusionInvalid):
        receipt.verify(replace(log.receipt, **change), log.policy)


def test_a_receipt_without_a_record_is_refused(log):
    with pytest.raises(Malformed):
        receipt.verify(replace(log.receipt, extra=None), log.policy)


def test_a_node_of_the_tree_does_not_pass_for_a_record(log):
    # RFC 6962 section 2.1: the prefix tells leaves from nodes (a second preimage otherwise).
    inner = merkle.node_hash(log.path[0], merkle.leaf_hash(log.body))
    forged = replace(log.receipt, index=log.index // 2, path=log.path[1:], extra=b"\x01" + inner)
    with pytest.raises(InclusionInvalid):
        receipt.verify(forged, log.policy)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_of_the_checkpoint_breaks_its_signature(log, line):
    lines = log.checkpoint.split("\n")
    lines[line] = {0: "log.example/b", 1: "14", 2: base64.b64encode(bytes(32)).decode()}[line]
    with pytest.raises(SignatureInvalid):
        receipt.verify(replace(log.receipt, checkpoint="\n".join(lines)), log.policy)


def test_a_checkpoint_by_a_stranger_is_not_signed(log):
    text, _ = note.split(log.checkpoint)
    with pytest.raises(SignatureMissing):
        receipt.verify(replace(log.receipt, checkpoint=note.sign(text, [STRANGER])), log.policy)


def test_a_checkpoint_of_another_log_by_a_known_key_is_refused(log):
    with pytest.raises(VerificationFailed):
        receipt.verify(_resigned(log, "other.example"), log.policy)


def test_a_policy_may_name_an_origin_that_is_not_its_keys_name(log):
    policy = Policy(logs=(log.signer.verifier,), origin="other.example")
    assert receipt.verify(_resigned(log, "other.example"), policy) is None


def test_a_policy_that_names_an_origin_refuses_every_other(log):
    with pytest.raises(VerificationFailed):
        receipt.verify(log.proof, Policy(logs=(log.signer.verifier,), origin="other.example"))


def test_of_several_log_keys_one_suffices(log):
    policy = Policy(logs=(STRANGER.verifier, log.signer.verifier))
    assert receipt.verify(log.proof, policy) is None


def test_a_signed_note_that_is_no_checkpoint_is_refused(log):
    with pytest.raises(Malformed):
        receipt.verify(replace(log.receipt, checkpoint=note.sign("hello\n", [log.signer])), log.policy)


def test_a_quorum_that_nobody_cosigned_is_unattested(log):
    with pytest.raises(Unattested):
        receipt.verify(log.proof, _witnessed_policy(log))


def test_a_quorum_that_cosigned_is_met(log):
    cosigned = log.checkpoint + WITNESS.cosign(note.split(log.checkpoint)[0], 1_700_000_000).line
    assert receipt.verify(replace(log.receipt, checkpoint=cosigned), _witnessed_policy(log)) is None


def _witnessed_policy(log):
    witness = receipt.Witness(name="W", key=WITNESS.verifier)
    return Policy(logs=(log.signer.verifier,), witnesses=(witness,), quorum=witness)


def _resigned(log, origin):
    found = checkpoint.parse(note.split(log.checkpoint)[0])
    text = checkpoint.format(Checkpoint(origin=origin, size=found.size, root=found.root))
    return replace(log.receipt, checkpoint=note.sign(text, [log.signer]))


def _line(text, at, line):
    lines = text.split("\n")
    lines[at] = line
    return "\n".join(lines)
