"""What is checked before a database is trusted with records, and after each of its answers.

`accept` runs at start and whenever the database turns out to be another one (system identifier or timeline).
`check_append` runs after every append. Both raise `LedgerForked` where the database contradicts what was
signed, anchored or seen: then this process must write and sign nothing more.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from audit import chain, merkle, note, record, succession, tree
from audit.errors import (
    AuditError,
    KeyUnknown,
    LedgerForked,
    LedgerNotInitialised,
    LedgerUnavailable,
    Malformed,
    NotFound,
    RecordRefused,
)
from audit.ports import Anchor, Anchored, Appended, Head, Reader, Readiness, Store
from audit.record import Genesis
from audit.rotation import KeyHistory
from traceability.marks import implements

REMEDY: Final = (
    "bring them back from a copy that has them, or let `medai audit recover` close this log and open another "
    "(docs/recovery.md)"
)
_PAGE: Final = 65_536  # what `Reader.leaf_hashes` gives in one call


class Accepted(Struct, frozen=True, kw_only=True):
    """A database that passed: its record 0, its keys, its state, and which database it is."""

    genesis: Genesis
    keys: KeyHistory
    head: Head
    signed: str | None
    """The checkpoint of the head's size, where the log has signed and published one."""
    system_identifier: str | None
    timeline: int


@implements("REQ-LED-015")
async def accept(
    store: Store, reader: Reader, anchor: Anchor, verifier: note.Verifier, *, known: Head | None = None
) -> Accepted:
    """Check, in this order: usable; `verifier` is one of this log's keys; nothing anchored or published is missing
    or different; the stored state is what the stored hashes give; and it extends `known`, this process's own.

    The anchor trusts the keys of the log's records afterwards.
    Raises `LedgerUnavailable`, `LedgerNotInitialised` or `LedgerForked`.
    """
    readiness = await store.ready()
    require_usable(readiness)
    genesis = await genesis_of(reader)
    # Both are read before the head: another process may append, sign and publish at any moment.
    anchored = [await _newest_anchor(reader, part, genesis, verifier) for part in anchor.parts()]
    signed = await reader.signed()
    published = {"published": signed, "cosigned": await reader.checkpoint()}
    head = await reader.head()
    keys = await _keys(reader, genesis, head.size, verifier)
    anchor.trust(keys.verifiers)
    for newest in filter(None, anchored):
        await _require_signed(reader, head, keys, newest.checkpoint, "the newest anchor")
    for which, found in published.items():
        if found is not None:
            await _require_signed(reader, head, keys, found[1], f"the {which} checkpoint")
    if await tree.frontier(reader, head.size) != head.frontier:
        raise LedgerForked(f"size {head.size}: the last batch's frontier is not what the stored hashes give")
    if known is not None:
        await _require_extends(
            reader, head, known.size, merkle.frontier_root(known.size, known.frontier), "this process's own state"
        )
    return Accepted(
        genesis=genesis,
        keys=keys,
        head=head,
        signed=signed[1].decode() if signed is not None and signed[0] == head.size else None,
        system_identifier=readiness.system_identifier,
        timeline=readiness.timeline,
    )


@implements("REQ-LED-025")
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


@implements("REQ-LED-010")
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


async def publish(store: Store, reader: Reader, keys: KeyHistory, size: int, signed: str) -> str:
    """Publish `signed`; what is published for `size` then: it, or what another process published that says the same.

    A second key's signatures (ML-DSA-44) are never twice the same: so may the notes of two processes differ that
    started on one unsigned tree. Raises `LedgerForked` where they do not say the same.
    """
    try:
        await store.publish(size, signed.encode())
    except RecordRefused:
        return await _published(reader, keys, size, signed)
    return signed


async def _published(reader: Reader, keys: KeyHistory, size: int, signed: str) -> str:
    found = await reader.covering(size)
    try:
        if found is not None and keys.open(found[1]) == keys.open(signed):
            return found[1].decode()
    except AuditError as error:
        raise LedgerForked(f"database: the checkpoint published for size {size}: {error}") from error
    raise LedgerForked(f"database: another checkpoint of size {size} is published than this process signed")


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


@implements("REQ-LED-021")
async def genesis_of(reader: Reader) -> Genesis:
    """Record 0. Raises `LedgerNotInitialised` where there is none, `LedgerForked` where it is no genesis."""
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
    return genesis


async def _keys(reader: Reader, genesis: Genesis, size: int, verifier: note.Verifier) -> KeyHistory:
    """The log's keys by its first `size` records, if ours is or was one of them."""
    try:
        keys = (await succession.read(reader, genesis, size)).history
    except Malformed as error:
        raise LedgerForked(f"ledger: {error}") from error
    if verifier not in keys.verifiers:
        raise LedgerForked(
            f"ledger: record 0 names another verifier key (of {genesis.origin}) than this signing key's, and no record "
            "rotates the one to the other: use that log's key, or another database. Where the key was rotated, the "
            f"record that says so is missing: {REMEDY}"
        )
    return keys


async def _newest_anchor(reader: Reader, anchor: Anchor, genesis: Genesis, verifier: note.Verifier) -> Anchored | None:
    """The newest anchor by a key of the log. Another process may rotate the key, and anchor, between our reading the
    records and our reading the anchors: then the records are read again."""
    known = None
    while True:
        keys = await _keys(reader, genesis, (await reader.head()).size, verifier)
        anchor.trust(keys.verifiers)
        try:
            return await asyncio.to_thread(anchor.newest)
        except KeyUnknown:
            if keys == known:
                raise
            known = keys


@implements("REQ-LED-015")
async def _require_extends(reader: Reader, head: Head, size: int, root: bytes, whose: str) -> None:
    if head.size < size:
        raise LedgerForked(f"database: {head.size} records, but {whose} covers {size}: records are missing; {REMEDY}")
    stored = merkle.frontier_root(size, await tree.frontier(reader, size))
    if stored != root:
        raise LedgerForked(f"database: its root at size {size} is not that of {whose}: history was rewritten; {REMEDY}")


async def _require_signed(reader: Reader, head: Head, keys: KeyHistory, signed: str | bytes, whose: str) -> None:
    try:
        opened = keys.open(signed)
    except AuditError as error:
        raise LedgerForked(f"database: {whose} is not signed by this log's key: {error}") from error
    await _require_extends(reader, head, opened.size, opened.root, whose)
