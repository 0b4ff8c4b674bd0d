"""How far a verified ledger is witnessed: its stored checkpoints with cosignatures, held to a policy.

What the database's owner stored is no evidence of itself; a cosignature is, whoever keeps it. So the largest stored
checkpoint that meets the policy is looked for, and the ledger has to be the one that it was made of.
"""

from typing import Final

import msgspec
from msgspec import Struct

from audit import merkle, note, receipt, record, tree
from audit.checkpoint import MAX_SIZE
from audit.errors import AuditError, Malformed, NotFound, SettingInvalid, SignatureMissing, Unattested
from audit.ports import Cosigned, Reader
from audit.receipt import Opened, Policy
from audit.record import Genesis
from audit.stretches import OpenReader
from audit.verification import Report
from traceability.marks import implements

LOOKED_AT: Final = 1_000
"""Stored checkpoints, newest first. Where none of these meets the policy, none is expected to."""
PAGE: Final = 50


class _Looked(Struct, kw_only=True):
    """What was found: the largest that meets the policy, and why the largest of all does not."""

    met: Opened | None = None
    unmet: str = "no checkpoint with cosignatures is stored"
    false: str | None = None


@implements("REQ-PUB-010")
async def first_key(open_reader: OpenReader, policy: Policy) -> note.Verifier:
    """Which of the policy's log keys record 0 names; the first where it names none of them, which is then found out.

    Several are a log's key history, in any order. Raises `SettingInvalid` where none is an Ed25519 key, as the first
    key of a ledger is.
    """
    keys = [key for key in policy.logs if isinstance(key, note.Verifier)]
    if not keys:
        raise SettingInvalid("--policy: a ledger's first key is an Ed25519 one, and none of its log lines has one")
    reader = open_reader()
    try:
        genesis = record.decode((await reader.record(0)).body)
    except (NotFound, Malformed):
        return keys[0]
    finally:
        await reader.close()
    named = genesis.verifier_key if isinstance(genesis, Genesis) else ""
    return next((key for key in keys if str(key) == named), keys[0])


@implements("REQ-PUB-010")
async def judged(open_reader: OpenReader, report: Report, policy: Policy) -> Report:
    """The report on the whole ledger, and what the policy makes of it: 3 where a quorum is asked for and not met.

    Requires the report to be of this ledger. What was altered stays altered, whoever witnessed it.
    """
    if report.exit_code == 1:
        return report
    reader = open_reader()
    try:
        return await _judged(reader, report, policy)
    finally:
        await reader.close()


async def _judged(reader: Reader, report: Report, policy: Policy) -> Report:
    looked = await _look(reader, policy)
    if looked.false is not None:
        return _said(report, 1, f"ALTERED OR BROKEN: {looked.false}")
    if looked.met is None:
        code = report.exit_code if policy.quorum is None else 3
        return _said(report, code, f"{report.words}; {looked.unmet}")
    signed = looked.met.checkpoint
    if signed.size > report.size:
        words = (
            f"{report.size} records, but {signed.size} were witnessed: the last {signed.size - report.size} are missing"
        )
        return _said(report, 1, f"ALTERED OR BROKEN: {words}")
    root = merkle.frontier_root(signed.size, await tree.frontier(reader, signed.size))
    if root != signed.root:
        return _said(report, 1, f"ALTERED OR BROKEN: forked: another tree of size {signed.size} was witnessed")
    words = f"{receipt.witnessed(policy, looked.met)} up to size {signed.size}"
    if policy.quorum is None:
        return _said(report, report.exit_code, f"{report.words}; {words}")
    # Where no anchor vouches for the ledger, its witnesses do.
    return _said(report, 0, f"{report.words}; {words}, as the policy asks")


async def _look(reader: Reader, policy: Policy) -> _Looked:
    looked, end, count = _Looked(), MAX_SIZE, 0
    while count < LOOKED_AT:
        page = await reader.cosigned(0, end, PAGE)
        for cosigned in page:
            first = count == 0
            count += 1
            if _judge(cosigned, policy, looked, first=first):
                return looked
        # Versions of one size may be more than a page; the next one begins below the last size that was seen.
        if len(page) < PAGE or page[-1].size <= 1:
            break
        end = page[-1].size - 1
    return looked


def _judge(cosigned: Cosigned, policy: Policy, looked: _Looked, *, first: bool) -> bool:
    """Whether looking can end."""
    try:
        opened = receipt.open_checkpoint(cosigned.checkpoint, policy)
        receipt.require_quorum(policy, opened)
    except (Unattested, SignatureMissing) as error:
        if first:
            looked.unmet = f"the largest with cosignatures, of size {cosigned.size}: {error}"
        return False
    except AuditError as error:
        looked.false = f"the stored checkpoint of size {cosigned.size}: {error}"
        return True
    looked.met = opened
    return True


def _said(report: Report, exit_code: int, words: str) -> Report:
    return msgspec.structs.replace(report, exit_code=exit_code, words=words)
