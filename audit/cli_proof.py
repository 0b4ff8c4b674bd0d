"""`medai audit proof N`: a record's receipt, upgraded to the newest checkpoint that the policy's witnesses cosigned.

The receipt that came with an answer says that the log signed it. This one says besides that witnesses saw the same
log. Exit code 3 where no checkpoint that meets the policy covers the record yet.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit import attestation, cli_artefact, command, receipt, tree
from audit.checkpoint import MAX_SIZE
from audit.errors import Altered, InclusionInvalid, Malformed, SettingInvalid, Unattested, VerificationFailed
from audit.ports import Reader, Stored
from audit.receipt import Policy, Receipt
from audit.settings import places

PAGE: Final = 50
LOOKED_AT: Final = 1_000
"""Stored checkpoints with cosignatures, newest first. Where none of these meets the policy, none is expected to."""


def proof(arguments: Sequence[str]) -> int:
    """`medai audit proof N [--policy FILE]`: prints the receipt (C2SP tlog-proof), alone."""
    parser = argparse.ArgumentParser(
        prog="medai audit proof", description="Print a record's receipt against the newest checkpoint with a quorum."
    )
    parser.add_argument("index", type=int, metavar="N", help="the record's index, from 0")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="the policy (default: MEDAI_POLICY_FILE)")
    parser.add_argument("--key", metavar="VKEY", help="the log's verifier key, where the policy names no log")
    options = parser.parse_args(arguments)
    return command.run(lambda: asyncio.run(_proof(options)))


async def _proof(options: argparse.Namespace) -> int:
    if options.index < 0:
        raise SettingInvalid("N: an index counts from 0")
    path = options.policy or places(os.environ).policy_file
    if path is None:
        raise SettingInvalid("--policy: whose cosignatures count? Name a policy file, or set MEDAI_POLICY_FILE")
    policy = cli_artefact.policy_of(path, options.key)
    if policy.quorum is None:
        raise SettingInvalid("--policy: it asks for no witness; `medai audit record N --receipt` is what it asks for")
    async with command.reading() as reader:
        sys.stdout.write(await upgraded(reader, await reader.record(options.index), policy))
    return 0


async def upgraded(reader: Reader, stored: Stored, policy: Policy) -> str:
    """The receipt of `stored` against the newest checkpoint that meets `policy`, verified.

    Raises `Unattested` where none does that covers the record, `Altered` where the database is not consistent with it.
    """
    signed, size = await _newest(reader, stored.index, policy)
    made = Receipt(
        index=stored.index,
        path=await tree.inclusion(reader, stored.index, size),
        checkpoint=signed,
        extra=stored.body,
    )
    try:
        receipt.verify(made, policy)
    except InclusionInvalid as error:
        raise Altered(f"record {stored.index}: not in the tree of {size} that was cosigned: {error}") from error
    return receipt.format(made)


async def _newest(reader: Reader, index: int, policy: Policy) -> tuple[str, int]:
    """The newest checkpoint that meets the policy, and its size."""
    end, looked = MAX_SIZE, 0
    unmet = "no checkpoint with cosignatures is stored"
    while looked < LOOKED_AT:
        page = await reader.cosigned(index, end, PAGE)
        for cosigned in page:
            try:
                judged = attestation.judge(cosigned.checkpoint, policy)
            except (VerificationFailed, Malformed) as error:  # `medai audit verify` is for finding out why
                unmet = str(error)
                continue
            if judged.attested:
                return cosigned.checkpoint.decode(), judged.checkpoint.size
            unmet = f"the newest that covers it, of size {cosigned.size}, is {judged.words}" if not looked else unmet
        looked += len(page)
        if len(page) < PAGE:
            break
        end = page[-1].size - 1
    raise Unattested(f"record {index}: not witnessed yet: {unmet}")
