"""The signed checkpoints that a database publishes, with and without cosignatures: which of them the log did sign.

A ledger is held to them like to what is kept outside. They vouch for nothing: who rewrites the database can take them
away. What is stored beside them is worked out again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from audit import attestation, checkpoint, note
from audit.attestation import Adopted
from audit.authority import Authority
from audit.checkpoint import Checkpoint
from audit.claims import Signed
from audit.errors import AuditError, SignatureInvalid, VerificationFailed
from audit.ports import Cosigned, Reader
from traceability.marks import implements

PAGE: Final = 50
MAX_VERSIONS: Final = 1_000  # of one size, as the database numbers them

Wrong = Literal["damaged", "foreign", "policy", "attested", "version"]
"""Its bytes; its signer; its policy's text; what is stored as that policy's verdict; its number."""


class Unsigned(Struct, frozen=True, kw_only=True):
    """What is stored as a checkpoint of a size, and is none, or not as it is stored."""

    size: int
    wrong: Wrong
    why: str
    stated: Checkpoint | None = None
    """What it says, if it is in the form of a checkpoint."""


class Published(Struct, frozen=True, kw_only=True):
    """What the log signed, and what it did not."""

    signed: tuple[Signed, ...] = ()
    unsigned: tuple[Unsigned, ...] = ()


@implements("REQ-AUD-012")
async def within(reader: Reader, authority: Authority, first: int, end: int) -> Published:
    """All that is published of sizes in (first, end]."""
    plain = sorted_out(authority, await reader.checkpoints(first, end))
    found: list[Signed | Unsigned] = [*plain.signed, *plain.unsigned]
    twice = [size for size, times in Counter(one.size for one in plain.signed).items() if times > 1]
    found += [Unsigned(size=size, wrong="version", why="it is stored more than once") for size in twice]
    versions: dict[int, list[int]] = {}
    while page := await reader.cosigned(first, end, PAGE):
        size = page[-1].size
        if len(page) == PAGE and page[0].size > size:  # the last size may go on
            page = [one for one in page if one.size > size]
        elif len(page) == PAGE:
            page = await reader.cosigned(size - 1, size, MAX_VERSIONS)
        for one in page:
            versions.setdefault(one.size, []).append(one.version)
            found += _cosigned(authority, one)
        end = page[-1].size - 1
    for size, numbers in versions.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            found.append(Unsigned(size=size, wrong="version", why="its versions are not numbered from 1 on"))
    return _parted(found)


@implements("REQ-AUD-012")
def sorted_out(authority: Authority, published: Iterable[tuple[int, bytes]]) -> Published:
    """Which of what is published was signed by the log, and which was not."""
    return _parted([_opened(authority, size, signed) for size, signed in published])


def merged(kept: Sequence[Signed], published: Sequence[Signed]) -> list[Signed]:
    """Both, what agrees once."""
    return list({(one.size, one.root): one for one in (*published, *kept)}.values())


def _parted(found: Sequence[Signed | Unsigned]) -> Published:
    return Published(
        signed=tuple(one for one in found if isinstance(one, Signed)),
        unsigned=tuple(one for one in found if isinstance(one, Unsigned)),
    )


@lru_cache(maxsize=1_024)  # the walk, each window and the account at the end ask for the same
def _opened(authority: Authority, size: int, signed: bytes) -> Signed | Unsigned:
    try:
        stated = authority.open(signed)
    except AuditError as error:
        foreign = isinstance(error, VerificationFailed) and not isinstance(error, SignatureInvalid)
        wrong: Wrong = "foreign" if foreign else "damaged"
        return Unsigned(size=size, wrong=wrong, why=str(error), stated=_stated(signed))
    if stated.size != size:
        return Unsigned(size=size, wrong="damaged", why=f"it is of size {stated.size}", stated=stated)
    return Signed(size=size, root=stated.root, note=signed.decode())


def _stated(signed: bytes) -> Checkpoint | None:
    try:
        return checkpoint.parse(note.split(signed)[0])
    except AuditError:
        return None


@lru_cache(maxsize=1_024)
def _cosigned(authority: Authority, one: Cosigned) -> tuple[Signed | Unsigned, ...]:
    opened = _opened(authority, one.size, one.checkpoint)
    if isinstance(opened, Unsigned):
        return (opened,)
    if hashlib.sha256(one.policy).digest() != one.policy_sha256:
        return opened, Unsigned(size=one.size, wrong="policy", why="its policy is not the one of its digest")
    try:
        attested = attestation.judge(one.checkpoint, _adopted(authority, one.policy).policy).attested
    except AuditError as error:
        return opened, Unsigned(size=one.size, wrong="damaged", why=str(error))
    if attested is not one.attested:
        if not attested and note.open(one.checkpoint, authority.verifiers).unverified:
            why = "a signature that it was attested by is none that its policy knows"
            return opened, Unsigned(size=one.size, wrong="damaged", why=why)
        why = f"its policy says {'attested' if attested else 'not attested'}, what is stored is the contrary"
        return opened, Unsigned(size=one.size, wrong="attested", why=why)
    return (opened,)


@lru_cache(maxsize=8)
def _adopted(authority: Authority, policy: bytes) -> Adopted:
    return attestation.adopt(policy, authority.verifiers)
