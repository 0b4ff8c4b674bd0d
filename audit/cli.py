"""`medai audit verify | record` and `medai ledger init`: for auditors and operators.

Exit codes: 0 valid up to the anchor (or: included and signed); 1 altered or broken; 2 usage or unreadable;
3 consistent but unattested. Standard output carries the answer alone, standard error what went wrong.
"""

import argparse
import asyncio
import functools
import json
import os
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path

from audit import (
    anchors_configured,
    checkpoint,
    cli_artefact,
    command,
    cosignature,
    findings,
    genesis,
    note,
    receipt,
    signing,
    tree,
    verification,
    witnessed,
)
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.errors import SettingInvalid, Unattested
from audit.receipt import Policy
from audit.settings import ledger_settings, places, publish_settings
from audit.stretches import OpenReader
from audit.verification import Report


def verify(arguments: Sequence[str]) -> int:
    """`medai audit verify [--receipt F | --answer F]`: one artefact, or the whole database."""
    parser = argparse.ArgumentParser(
        prog="medai audit verify",
        description="Verify a receipt, a saved answer or, without either, the whole ledger in its database.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--receipt", type=Path, metavar="F", help="a saved receipt (C2SP tlog-proof)")
    what.add_argument("--answer", type=Path, metavar="F", help="a saved answer of POST /infer")
    parser.add_argument("--key", metavar="VKEY", help="the log's verifier key, or a file that holds it (default: ours)")
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="whom to trust: logs, witnesses and a quorum (C2SP tlog-policy)"
    )
    parser.add_argument("--chain", type=Path, metavar="F", help="for an artefact: the key history from --key on")
    parser.add_argument("--processes", type=int, metavar="N", help="to verify with (default: the cores)")
    parser.add_argument("--hashes-only", action="store_true", help="do not decode records nor compare search columns")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    options = parser.parse_args(arguments)
    if options.receipt is not None or options.answer is not None:
        return command.run(lambda: cli_artefact.verify(options))
    return command.run(lambda: _verify_database(options))


def record(arguments: Sequence[str]) -> int:
    """`medai audit record N`: one record and its proof."""
    parser = argparse.ArgumentParser(prog="medai audit record", description="Show one record and its proof.")
    parser.add_argument("index", type=int, metavar="N", help="the record's index, from 0")
    parser.add_argument("--receipt", action="store_true", help="print its receipt alone (C2SP tlog-proof)")
    options = parser.parse_args(arguments)
    return command.run(lambda: asyncio.run(_show(options.index, receipt_alone=options.receipt)))


def ledger_init(arguments: Sequence[str]) -> int:
    """`medai ledger init [--origin O]`: the signing key, where there is none, and record 0."""
    parser = argparse.ArgumentParser(prog="medai ledger init", description="Begin a ledger: its key and record 0.")
    parser.add_argument("--origin", help="the log's name, for ever (default: <host>/<random>)")
    parser.add_argument("--ml-dsa", action="store_true", help="also a second key, ML-DSA-44 (post-quantum)")
    options = parser.parse_args(arguments)
    return command.run(lambda: asyncio.run(_initialise(options.origin, ml_dsa=options.ml_dsa)))


# -- the whole database


def _verify_database(options: argparse.Namespace) -> int:
    if options.processes is not None and options.processes < 1:
        raise SettingInvalid("--processes: at least 1")
    where, settings = places(os.environ), ledger_settings(os.environ)
    policy = None if options.policy is None else cli_artefact.policy_of(options.policy, options.key)
    if not os.path.exists(where.anchors):  # Path's own raises where it may not look
        # Not an error: the ledger is then unattested, which is the verdict. But a wrong path looks just the same.
        sys.stderr.write(f"medai: no anchor folder at {where.anchors}: set MEDAI_ANCHOR_FOLDER\n")
    with command.database(where) as database:
        open_reader = functools.partial(command.open_reader, database.reader_url, settings)
        if policy is None:
            verifier = command.verifier_of(options.key)
        else:
            verifier = asyncio.run(witnessed.first_key(open_reader, policy))
        judging = _judged(
            verification.verify(
                open_reader,
                verifier,
                anchors_configured.together(where, publish_settings(os.environ), (verifier,), verifier.name),
                processes=options.processes,
                schema=not options.hashes_only,
            ),
            open_reader,
            policy,
        )
        report = asyncio.run(command.judged_with_schema(database.reader_url, settings, verifier.name, judging))
    if options.json:
        command.say(json.dumps({**_summary(report), "found": [findings.as_json(one) for one in report.found]}))
    else:
        for one in report.found[:20]:
            command.say(findings.as_text(one))
        if len(report.found) > 20:
            command.say(f"  ... and {len(report.found) - 20} more; --json lists them")
        command.say(report.words)
    return report.exit_code


async def _judged(verifying: Awaitable[Report], open_reader: OpenReader, policy: Policy | None) -> Report:
    report = await verifying
    return report if policy is None else await witnessed.judged(open_reader, report, policy)


def _summary(report: verification.Report) -> dict[str, object]:
    return {
        "exit_code": report.exit_code,
        "words": report.words,
        "origin": report.origin,
        "size": report.size,
        "anchored": report.anchored,
    }


# -- one record


async def _show(index: int, *, receipt_alone: bool) -> int:
    if index < 0:
        raise SettingInvalid("N: an index counts from 0")
    async with command.reading() as reader:
        stored = await reader.record(index)
        published = await reader.signed()
        proof = None
        if published is not None and index < published[0]:
            path = await tree.inclusion(reader, index, published[0])
            proof = receipt.format(
                receipt.Receipt(index=index, path=path, checkpoint=published[1].decode(), extra=stored.body)
            )
    if not receipt_alone:
        command.say(json.dumps(json.loads(stored.body), indent=2, ensure_ascii=False, sort_keys=True))
        command.say(f"leaf hash  {stored.leaf_hash.hex()}")
    if proof is None:
        raise Unattested(f"record {index}: no signed checkpoint covers it yet; the next is at most seconds away")
    if receipt_alone:
        sys.stdout.write(proof)
    else:
        signed = checkpoint.parse(note.split(receipt.parse(proof).checkpoint)[0])
        command.say(f"included in the tree of {signed.size} records, root {signed.root.hex()}")
        command.say(f"\n{proof}")
    return 0


# -- the beginning


async def _initialise(origin: str | None, *, ml_dsa: bool) -> int:
    where = places(os.environ)
    with command.signing_keys() as keys:
        held = keys.held()
    if not held:
        signer = signing.create(where.signing_key, origin or genesis.default_origin())
    elif origin is None or held[0].name == origin:
        signer = held[0]
    else:
        raise SettingInvalid(f"--origin: the signing key that is there belongs to {held[0].name}; name another file")
    if ml_dsa and not where.ml_dsa_key.exists():
        signing.create_cosigner(where.ml_dsa_key, signer.name, cosignature.ALGORITHM_ML_DSA_44)
    second = signing.load_second(where.ml_dsa_key, signer.name, required=where.ml_dsa_required)
    async with command.writing() as (store, reader):
        anchor = FolderAnchor(where.anchors, (signer.verifier,))
        if not ml_dsa or (await reader.head()).size == 0:
            await genesis.initialise(store, reader, signer, SystemClock(), anchor)
    command.say(f"ledger {signer.name} begun; its verifier key, to be handed to auditors on a second channel:")
    command.say(str(signer.verifier))
    if second is not None:
        command.say("and its second one, ML-DSA-44, which signs from the next start of the service on:")
        command.say(str(second.verifier))
    return 0
