"""The hash chain over the records: a second, simpler witness of their order beside the tree.

A chain alone does not notice that its tail was cut; checkpoints and anchors do.
"""

import hashlib
from collections.abc import Iterable

from traceability.marks import implements

_sha256 = hashlib.sha256


@implements("REQ-LED-009")
def start(origin: str) -> bytes:
    """The chain before any record, bound to the log's name: c[-1] = SHA-256(0x03 || origin)."""
    return _sha256(b"\x03" + origin.encode("utf-8")).digest()


@implements("REQ-LED-009")
def extend(chain: bytes, leaf_hashes: Iterable[bytes]) -> bytes:
    """The chain after these leaves: c[i] = SHA-256(0x02 || c[i-1] || leaf[i])."""
    for leaf in leaf_hashes:
        chain = _sha256(b"\x02" + chain + leaf).digest()
    return chain
