"""What `/audit/proof/*` answer with: integers in decimal, hashes in base64, and the signed checkpoint they lead to.

Whoever gets one verifies the checkpoint's signature, then `path`, then `onward`: from the tree of the size that was
asked for to that of the checkpoint, which is the one whose root is signed.
"""

from base64 import b64encode
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from audit import tree
from audit.merkle import MAX_SIZE
from service.http.log import Signed
from traceability.marks import implements

Count = Annotated[int, Meta(ge=0, le=MAX_SIZE)]
Hash = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]{43}=$", description="32 bytes in base64 (RFC 4648 section 4).")]


class InclusionProof(Struct, frozen=True, kw_only=True):
    """Record `index` is in the tree of `size`, which is the beginning of the signed one."""

    format: Literal["medai.inclusion-proof/1"] = "medai.inclusion-proof/1"
    index: Count
    size: Count
    leaf_hash: Hash
    path: list[Hash]
    """RFC 9162 section 2.1.3.1: the leaf's sibling first."""
    root: Hash
    onward: list[Hash]
    """The consistency path from `size` to the checkpoint's; empty where they are the same."""
    checkpoint: str
    """The signed checkpoint (C2SP tlog-checkpoint)."""


class ConsistencyProof(Struct, frozen=True, kw_only=True):
    """The tree of `old` is the beginning of the tree of `new`, which is the beginning of the signed one."""

    format: Literal["medai.consistency-proof/1"] = "medai.consistency-proof/1"
    old: Count
    new: Count
    old_root: Hash
    new_root: Hash
    path: list[Hash]
    """RFC 9162 section 2.1.4.1; empty where `old` is 0 or `new`."""
    onward: list[Hash]
    """The consistency path from `new` to the checkpoint's size; empty where they are the same."""
    checkpoint: str
    """The signed checkpoint (C2SP tlog-checkpoint)."""


@implements("REQ-LOG-004")
def inclusion(index: int, size: int, proof: tree.Inclusion, signed: Signed) -> bytes:
    """The answer's bytes."""
    return _encoder.encode(
        InclusionProof(
            index=index,
            size=size,
            leaf_hash=_base64(proof.leaf_hash),
            path=[_base64(value) for value in proof.path],
            root=_base64(proof.root),
            onward=[_base64(value) for value in proof.onward],
            checkpoint=signed.text,
        )
    )


@implements("REQ-LOG-004")
def consistency(old: int, new: int, proof: tree.Consistency, signed: Signed) -> bytes:
    """The answer's bytes."""
    return _encoder.encode(
        ConsistencyProof(
            old=old,
            new=new,
            old_root=_base64(proof.old_root),
            new_root=_base64(proof.new_root),
            path=[_base64(value) for value in proof.path],
            onward=[_base64(value) for value in proof.onward],
            checkpoint=signed.text,
        )
    )


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


_encoder: Final = msgspec.json.Encoder(order="sorted")
