"""`medai audit key` and `medai ledger rotate-key`: the log's keys, how one followed the other, and the next one."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from audit import (
    anchors_configured,
    cli_logs,
    command,
    cosignature,
    handover,
    key_chain,
    receipt,
    rotation,
    signing,
    succession,
    tree,
)
from audit.acceptance import genesis_of
from audit.clock import SystemClock
from audit.errors import NotFound, SettingInvalid, Unattested
from audit.keyring import KeyFiles, KeyPlace
from audit.note import Verifier
from audit.ports import Reader
from audit.rotation import KeyHistory
from audit.settings import places, publish_settings


def key(arguments: Sequence[str]) -> int:
    """`medai audit key`: the log's verifier key as a C2SP vkey, alone on its line; or the log's whole key history."""
    parser = argparse.ArgumentParser(
        prog="medai audit key",
        description="Print the log's verifier key: what auditors are given on a second channel. The history is read "
        "from the ledger's records.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--history", action="store_true", help="every key, oldest first, and which records it covers")
    what.add_argument("--policy", action="store_true", help="a policy that trusts every key (C2SP tlog-policy)")
    what.add_argument("--chain", type=Path, metavar="F", help="write the history with its proofs to a file")
    what.add_argument("--check", type=Path, metavar="F", help="verify such a file, offline, from the key given")
    what.add_argument("--ml-dsa", action="store_true", help="the log's second key, ML-DSA-44, if it has one")
    parser.add_argument("--key", metavar="VKEY", help="with --check: a key that you trust, or a file that holds it")
    options = parser.parse_args(arguments)
    if options.check is not None:
        return command.run(lambda: _check(options.check, options.key))
    if options.history or options.policy or options.chain is not None:
        return command.run(lambda: asyncio.run(_history(options)))
    return command.run(lambda: command.say(str(_second() if options.ml_dsa else _first())))


def rotate(arguments: Sequence[str]) -> int:
    """`medai ledger rotate-key`: the next key takes over from the one in use."""
    parser = argparse.ArgumentParser(
        prog="medai ledger rotate-key",
        description="Rotate the log's signing key. Every process needs the next key first: --prepare makes it beside "
        "the one in use, for you to hand out; without it both is done at once, for processes that share the files.",
    )
    parser.add_argument("--prepare", action="store_true", help="make the next key and print its vkey, nothing else")
    parser.add_argument("--keep-retired", action="store_true", help="keep the retired key's file under another name")
    options = parser.parse_args(arguments)
    return command.run(_prepare if options.prepare else lambda: _rotate_now(keep=options.keep_retired))


def _first() -> Verifier:
    return command.own_verifier()


def _second() -> cosignature.Verifier:
    where = places(os.environ)
    second = signing.load_second(where.ml_dsa_key, _first().name, required=where.ml_dsa_required)
    if second is None:
        raise NotFound("signing key: the log has no second one; `medai ledger init --ml-dsa` makes one")
    return second.verifier


# -- the history


async def _history(options: argparse.Namespace) -> int:
    async with command.reading() as reader:
        genesis = await genesis_of(reader)
        found = await succession.read(reader, genesis, (await reader.head()).size)
        for refused in found.refused:
            sys.stderr.write(f"medai: rotates nothing: {refused.message}\n")
        if options.chain is not None:
            body = key_chain.encode(await _chain(reader, found.history))
    if options.chain is not None:
        options.chain.write_bytes(body)
        return command.say(f"{len(found.history.epochs)} keys of {found.history.origin} in {options.chain}")
    before = cli_logs.closed_before(genesis, places(os.environ).home)
    if options.policy:
        sys.stdout.write(key_chain.policy([found.history, *(history for history, _ in before)]) + "quorum none\n")
        return 0
    _say(found.history)
    for history, became in before:
        command.say(f"# {became}")
        _say(history)
    return 0


async def _chain(reader: Reader, history: KeyHistory) -> key_chain.KeyChain:
    receipts = [await _receipt(reader, epoch.index) for epoch in history.epochs[1:]]
    return key_chain.KeyChain(origin=history.origin, first_key=str(history.epochs[0].key), receipts=tuple(receipts))


async def _receipt(reader: Reader, index: int) -> str:
    """The receipt of record `index` by the first checkpoint that covers it: of a rotation, the old key's."""
    published = await reader.covering(index + 1)
    if published is None:
        raise Unattested(f"record {index}: no signed checkpoint covers it yet; the next is at most seconds away")
    stored, path = await reader.record(index), await tree.inclusion(reader, index, published[0])
    return receipt.format(receipt.Receipt(index=index, path=path, checkpoint=published[1].decode(), extra=stored.body))


def _check(path: Path, trusted: str | None) -> int:
    if trusted is None:
        raise SettingInvalid(
            "--check: give a key that you trust with --key VKEY; one from the same place proves nothing"
        )
    try:
        body = path.read_bytes()
    except OSError as error:
        raise SettingInvalid(f"{path}: cannot be read ({error.strerror})") from error
    return _say(key_chain.verify(key_chain.decode(body), command.verifier_of(trusted)))


def _say(history: KeyHistory) -> int:
    for line in key_chain.lines(history):
        command.say(line)
    return 0


# -- the rotation


def _prepare() -> int:
    with command.signing_keys() as keys:
        held = keys.held()
        if not held:
            raise NotFound("signing key: none is there; `medai ledger init` makes one")
        new = keys.prepare(held[0].name)
        next_place = keys.next_path if isinstance(keys, KeyFiles) else "the vault has it"
    sys.stderr.write(f"medai: {next_place}: give it to every process, then run `medai ledger rotate-key`\n")
    return command.say(str(new.verifier))


def _rotate_now(*, keep: bool) -> int:
    with command.signing_keys() as keys:
        return asyncio.run(_rotate(keys, keep=keep))


async def _rotate(keys: KeyPlace, *, keep: bool) -> int:
    where = places(os.environ)
    verifiers = tuple(signer.verifier for signer in keys.held())
    every = anchors_configured.every(where, publish_settings(os.environ), verifiers, _first().name)
    async with command.writing() as (store, reader):
        anchor = anchors_configured.Several(tuple(every.values()))
        second = signing.load_second(where.ml_dsa_key, _first().name, required=where.ml_dsa_required)
        log = handover.Log(store=store, reader=reader, anchor=anchor, clock=SystemClock(), second=second)
        rotated = await handover.rotate(log, keys)
    keys.install(keep=rotated.old.key_hash.hex() if keep else None)
    sys.stderr.write(
        f"medai: record {rotated.index} ends {rotation.shown(rotated.old)}, which has signed {rotated.index + 1} "
        "records; from the next on the log's key is the one below, to be handed to auditors on a second channel\n"
    )
    return command.say(str(rotated.new))
