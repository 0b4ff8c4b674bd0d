"""Whatever is handed to a public function, it answers with an error of `audit.errors`, and never passes by accident."""

import inspect
from typing import Any

import pytest

from audit import canonical, chain, checkpoint, merkle, note, receipt
from audit.errors import AuditError, ConsistencyInvalid, InclusionInvalid, Malformed, SettingInvalid

HASH, OTHER = b"h" * 32, b"o" * 32
PAIR = merkle.node_hash(HASH, OTHER)
SIGNER = note.Signer("log.example/a", b"k" * 32)
RECORD = b"a record"
TEXT = checkpoint.format(checkpoint.Checkpoint(origin=SIGNER.name, size=1, root=merkle.leaf_hash(RECORD)))
SIGNED = note.sign(TEXT, (SIGNER,))
RECEIPT = receipt.Receipt(index=0, path=(), checkpoint=SIGNED, extra=RECORD)
POLICY = receipt.Policy(logs=(SIGNER.verifier,))

ODD: dict[str, Any] = {
    "nothing": None,
    "true": True,
    "false": False,
    "minus-one": -1,
    "two-to-the-63": 2**63,
    "two-to-the-64": 2**64,
    "an-integer-of-5000-digits": 10**5000,
    "a-float": 1.0,
    "nan": float("nan"),
    "a-complex-number": 1j,
    "a-lone-surrogate": "\ud800",
    "a-text-of-32": "x" * 32,
    "bytes-that-are-no-text": b"\xff",
    "a-byte-array": bytearray(HASH),
    "a-memory-view": memoryview(HASH),
    "a-list-of-nothing": [None],
    "a-list-of-an-integer": [1],
    "a-list-of-true": [True],
    "a-list-of-a-short-hash": [HASH[:31]],
    "a-list-of-a-long-hash": [HASH + b"h"],
    "a-list-of-a-text": ["x" * 32],
    "a-list-of-a-list": [[HASH]],
    "a-dictionary": {"A": HASH},
    "a-set": {HASH},
    "a-range": range(3),
    "an-object": object(),
    "a-function": len,
    "a-type": bytes,
}

CALLS: dict[str, tuple[Any, list[Any]]] = {
    "merkle.root": (merkle.root, [[HASH, OTHER]]),
    "merkle.verify_inclusion": (merkle.verify_inclusion, [HASH, 0, 2, [OTHER], PAIR]),
    "merkle.verify_inclusion-alone": (merkle.verify_inclusion, [HASH, 0, 1, [], HASH]),
    "merkle.verify_consistency": (merkle.verify_consistency, [1, HASH, 2, PAIR, [OTHER]]),
    "merkle.verify_consistency-same": (merkle.verify_consistency, [2, PAIR, 2, PAIR, []]),
    "merkle.verify_consistency-empty": (merkle.verify_consistency, [0, merkle.EMPTY_ROOT, 2, PAIR, []]),
    "note.open": (note.open, [SIGNED, [SIGNER.verifier]]),
    "note.sign": (note.sign, ["text\n", [SIGNER]]),
    "note.Verifier.parse": (note.Verifier.parse, [str(SIGNER.verifier)]),
    "checkpoint.parse": (checkpoint.parse, [TEXT]),
    "checkpoint.format": (checkpoint.format, [checkpoint.parse(TEXT)]),
    "receipt.parse": (receipt.parse, [receipt.format(RECEIPT)]),
    "receipt.format": (receipt.format, [RECEIPT]),
    "receipt.verify": (receipt.verify, [RECEIPT, POLICY]),
    "canonical.decode": (canonical.decode, [b"1"]),
    "chain.start": (chain.start, ["log.example/a"]),
}
# What is odd elsewhere and has its place here.
FITTING = {("chain.start", 0): {"a-text-of-32"}}

