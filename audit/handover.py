"""Rotating the log's signing key: the old key endorses a new one in a record, signs its last tree, and is put away.

What a crash after each step leaves behind; doing it again finishes it:
  1. the next key is made            a key beside the one in use, which signs nothing yet
  2. the rotation is on record       every process signs with the next key from its next append on
  3. the tree that ends with it is   the same; without this step the record is still covered by the first checkpoint
     signed by the old key           of the new key, and its own signatures prove the endorsement
  4. the next key takes its place    done; the old key is gone, or kept under another name

Whoever runs this must have given the next key to every process beforehand: one without it takes no records from
step 2 on until it has it.
"""

import asyncio
from typing import Final

from msgspec import Struct

from audit import acceptance, checkpoint, merkle, note, record, rotation, succession, tree
from audit.errors import CallerBehind, LedgerUnavailable, SettingInvalid
from audit.keyring import KeyPlace
from audit.note import NoteSigner, Signer, Verifier
from audit.ports import Anchor, Clock, Head, Reader, Store
from audit.record import KeyRotated
from audit.rotation import Epoch, KeyHistory
from traceability.marks import implements

TRIES: Final = 5
PAUSE_S: Final = 0.2


class Log(Struct, frozen=True, kw_only=True):
    """The ledger whose key is rotated, as a process reaches it."""

    store: Store
    reader: Reader
    anchor: Anchor
    clock: Clock
    second: NoteSigner | None = None
    """The log's key of another kind, which signs besides, and is not rotated."""


class Rotated(Struct, frozen=True, kw_only=True):
    """What was done: the record at `index` ended `old`, which has signed `index` + 1 records."""

    index: int
    old: Verifier
    new: Verifier


@implements("REQ-KEY-002")
async def rotate(log: Log, keys: KeyPlace) -> Rotated:
    """The log's key is the next key when this returns, on record and on disk. A rotation that was begun is finished.

    The key that was in use is still there; `keys.install` removes it. Raises `SettingInvalid` where neither key at
    hand is the log's, and what `acceptance.accept` raises: then nothing is on record.
    """
    held = keys.held()
    if not held:
        raise SettingInvalid("signing key: none is there; `medai ledger init` makes one")
    accepted = await acceptance.accept(log.store, log.reader, log.anchor, held[0].verifier)
    history, head = accepted.keys, accepted.head
    if history.current.key == held[0].verifier:
        new = keys.prepare(history.origin)
        history = await _record(log, history, head, held[0], new)
    elif history.current.key not in [signer.verifier for signer in held[1:]]:
        raise SettingInvalid(
            f"signing key: the log's is {rotation.shown(history.current.key)}, which is neither the one in use here "
            "nor the next one; put it beside the one in use first"
        )
    ended, begun = history.epochs[-2:]
    await _sign_last(log, held[0], ended)
    return Rotated(index=begun.index, old=ended.key, new=begun.key)


async def _record(log: Log, history: KeyHistory, head: Head, old: Signer, new: Signer) -> KeyHistory:
    """The history with the rotation from `old` to `new`, which is on record when this returns."""
    entry = rotation.endorse(old, new, event_id=record.new_event_id(), recorded_at_us=log.clock.now_us())
    body = record.encode(entry)
    for left in reversed(range(TRIES)):
        try:
            return await _append(log, history, head, entry, body)
        except CallerBehind:
            later = await acceptance.extend(log.reader, head)
            history = (await succession.follow(log.reader, history, head.size, later.size)).history
            head = later
            if history.current.key == new.verifier:
                return history  # an earlier try became durable after all
            if history.current.key != old.verifier:
                raise SettingInvalid(
                    "signing key: another rotation came first; see `medai audit key --history`"
                ) from None
        except LedgerUnavailable:
            if left == 0:
                raise
            await asyncio.sleep(PAUSE_S)
    raise LedgerUnavailable("ledger: others write faster than this process can read what they wrote; try again")


async def _append(log: Log, history: KeyHistory, head: Head, entry: KeyRotated, body: bytes) -> KeyHistory:
    answer = await log.store.append(head.size, [record.event_uuid(entry)], [body])
    acceptance.check_append(head, [merkle.leaf_hash(body)], answer)
    return history.rotated(answer.first, entry)


async def _sign_last(log: Log, signer: Signer, ended: Epoch) -> None:
    """The last tree of the ended key is signed by it, published and anchored, as far as that key is at hand."""
    size = ended.upto
    assert size is not None
    if signer.verifier != ended.key or await log.reader.head_at(size) is None:
        return
    published = await log.reader.covering(size)
    if published is not None and published[0] == size:
        signed = published[1].decode()  # by an earlier try, or by a process that still had the key
    else:
        root = merkle.frontier_root(size, await tree.frontier(log.reader, size))
        text = checkpoint.format(checkpoint.Checkpoint(origin=signer.name, size=size, root=root))
        signed = note.sign(text, (signer,) if log.second is None else (signer, log.second))
    readiness = await log.store.ready()
    await asyncio.to_thread(
        log.anchor.put, signed, system_identifier=readiness.system_identifier, timeline=readiness.timeline
    )
    await log.store.publish(size, signed.encode())
