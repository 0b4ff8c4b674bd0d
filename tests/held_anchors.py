"""Anchors that a test holds in its hand: `audit.ports.Anchor` over a list."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from audit import checkpoint, note
from audit.errors import AuditError
from audit.ports import Anchored


class HeldAnchor:
    """Gives back what of the list the trusted keys signed."""

    def __init__(self, anchored: Iterable[Anchored] = (), keys: Sequence[note.Verifier] = ()) -> None:
        self.held = list(anchored)
        self._keys = tuple(keys)

    def parts(self) -> "tuple[HeldAnchor]":
        return (self,)

    def trust(self, keys: Sequence[note.Verifier]) -> None:
        self._keys = tuple(keys)

    def newest(self) -> Anchored | None:
        return max(self.all(), key=lambda one: one.size, default=None)

    def all(self) -> Iterator[Anchored]:
        return (one for one in self.held if _is_signed(one.checkpoint, self._keys))

    def put(self, signed: str, *, system_identifier: str | None, timeline: int) -> None:
        self.held.append(anchored(signed))


@lru_cache(maxsize=1_024)
def _is_signed(signed: str, keys: tuple[note.Verifier, ...]) -> bool:
    try:
        note.open(signed, keys)
    except AuditError:
        return False
    return True


def anchored(signed: str) -> Anchored:
    """The anchor of a signed checkpoint, whoever signed it."""
    stated = checkpoint.parse(note.split(signed)[0])
    return Anchored(checkpoint=signed, size=stated.size, root=stated.root, system_identifier=None, timeline=1)


def signed_by(signer: note.Signer, size: int, root: bytes) -> str:
    """A checkpoint of that size and root."""
    return note.sign(checkpoint.format(checkpoint.Checkpoint(origin=signer.name, size=size, root=root)), (signer,))