MISUSES = [
    pytest.param(name, position, odd, id=f"{name}-{position}-{odd}")
    for name, (_, arguments) in CALLS.items()
    for position in range(len(arguments))
    for odd in ODD
    if odd not in FITTING.get((name, position), ())
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_that_is_misused_below_passes_as_it_stands(call):
    function, arguments = CALLS[call]
    function(*arguments)


@pytest.mark.parametrize(("call", "position", "odd"), MISUSES)
def test_an_argument_of_another_kind_is_refused_with_an_error_that_has_a_code(call, position, odd):
    function, arguments = CALLS[call]
    with pytest.raises(AuditError):
        function(*[*arguments[:position], ODD[odd], *arguments[position + 1 :]])


VALUES = {name: odd for name, odd in ODD.items() if type(odd) not in (bool, type(None), str, int)}
BEYOND = {"two-to-the-63", "two-to-the-64", "an-integer-of-5000-digits", "a-lone-surrogate"}


@pytest.mark.parametrize("odd", [*VALUES, *sorted(BEYOND)])
def test_a_value_of_another_kind_has_no_canonical_encoding(odd):
    fits = {"a-list-of-nothing", "a-list-of-an-integer", "a-list-of-true", "a-list-of-a-text", "minus-one"}
    value = [ODD[odd], object()] if odd in fits else ODD[odd]
    with pytest.raises(Malformed):
        canonical.encode(value)


MEMBERS: list[tuple[Any, Any, str]] = [
    *((receipt.Receipt, RECEIPT, member) for member in ("index", "path", "checkpoint", "extra")),
    *((checkpoint.Checkpoint, checkpoint.parse(TEXT), member) for member in ("origin", "size", "root", "extensions")),
]
FITTING_MEMBERS = {
    ("extra", "nothing"),
    ("extra", "bytes-that-are-no-text"),
    ("checkpoint", "a-text-of-32"),
    ("checkpoint", "a-lone-surrogate"),
    ("origin", "a-text-of-32"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("struct", "made", "member"), MEMBERS, ids=[member for _, _, member in MEMBERS])
def test_a_receipt_or_checkpoint_with_a_member_of_another_kind_is_not_written(struct, made, member, odd):
    if (member, odd) in FITTING_MEMBERS:
        return
    changed = struct(**{name: getattr(made, name) for name in struct.__struct_fields__} | {member: ODD[odd]})
    with pytest.raises(Malformed):
        (receipt if struct is receipt.Receipt else checkpoint).format(changed)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("member", ["index", "path", "checkpoint", "extra"])
def test_a_receipt_with_a_member_of_another_kind_is_not_verified(member, odd):
    members = {name: getattr(RECEIPT, name) for name in RECEIPT.__struct_fields__} | {member: ODD[odd]}
    with pytest.raises(AuditError):
        receipt.verify(receipt.Receipt(**members), POLICY)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("member", ["logs", "origin", "witnesses", "quorum"])
def test_a_policy_with_a_member_of_another_kind_is_no_policy(member, odd):
    if ODD[odd] is None and member in ("origin", "quorum"):
        return
    members = {name: getattr(POLICY, name) for name in POLICY.__struct_fields__} | {member: ODD[odd]}
    with pytest.raises(AuditError):
        receipt.verify(RECEIPT, receipt.Policy(**members))


def test_no_key_at_all_verifies_nothing():
    with pytest.raises(AuditError):
        receipt.verify(RECEIPT, receipt.Policy(logs=()))


def test_no_key_of_a_note_may_be_anything_but_a_key():
    keys: Any = [SIGNER.verifier, str(SIGNER.verifier)]
    with pytest.raises(SettingInvalid):
        note.open(SIGNED, keys)


def test_a_path_may_be_a_tuple_or_a_list():
    assert merkle.verify_inclusion(HASH, 0, 2, (OTHER,), PAIR) is None
    assert merkle.verify_inclusion(HASH, 0, 2, [OTHER], PAIR) is None


def test_a_path_that_can_be_read_only_once_is_refused():
    path: Any = iter([OTHER])
    with pytest.raises(InclusionInvalid):
        merkle.verify_inclusion(HASH, 0, 2, path, PAIR)


@pytest.mark.parametrize("path", ["", b"", bytearray()], ids=["text", "bytes", "byte-array"])
def test_an_empty_string_is_no_empty_path(path):
    with pytest.raises(InclusionInvalid):
        merkle.verify_inclusion(HASH, 0, 1, path, HASH)
    with pytest.raises(ConsistencyInvalid):
        merkle.verify_consistency(1, HASH, 1, HASH, path)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (2, 1), (2**63 - 1, 2**63 - 1), (1, 0)])
def test_no_index_is_in_a_tree_that_is_not_larger(index, size):
    with pytest.raises(InclusionInvalid):
        merkle.verify_inclusion(HASH, index, size, [], HASH)


def test_a_path_as_long_as_that_of_the_largest_tree_is_followed_to_its_end():
    size, path = merkle.MAX_SIZE, [OTHER] * 63
    folded = HASH
    for sibling in path:
        folded = merkle.node_hash(folded, sibling)
    assert merkle.verify_inclusion(HASH, 0, size, path, folded) is None


@pytest.mark.parametrize("length", [62, 64, 10_000])
def test_a_path_of_another_length_than_the_largest_tree_s_is_refused(length):
    with pytest.raises(InclusionInvalid):
        merkle.verify_inclusion(HASH, 0, merkle.MAX_SIZE, [OTHER] * length, HASH)


@pytest.mark.parametrize("root", [b"", b"r" * 31, b"r" * 33, b"r" * 64])
def test_the_root_of_no_tree_has_another_length(root):
    with pytest.raises(ConsistencyInvalid):
        merkle.verify_consistency(0, merkle.EMPTY_ROOT, 2, root, [])


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (merkle.root, ["leaf_hashes"]),
        (merkle.verify_inclusion, ["leaf_hash", "index", "size", "path", "root"]),
        (merkle.verify_consistency, ["old_size", "old_root", "new_size", "new_root", "path"]),
        (note.open, ["text", "verifiers"]),
        (note.sign, ["text", "signers"]),
        (note.Verifier.parse, ["vkey"]),
        (receipt.verify, ["proof", "policy"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_what_others_test_suites_call_keeps_the_names_that_were_promised(function, names):
    assert list(inspect.signature(function).parameters) == names
