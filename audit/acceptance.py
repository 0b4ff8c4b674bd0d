"""What is checked before a database is trusted with records, and after each of its answers.

`accept` runs at start and whenever the database turns out to be another one (system identifier or timeline).
`check_append` runs after every append. Both raise `LedgerForked` where the database contradicts what was
signed, anchored or seen: then this process must write and sign nothing more.
"""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from audit import chain, checkpoint, merkle, note, record, tree
from audit.errors import AuditError, LedgerForked, LedgerNotInitialised, LedgerUnavailable, NotFound
from audit.ports import Anchor, Appended, Head, Reader, Readiness, Store
from audit.record import Genesis

_PAGE = 65_536  # what `Reader.leaf_hashes` gives in one call


class Accepted(Struct, frozen=True, kw_only=True):
    """A database that passed: its record 0, its state, and which database it is."""

    genesis: Genesis
    head: Head
    system_identifier: str | None
    timeline: int


async def accept(
    store: Store, reader: Reader, anchor: Anchor, verifier: note.Verifier, *, known: Head | None = None
) -> Accepted:
    """Check, in this order: usable; record 0 is this log's; nothing anchored or published is missing or
    different; the stored state is what the stored hashes give; and it extends `known`, this process's own.

    Raises `LedgerUnavailable`, `LedgerNotInitialised` or `LedgerForked`.
    """
    readiness = await store.ready()
    require_usable(readiness)
    genesis = await _genesis(reader, verifier)
    # Both are read before the head: another process may append, sign and publish at any moment.
    anchored = await asyncio.to_thread(anchor.newest)
    published = {"published": await reader.signed(), "cosigned": await reader.checkpoint()}
    head = await reader.head()
    if anchored is not None:
        await _require_extends(reader, head, anchored.size, anchored.root, "the newest anchor")
    for which, found in published.items():
        if found is not None:
            await _require_published(reader, head, found[1], verifier, which)
    if await tree.frontier(reader, head.size) != head.frontier:
        raise LedgerForked(f"size {head.size}: the last batch's frontier is not what the stored hashes give")
    if known is not None:
        await _require_extends(
            reader, head, known.size, merkle.frontier_root(known.size, known.frontier), "this process's own state"
        )
    return Accepted(
        genesis=genesis,
        head=head,
        system_identifier=readiness.system_identifier,
        timeline=readiness.timeline,
    )


def require_usable(readiness: Readiness) -> None:
    """Raises `LedgerUnavailable` where the database could not keep what it acknowledges."""
    if readiness.in_recovery:
        raise LedgerUnavailable("database: in recovery, it takes no writes; wait for the failover to end")
    if not readiness.durable:
        raise LedgerUnavailable("database: fsync is off, so it would lose what it acknowledges; turn it on")


async def extend(reader: Reader, known: Head) -> Head:
    """`known` extended by what others wrote since, checked against the stored state. May return `known`."""
    head = await reader.head()
    if head.size < known.size:
        raise LedgerForked(f"database: {head.size} records, this process has seen {known.size}")
    size, frontier, linked = known.size, known.frontier, known.chain
    while size < head.size:
        page = await reader.leaf_hashes(size, min(head.size, size + _PAGE))
        if not page:
            raise LedgerForked(f"database: no leaf hashes from index {size}, of {head.size}")
        frontier = merkle.extend(size, frontier, page)
        linked = chain.extend(linked, page)
        size += len(page)
    if (frontier, linked) != (head.frontier, head.chain):
        raise LedgerForked(f"database: the state at size {head.size} does not extend this process's {known.size}")
    return head


def check_append(known: Head, leaves: Sequence[bytes], answer: Appended) -> merkle.BatchTree:
    """The tree after this batch, computed from `known` alone and found equal to what the database says.

    Precondition: `answer.first >= known.size`. Raises `LedgerForked` with the first thing that differs.
    """
    if answer.first != known.size + len(answer.between):
        raise LedgerForked(f"append: first index {answer.first}, but {known.size} + {len(answer.between)} are known")
    before = merkle.extend(known.size, known.frontier, answer.between)
    if before != answer.before:
        raise LedgerForked(f"append: the frontier at size {answer.first} does not extend ours at {known.size}")
    if tuple(leaves) != answer.leaves:
        raise LedgerForked(f"append: what was stored from index {answer.first} is not what was sent")
    after = merkle.BatchTree(answer.first, before, tuple(leaves))
    if after.frontier != answer.after:
        raise LedgerForked(f"append: the frontier at size {after.size} is not that of the records")
    if chain.extend(chain.extend(known.chain, answer.between), leaves) != answer.chain:
        raise LedgerForked(f"append: the chain hash at size {after.size} is not that of the records")
    return after


async def check_older(reader: Reader, known: Head, leaves: Sequence[bytes], answer: Appended) -> merkle.BatchTree:
    """As `check_append`, where a retried batch turns out to lie before `known`: its tree must be a prefix."""
    if tuple(leaves) != answer.leaves:
        raise LedgerForked(f"append: what was stored from index {answer.first} is not what was sent")
    after = merkle.BatchTree(answer.first, answer.before, tuple(leaves))
    path = await tree.consistency(reader, after.size, known.size)
    try:
        merkle.verify_consistency(
            after.size, after.root, known.size, merkle.frontier_root(known.size, known.frontier), path
        )
    except AuditError as error:
        raise LedgerForked(f"append: the batch at {answer.first} is not part of this process's tree") from error
    return after


async def _genesis(reader: Reader, verifier: note.Verifier) -> Genesis:
    try:
        stored = await reader.record(0)
    except NotFound as error:
        raise LedgerNotInitialised("ledger: no record 0; run `medai ledger init`") from error
    try:
        genesis = record.decode(stored.body)
    except AuditError as error:
        raise LedgerForked("ledger: record 0 is not a record") from error
    if not isinstance(genesis, Genesis):
        raise LedgerForked("ledger: record 0 is not a genesis record")
    if genesis.verifier_key != str(verifier):
        raise LedgerForked(
            f"ledger: record 0 names another verifier key (of {genesis.origin}) than this signing key's; "
            "use that log's key, or another database"
        )
    return genesis


async def _require_extends(reader: Reader, head: Head, size: int, root: bytes, whose: str) -> None:
    if head.size < size:
        raise LedgerForked(f"database: {head.size} records, but {whose} covers {size}: records are missing")
    stored = merkle.frontier_root(size, await tree.frontier(reader, size))
    if stored != root:
        raise LedgerForked(f"database: its root at size {size} is not that of {whose}: history was rewritten")


async def _require_published(reader: Reader, head: Head, signed: bytes, verifier: note.Verifier, which: str) -> None:
    try:
        opened = checkpoint.parse(note.open(signed.decode(), (verifier,)).text)
    except (AuditError, UnicodeDecodeError) as error:
        raise LedgerForked(f"database: its {which} checkpoint is not signed by this log's key") from error
    await _require_extends(reader, head, opened.size, opened.root, f"the {which} checkpoint")
