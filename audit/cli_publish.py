"""`medai audit publish`: send the newest signed checkpoint to every anchor and witness, once, and say what came of it.

For a job beside the service, or instead of the service's own publisher. Exit codes: 0 every anchor holds it and the
policy is met; 1 somebody holds another history; 2 usage or unreadable; 3 an anchor or the quorum is still missing.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from audit import anchors_configured, attestation, command
from audit.attestation import Adopted
from audit.errors import LedgerForked, Unattested, VerificationFailed
from audit.publishing import Publisher, Term
from audit.publishing_anchors import AnchorKeeper, Signed, Source
from audit.publishing_witnesses import Asked
from audit.settings import places, publish_settings
from audit.silent import Unwatched

_LOOK_S: Final = 0.05
_PAUSE_S: Final = 0.5
_LATE: Final = "no answer within MEDAI_PUBLISH_DEADLINE_MS"
TRIES: Final = 3
"""Failures in a row after which an anchor or a witness is not waited for any longer."""


def publish(arguments: Sequence[str]) -> int:
    """`medai audit publish`."""
    parser = argparse.ArgumentParser(
        prog="medai audit publish", description="Send the newest signed checkpoint to every anchor and witness."
    )
    parser.add_argument("--key", metavar="VKEY", help="the log's verifier key, or a file (default: the signing key's)")
    options = parser.parse_args(arguments)
    return command.run(lambda: asyncio.run(_publish(options.key)))


async def _publish(given_key: str | None) -> int:
    where, knobs = places(os.environ), publish_settings(os.environ)
    key = command.verifier_of(given_key)
    anchors = anchors_configured.every(where, knobs, (key,), key.name)
    policy = anchors_configured.adopted(where, (key,))
    until = asyncio.get_running_loop().time() + knobs.deadline_ms / 1000
    async with command.writing() as (store, reader):
        source = Source(store, reader, key)
        made = anchors_configured.publisher(
            knobs, source=source, anchors=anchors, policy=policy, observer=Unwatched(), holder=uuid4(), forked=_unheard
        )
        assert made is not None, "the folder is always an anchor"
        newest = await source.newest()
        if newest is None:
            raise Unattested("ledger: no signed checkpoint is published yet; the service publishes one each second")
        if policy is not None:
            attestation.require_log(newest.note, policy)
        term = await _lease(made, until)
        if term is None:
            raise Unattested("publisher: another one leads, in the service or as a job: this one did nothing")
        await _lead(made, term, newest.size, until)
    return _say(made, newest, policy)


async def _lease(made: Publisher, until: float) -> Term | None:
    """The lease, as soon as it is to be had."""
    loop = asyncio.get_running_loop()
    while (term := await made.take()) is None and loop.time() + _PAUSE_S < until:  # noqa: ASYNC110  # it is another's
        await asyncio.sleep(_PAUSE_S)
    return term


async def _lead(made: Publisher, term: Term, size: int, until: float) -> None:
    """Until everybody has what they take of the checkpoint, or failed too often, or it takes too long."""
    loop = asyncio.get_running_loop()
    leading = asyncio.create_task(made.lead(term))
    try:
        while loop.time() < until and not leading.done() and not _is_settled(made, size):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_LOOK_S)
    finally:
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
        await made.release()


def _is_settled(made: Publisher, size: int) -> bool:
    everyone: list[AnchorKeeper | Asked] = [*made.anchors, *(made.collector.asked if made.collector else ())]
    if any(one.size < size and one.failures < TRIES for one in everyone):
        return False
    return made.collector is None or made.collector.nothing_due


def _say(made: Publisher, newest: Signed, policy: Adopted | None) -> int:
    command.say(f"checkpoint of {newest.size} records")
    missing = forked = False
    for anchor in made.anchors:
        held = anchor.size >= newest.size
        command.say(f"  {anchor.name}: {'holds it' if held else f'does not hold it: {anchor.fault or _LATE}'}")
        missing, forked = missing or not held, forked or isinstance(anchor.fault, LedgerForked | VerificationFailed)
    if made.collector is not None and policy is not None:
        for one in made.collector.asked:
            cosigned = one.size >= newest.size
            command.say(f"  witness {one.name}: {'cosigned' if cosigned else f'did not cosign: {one.fault or _LATE}'}")
            forked = forked or isinstance(one.fault, LedgerForked)
        met = made.collector.size >= newest.size
        missing = missing or (policy.policy.quorum is not None and not met)
        command.say(f"the policy's quorum is {'met' if met else 'not met' if policy.policy.quorum else 'none'}")
    else:
        command.say("no witness was asked: MEDAI_POLICY_FILE names none")
    return command.EXIT_ALTERED if forked else command.EXIT_UNATTESTED if missing else 0


def _unheard(_: str) -> None:
    """A fork is said at the end."""
