"""Verifying a whole ledger: walked in stretches by several processes, held to everything that was signed.

Everything stored is recomputed: record bytes, search columns, leaf hashes, chain, subtrees, batches; and the root at
every signed size is compared with what was signed. What the anchors do not reach is consistent at best: a superuser who
rewrites it and recomputes all hashes leaves no trace inside the database.

Where something is wrong, `audit.explaining` says what and where, by the table in docs/tamper.md.
"""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct, structs

from audit import authority as authorities
from audit import published, record, stretches, succession, tree
from audit.accounts import MAX_FOUND, fork
from audit.authority import Authority
from audit.claims import Signed, begin
from audit.errors import AuditError, KeyUnknown, LedgerNotInitialised, Malformed, NotFound
from audit.explaining import Explainer
from audit.extent import Extent
from audit.findings import Fault, Found, Part, by_place
from audit.merkle import frontier_root, leaf_hash
from audit.note import Verifier
from audit.ports import Anchor, Anchored, Reader
from audit.published import Unsigned
from audit.record import Genesis
from audit.stretches import Anchors, OpenReader, Stretch, Walked
from audit.walk import Before
from traceability.marks import implements

MIN_SHARE: Final = 1 << 14  # starting a process takes as long as verifying about this many records
CLOCK_TOLERANCE_US: Final = 10_000_000
"""As of `audit.genesis`, where record 0 is not there to say it."""


class Verified(Struct, frozen=True, kw_only=True):
    """What a ledger was verified up to, for the next verification to begin with."""

    start: Before
    agreed: int
    """The largest signed size that was reached."""
    anchored: int
    """The largest of them that is kept outside."""


class Report(Struct, frozen=True, kw_only=True):
    """The verdict on a ledger: `exit_code` and `words` as DESIGN has them, and every fault that was found."""

    exit_code: int
    words: str
    origin: str
    size: int
    anchored: int
    found: tuple[Found, ...]
    verified: Verified | None = None
    """Where nothing was altered."""


class _Basis(Struct, frozen=True, kw_only=True):
    """What a ledger is verified by."""

    extent: Extent
    authority: Authority
    tolerance_us: int
    found: tuple[Found, ...]
    refused: tuple[int, ...] = ()
    """Records that would have rotated the key, and do not."""


