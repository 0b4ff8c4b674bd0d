"""What the commands know of logs besides the one in use: those that were closed here, their keys, what they lost."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from audit import checkpoint, note, receipt, recovery
from audit.checkpoint import Checkpoint
from audit.errors import AuditError
from audit.record import Genesis
from audit.recovering import Journal, Notes
from audit.rotation import Epoch, KeyHistory


def closed_before(genesis: Genesis, home: Path) -> list[tuple[KeyHistory, str]]:
    """The logs that the one with this record 0 continues, the last first: their keys, and what became of them.

    The whole history of a closed log's keys is in the notes of the home that it was closed in; elsewhere only its last
    key is known, from record 0.
    """
    found = [(journal.history, recovery.words(journal.continued)) for journal in _chain(genesis.origin, home)]
    if not found and genesis.continues is not None:
        last = Epoch(key=note.Verifier.parse(genesis.continues.verifier_key), index=0, after=0)
        history = KeyHistory(origin=genesis.continues.origin, epochs=(last,))
        found = [(history, recovery.words(genesis.continues))]
    return found


def lost(proof: receipt.Receipt, home: Path) -> str | None:
    """A sentence, where the record of `proof` is one of those that a log closed here had signed and lost."""
    try:
        stated = checkpoint.parse(note.split(proof.checkpoint)[0])
    except AuditError:
        return None
    for journal in Notes(home).done():
        if _lost(journal, stated, proof.index):
            return (
                f"record {proof.index} of {stated.origin} is one of those that were lost: its database proves "
                f"{journal.continued.size} records; {journal.origin} continues it"
            )
    return None


def receipt_in(saved: bytes) -> receipt.Receipt | None:
    """The receipt that is saved, alone or in an answer; nothing of it is verified."""
    with contextlib.suppress(AuditError):
        return receipt.parse(saved)
    with contextlib.suppress(AuditError, ValueError, TypeError, KeyError):
        return receipt.parse(json.loads(saved)["ledger"]["proof"])
    return None


def _chain(origin: str, home: Path) -> Iterator[Journal]:
    for journal in Notes(home).done():
        if journal.origin == origin:
            yield journal
            origin = journal.continued.origin


def _lost(journal: Journal, stated: Checkpoint, index: int) -> bool:
    continued = journal.continued
    return stated.origin == continued.origin and continued.lost_first <= index < continued.lost_end
