"""Whose signature counts for a ledger that is verified: the keys that its records name, and the one that was given.

Pure. What it holds is text, so that it can be sent to other processes.
"""

from functools import lru_cache

from msgspec import Struct

from audit import checkpoint, note
from audit.checkpoint import Checkpoint
from audit.errors import SignatureMissing, VerificationFailed
from audit.note import Verifier
from audit.rotation import Epoch, KeyHistory
from traceability.marks import implements


@implements("REQ-AUD-012")
class Authority(Struct, frozen=True, kw_only=True):
    """The keys of one log, each with the sizes that it signs."""

    origin: str
    epochs: tuple[tuple[str, int, int, int | None], ...]
    """(key, index, after, upto), as in `rotation.Epoch`."""
    given: str | None = None
    """A key that was given and that the records do not know: the record that made it the log's may be lost."""

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        known = _history(self).verifiers
        return known if self.given is None else (*known, Verifier.parse(self.given))

    def open(self, signed: bytes | str) -> Checkpoint:
        """The checkpoint, signed by the key whose its size is, or by the one that was given.

        Raises `AuditError` where it is not.
        """
        try:
            return _history(self).open(signed)
        except (SignatureMissing, VerificationFailed):
            if self.given is None:
                raise
        return checkpoint.parse(note.open(signed, (Verifier.parse(self.given),)).text)


def of(history: KeyHistory, given: Verifier) -> Authority:
    """The keys of `history`, and `given` where it is none of them."""
    return Authority(
        origin=history.origin,
        epochs=tuple((str(one.key), one.index, one.after, one.upto) for one in history.epochs),
        given=None if given in history.verifiers else str(given),
    )


def alone(given: Verifier) -> Authority:
    """`given` for all sizes: where the records say nothing."""
    return Authority(origin=given.name, epochs=((str(given), 0, 0, None),))


@lru_cache(maxsize=4)
def _history(authority: Authority) -> KeyHistory:
    epochs = tuple(
        Epoch(key=Verifier.parse(key), index=index, after=after, upto=upto)
        for key, index, after, upto in authority.epochs
    )
    return KeyHistory(origin=authority.origin, epochs=epochs)