@implements("REQ-AUD-012")
async def verify(
    open_reader: OpenReader,
    verifier: Verifier,
    anchor: Anchor,
    *,
    processes: int | None = None,
    schema: bool = True,
    since: Verified | None = None,
) -> Report:
    """Verify the whole ledger as it is when this starts, or what came since it was verified last.

    1. how far it reaches, and whose it is by its record 0; 2. every stretch recomputes to what is stored and signed;
    3. where one does not, or they do not fit together, what is wrong; 4. nothing that was signed is missing.
    With `since`, of the anchors only the newest are looked at, and of what was verified only that the ledger still goes
    on from there; if it does not, the whole of it is verified.
    Without `processes`, as many as there are cores and as are worth starting. Raises `LedgerUnavailable`,
    `LedgerNotInitialised`; everything that is wrong with the ledger itself is in the report.
    """
    reader = open_reader()
    try:
        basis = await _basis(reader, verifier, anchor)
        if any(one.fault == "wrong_key" for one in basis.found):  # another log: nothing of ours can be expected of it
            return _report(basis, 0, basis.found)
        anchor.trust(basis.authority.verifiers)
        processes = processes or min(os.cpu_count() or 1, 1 + basis.extent.end // MIN_SHARE)
        kept = Anchors(_kept(anchor, since), basis.authority)
        start = None if since is None else since.start
        handed = _stretches(basis, kept, start, processes=processes, schema=schema)
        walked = await stretches.walk_all(open_reader, handed, processes)
        whole = basis.extent.clean and _fit(walked)
        if since is not None and not (walked and whole):  # what was right then may be no longer
            return await verify(open_reader, verifier, anchor, processes=processes, schema=schema)
        agreed = 0 if since is None else since.agreed
        if whole:
            found = [*basis.found, *(one for each in walked for one in each.found)]
            reached = [each.agreed for each in walked if each.agreed is not None]
            agreed = reached[-1].size if reached else agreed
            found += await _late(reader, kept, reached[-1].signed[0] if reached else None)
        else:
            found, agreed = await _explained(reader, basis, walked, schema=schema)
        found = await _missing(reader, basis, kept, agreed, found)
        found += _stranger(anchor, basis, found) + await _unpublished(reader, walked)
        found = _retired(kept, basis, found)
        if not whole and not any(one.altered for one in found):
            found.append(_found("hash_edited", "record", 0, basis.extent.end, "read twice, it is not twice the same"))
    finally:
        await reader.close()
    anchored = max([each.anchored for each in walked], default=0)
    anchored = anchored if since is None else max(anchored, since.anchored)
    report = _report(basis, anchored, found)
    if report.exit_code == 1 or not walked or walked[-1].whole is None:
        return report
    return structs.replace(report, verified=Verified(start=walked[-1].whole, agreed=agreed, anchored=anchored))


def with_schema(report: Report, found: Sequence[Found]) -> Report:
    """The report, and what was found of the database's schema."""
    altered = sum(one.altered for one in found)
    words = report.words + "".join(f"; {one.message}" for one in found if not one.altered)
    if altered and report.exit_code != 1:
        words = f"SCHEMA CHANGED: {altered} difference(s) from the migrations; {words}"
    return structs.replace(
        report, exit_code=1 if altered else report.exit_code, words=words, found=(*report.found, *found)
    )


def unreadable(origin: str, why: AuditError, found: Sequence[Found]) -> Report:
    """The report on a ledger that could not be read, because its tables are not the ones that were made."""
    words = f"SCHEMA CHANGED: {len(found)} difference(s) from the migrations; the records could not be read: {why}"
    return Report(exit_code=1, words=words, origin=origin, size=0, anchored=0, found=tuple(found))


def _kept(anchor: Anchor, since: Verified | None) -> Iterator[Anchored]:
    """What is kept outside, in order of size; of each place only the newest where the rest was looked at before."""
    if since is None:
        return heapq.merge(*(part.all() for part in anchor.parts()), key=lambda one: one.size)
    newest = []
    for part in anchor.parts():
        with suppress(KeyUnknown):  # which `_stranger` tells
            newest.append(part.newest())
    return iter(sorted((one for one in newest if one is not None), key=lambda one: one.size))


async def _basis(reader: Reader, verifier: Verifier, anchor: Anchor) -> _Basis:
    extent = await reader.extent()
    if extent.end == 0:
        anchor.trust((verifier,))
        if anchor.newest() is None:
            raise LedgerNotInitialised("ledger: no record 0; run `medai ledger init`")
    found: list[Found] = []
    authority, tolerance_us = authorities.alone(verifier), CLOCK_TOLERANCE_US
    refused: tuple[int, ...] = ()
    genesis = await _genesis(reader)
    if genesis is not None:
        tolerance_us = genesis.clock_tolerance_us
        try:
            known = await succession.read(reader, genesis, extent.end)
        except Malformed:
            known = None
        if known is not None and verifier.name == known.history.origin:
            authority = authorities.of(known.history, verifier)
            refused = tuple(one.index for one in known.refused)
        ours = str(verifier) == genesis.verifier_key or (known is not None and verifier in known.history.verifiers)
        if not ours and await _is_anothers(reader, extent, verifier, genesis, anchor):
            message = f"record 0 names the key {genesis.verifier_key}, not {verifier}"
            found.append(Found(fault="wrong_key", part="key", first=0, end=1, message=message))
    return _Basis(extent=extent, authority=authority, tolerance_us=tolerance_us, found=tuple(found), refused=refused)


async def _genesis(reader: Reader) -> Genesis | None:
    try:
        genesis = record.decode((await reader.record(0)).body)
    except (NotFound, Malformed):
        return None
    return genesis if isinstance(genesis, Genesis) else None


async def _is_anothers(reader: Reader, extent: Extent, verifier: Verifier, genesis: Genesis, anchor: Anchor) -> bool:
    """Whether this is the ledger of another key, and not one of ours whose records of its keys were altered."""
    first = begin(genesis.origin).after([leaf_hash((await reader.record(0)).body)])
    head = await reader.head_at(1)
    if head is not None and (head.frontier, head.chain) != (first.frontier, first.chain):
        return False  # its first batch was of another record 0
    anchor.trust((verifier,))
    try:
        newest = anchor.newest()
    except KeyUnknown:
        newest = None
    if newest is None or newest.size > extent.end:  # the record that made it the log's key may be among the missing
        return newest is None
    stored = await reader.head_at(newest.size)
    return stored is not None and frontier_root(newest.size, stored.frontier) != newest.root


def _stretches(
    basis: _Basis, anchors: Anchors, since: Before | None, *, processes: int, schema: bool
) -> Iterator[Stretch]:
    """One after the other, each with what was signed of it: what comes later is not in memory yet."""
    start = 0 if since is None else since.state.size
    if since is not None:
        anchors.upto(start)
    for first, end in stretches.bounds(start, basis.extent.end, processes=processes):
        yield Stretch(
            first=first,
            end=end,
            authority=basis.authority,
            tolerance_us=basis.tolerance_us,
            schema=schema,
            signed=anchors.upto(end),
            known=since if first == start else None,
        )


def _fit(walked: Sequence[Walked]) -> bool:
    """Whether all are clean, and each begins as the one before it ends."""
    ends = [(one.after.state, one.after.covered) for one in walked[:-1] if one.after is not None]
    begins = [(one.before.state, one.before.covered) for one in walked[1:] if one.before is not None]
    return all(one.clean for one in walked) and ends == begins


async def _explained(
    reader: Reader, basis: _Basis, walked: Sequence[Walked], *, schema: bool
) -> tuple[list[Found], int]:
    if not walked:
        return list(basis.found), 0
    explainer = Explainer(reader, walked, basis.extent, schema=schema)
    await explainer.run()
    found = [*basis.found, *explainer.accounts.found()]
    unsigned = list(published.sorted_out(basis.authority, basis.extent.checkpoints).unsigned)
    for each in walked:
        stored = await published.within(reader, basis.authority, each.stretch.first, each.stretch.end)
        unsigned += stored.unsigned
    if basis.extent.policies and not any(one.wrong == "policy" for one in unsigned):
        message = f"{basis.extent.policies} of the stored policies are not those of their digests"
        found.append(_found("hash_edited", "checkpoint", 0, 0, message))
    misplaced = {size for one in unsigned if one.stated is not None for size in (one.size, one.stated.size)}
    for one in unsigned:
        if one.wrong == "version" and one.size in misplaced:
            continue  # the one that is missing, or too many, is found already
        said = await _checkpoint(reader, basis, one, found)
        found += [] if said is None else [said]
    return found, explainer.accounts.agreed


async def _checkpoint(reader: Reader, basis: _Basis, unsigned: Unsigned, found: Sequence[Found]) -> Found | None:
    """What is stored as a checkpoint, and is none of the log's or not as it is stored. None where the record that
    names its key may be among those that were altered."""
    size, stated = unsigned.size, unsigned.stated
    message = f"what is stored as the checkpoint of size {size}: {unsigned.why}"
    if unsigned.wrong == "attested":
        return _found("derived_column", "column", size, size, message)
    if unsigned.wrong == "foreign" and stated is not None:
        naming = {0, *basis.refused, *(index for _, index, _, _ in basis.authority.epochs)}
        if any(_reaches(one, index) for one in found for index in naming if one.altered):
            return None
        stored = await reader.head_at(size)
        if stored is None or frontier_root(size, stored.frontier) != stated.root:
            return _found("wrong_key", "key", size, size, message)
        if any(one.part in ("record", "column") and one.end < size for one in found if one.altered):
            return None
    return _found("hash_edited", "checkpoint", size, size, message)


def _reaches(found: Found, index: int) -> bool:
    """Whether the record at `index` may be another one by what was found, or in another place."""
    return found.first <= index and (index < found.end or found.fault == "suffix_rewritten")


async def _missing(reader: Reader, basis: _Basis, anchors: Anchors, agreed: int, found: Sequence[Found]) -> list[Found]:
    """`found`, and what was signed of a larger ledger than there is, also now."""
    end = basis.extent.end
    beyond = published.sorted_out(basis.authority, basis.extent.checkpoints).signed
    largest = max(anchors.largest_left(), *(one.size for one in beyond), 0)
    if largest <= end or (await reader.extent()).batched >= largest:
        return list(found)
    if any(one.fault == "suffix_rewritten" for one in found):
        return list(found)
    first = min([one.first for one in found if one.fault == "truncated"], default=min(agreed, end))
    message = f"{end} records, but {largest} were signed: the last {largest - end} are missing"
    others = [one for one in found if not _is_of_the_missing(one, first, end, largest)]
    return [*others, _found("truncated", "record", first, largest, message)]


def _is_of_the_missing(found: Found, first: int, end: int, largest: int) -> bool:
    """Whether it is said already by the ledger's being cut: hashes of records that are missing are none too many, nor
    are the records of a batch of which the rest is."""
    is_hash = found.part == "tile" and end < found.end <= largest
    is_rest = found.fault == "inserted" and first <= found.first and found.end == end
    return found.fault == "truncated" or is_hash or is_rest


async def _late(reader: Reader, anchors: Anchors, agreed: Signed | None) -> list[Found]:
    """What was signed and was not kept in order, held to the stored hashes, which were found right."""
    found = []
    for one in anchors.late[:MAX_FOUND]:
        if frontier_root(one.size, await tree.frontier(reader, one.size)) != one.root:
            if agreed is not None and one.size <= agreed.size:
                found.append(fork(one, agreed))
            else:
                message = f"the tree of {one.size} records is not the signed one"
                found.append(_found("suffix_rewritten", "record", 0, one.size, message))
    return found


async def _unpublished(reader: Reader, walked: Sequence[Walked]) -> list[Found]:
    """What is kept outside, and not published: taken away, or never there, where the database was away just then."""
    sizes = [size for each in walked for size in each.unpublished][:MAX_FOUND]
    message = "a signed checkpoint of size {} is kept outside, and is not among those that are published"
    return [
        structs.replace(_found("deleted", "checkpoint", size, size, message.format(size)), altered=False)
        for size in sizes
        if not await reader.checkpoints(size - 1, size)
    ]


def _stranger(anchor: Anchor, basis: _Basis, found: Sequence[Found]) -> list[Found]:
    """The newest anchor, where it bears the log's name and the signature of no key that the records know."""
    try:
        anchor.newest()
    except KeyUnknown as error:
        if not any(one.part in ("record", "column") for one in found if one.altered):
            end = basis.extent.end
            return [_found("wrong_key", "key", end, end, str(error))]
    return []


def _retired(anchors: Anchors, basis: _Basis, found: Sequence[Found]) -> list[Found]:
    """`found`, and what is kept outside and was signed by a key of the log that was not its key at that size.

    Where the records that say so may be others, or in other places, it was its key's: what was signed there does not
    agree either.
    """
    naming = [index for _, index, _, _ in basis.authority.epochs]
    if not any(_reaches(one, index) for one in found for index in naming if one.altered):
        return [*found, *(_unlawful(size, why) for size, why in anchors.foreign.items())]
    return [_narrowed(one, anchors.foreign) if one.fault == "suffix_rewritten" else one for one in found]


def _unlawful(size: int, why: str) -> Found:
    return _found("wrong_key", "key", size, size, f"what is kept outside as the checkpoint of size {size}: {why}")


def _narrowed(found: Found, signed: Iterable[int]) -> Found:
    within = [size for size in signed if found.first < size < found.end]
    return structs.replace(found, end=min([found.end, *within]))


def _found(fault: Fault, part: Part, first: int, end: int, message: str) -> Found:
    return Found(fault=fault, part=part, first=first, end=end, message=message)


@implements("REQ-AUD-014")
def _report(basis: _Basis, anchored: int, found: Sequence[Found]) -> Report:
    origin, size = basis.authority.origin, basis.extent.end
    altered = sum(one.altered for one in found)
    if altered:
        code, words = 1, f"ALTERED OR BROKEN: {altered} finding(s) in the {size} records of {origin}"
    elif anchored == 0:
        code = 3
        words = f"consistent but unattested: {size} records of {origin}; no anchor vouches for any of them"
    elif anchored < size:
        code = 0
        words = f"valid up to the anchor at size {anchored}; the {size - anchored} records after it are consistent"
    else:
        code, words = 0, f"valid up to the anchor: all {size} records of {origin}"
    unpublished = sum(one.part == "checkpoint" and not one.altered for one in found)
    if unpublished:
        words += f"; {unpublished} checkpoint(s) that are kept outside are not published"
    steps_back = sum(one.fault == "time" for one in found)
    if steps_back:  # a corrected clock is to be explained, and is no alteration
        words += f"; the service's clock stepped back {steps_back} time(s)"
    return Report(exit_code=code, words=words, origin=origin, size=size, anchored=anchored, found=by_place(found))
