"""What is left of a log that lost signed records, and the record 0 of the log that continues it.

A log is never continued beyond records that it signed and lost: two trees of one size would be signed by one key, as
in a fork. It is closed as it is, readable and provable; another log, with a name and a key of its own, says in its
record 0 what became of it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Literal

import msgspec
from msgspec import Struct

from audit import acceptance, checkpoint, merkle, note, succession, tree
from audit.checkpoint import Checkpoint
from audit.errors import Altered, AuditError, LedgerForked, LedgerNotInitialised, Malformed
from audit.note import Verifier
from audit.ports import Head, Reader
from audit.record import Continued
from audit.rotation import Epoch, KeyHistory
from traceability.marks import implements

Reason = Literal["truncated", "rewritten", "closed"]
Kept = Callable[[Sequence[Verifier]], Iterable[str]]
"""Signed checkpoints that were kept outside the database; those by the given keys at least."""
Roots = Mapping[int, Set[bytes]]
"""Size -> the roots that were signed for it."""


@implements("REQ-KEY-004")
class Assessment(Struct, frozen=True, kw_only=True):
    """What a database still proves of a log, against every checkpoint that was signed for it and is known.

    [lost_first, lost_end) are the records that were signed and are not there, or not as they were signed.
    """

    keys: KeyHistory
    reason: Reason
    size: int
    root: bytes
    anchored_size: int
    anchored_root: bytes
    lost_first: int
    lost_end: int

    @property
    def needed(self) -> bool:
        """Whether the log cannot go on as it is."""
        return self.reason != "closed"

    def continued(self) -> Continued:
        """As record 0 of the next log says it, not yet signed."""
        return Continued(
            origin=self.keys.origin,
            verifier_key=str(self.keys.current.key),
            reason=self.reason,
            size=self.size,
            root=self.root.hex(),
            anchored_size=self.anchored_size,
            anchored_root=self.anchored_root.hex(),
            lost_first=self.lost_first,
            lost_end=self.lost_end,
        )

    def words(self) -> str:
        """In a sentence or two, for people."""
        return words(self.continued())


def words(continued: Continued) -> str:
    """What became of the closed log, in a sentence or two."""
    proved = f"the database of {continued.origin} proves {continued.size} records, root {continued.root}"
    signed = f"{continued.anchored_size} were signed and anchored, root {continued.anchored_root}"
    match continued.reason:
        case "truncated":
            lost = f"records {continued.lost_first} to {continued.lost_end - 1} are lost"
        case "rewritten":
            lost = f"from record {continued.lost_first} on it is not what was signed"
        case "closed":
            lost = "nothing was lost"
    return f"{proved}; {signed}; {lost}"


@implements("REQ-KEY-004")
async def assess(reader: Reader, held: Sequence[Verifier], kept: Kept) -> Assessment:
    """Compare the database with every checkpoint of the log that is kept anywhere.

    `held` are the keys at hand, which count beside those that the records name: the record that made one the log's may
    be among what is lost. Checkpoints of other logs, or by other keys, are passed over. Where the database has no
    record 0, the first key at hand says whose it was; without one, raises `LedgerNotInitialised`.
    """
    head = await reader.head()
    keys = await _keys(reader, head, held)
    trusted = list(dict.fromkeys([*keys.verifiers, *(key for key in held if key.name == keys.origin)]))
    published = await reader.signed()
    own = [published[1].decode("utf-8", "replace")] if published is not None else []
    roots = await asyncio.to_thread(lambda: _roots([*kept(trusted), *own], trusted, keys.origin))
    return await _compared(reader, head, keys, roots)


async def _keys(reader: Reader, head: Head, held: Sequence[Verifier]) -> KeyHistory:
    """The keys by the records; after them the one in use here, where the record that made it the log's is lost."""
    try:
        genesis = await acceptance.genesis_of(reader)
        found = (await succession.read(reader, genesis, head.size)).history
    except (LedgerNotInitialised, LedgerForked, Malformed):
        if not held:
            raise LedgerNotInitialised("recover: no record 0, and no signing key says whose database it was") from None
        return KeyHistory(origin=held[0].name, epochs=(Epoch(key=held[0], index=0, after=0),))
    if not held or held[0].name != found.origin or held[0] in found.verifiers:
        return found
    ended = msgspec.structs.replace(found.current, upto=head.size)
    in_use = Epoch(key=held[0], index=head.size, after=head.size)
    return KeyHistory(origin=found.origin, epochs=(*found.epochs[:-1], ended, in_use))


def _roots(signed: Iterable[str], trusted: Sequence[Verifier], origin: str) -> Roots:
    """The checkpoints of this log. Two roots of one size are a fork: the database may have either."""
    found: dict[int, set[bytes]] = {}
    for text in signed:
        opened = _opened(text, trusted)
        if opened is not None and opened.origin == origin and opened.size > 0:
            found.setdefault(opened.size, set()).add(opened.root)
    return found


def _opened(text: str, trusted: Sequence[Verifier]) -> Checkpoint | None:
    try:
        return checkpoint.parse(note.open(text, trusted).text)
    except AuditError:
        return None


@implements("REQ-KEY-004")
async def _compared(reader: Reader, head: Head, keys: KeyHistory, roots: Roots) -> Assessment:
    newest = max(roots, default=0)
    within = sorted(size for size in roots if size <= head.size)
    agreed = await _agreed(reader, within, roots)
    whole = await _root(reader, head.size)
    reason: Reason
    if agreed < max(within, default=0) or whole is None or whole != merkle.frontier_root(head.size, head.frontier):
        reason, size, root = "rewritten", agreed, await _root(reader, agreed) or merkle.EMPTY_ROOT
    else:
        reason, size, root = "truncated" if newest > head.size else "closed", head.size, whole
    return Assessment(
        keys=keys,
        reason=reason,
        size=size,
        root=root,
        anchored_size=newest,
        anchored_root=min(roots[newest]) if newest else merkle.EMPTY_ROOT,
        lost_first=size,
        lost_end=max(newest, size),
    )


async def _agreed(reader: Reader, sizes: Sequence[int], roots: Roots) -> int:
    """The largest of `sizes`, which ascend, whose root the database has; 0 where it has none. A tree that has the root
    of one size has those of all smaller ones, if all were signed for one history: so half of them are asked no more."""
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high + 1) // 2
        if await _root(reader, sizes[middle - 1]) in roots[sizes[middle - 1]]:
            low = middle
        else:
            high = middle - 1
    return sizes[low - 1] if low else 0


async def _root(reader: Reader, size: int) -> bytes | None:
    """The root that the stored hashes give; None where some are missing."""
    try:
        return merkle.frontier_root(size, await tree.frontier(reader, size)) if size else merkle.EMPTY_ROOT
    except Altered:
        return None
