"""What a policy says of a checkpoint with cosignatures: attested, or not.

Attested is a checkpoint that the log signed and that as many witnesses cosigned as the policy asks for, where it asks
for any. The verdict is stored with the policy's text beside it, so that it can be worked out again.

Pure.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from audit import note, policy, receipt
from audit.checkpoint import Checkpoint
from audit.errors import SettingInvalid, Unattested, VerificationFailed
from audit.receipt import Policy
from traceability.marks import implements

MAX_POLICY_BYTES = 262_144  # what the database takes


Served = Literal["attested", "signed"]
"""Which checkpoint a log serves: the largest that met its policy, or where no witness is asked for any more, the
largest that it signed: what met a policy once would otherwise be served for ever."""


class Adopted(Struct, frozen=True, kw_only=True):
    """A policy of ours, and its text, by which others can judge the same again."""

    text: bytes
    policy: Policy


class Judged(Struct, frozen=True, kw_only=True):
    """A checkpoint with what the policy says of it; `words` say who cosigned."""

    checkpoint: Checkpoint
    attested: bool
    words: str


@implements("REQ-PUB-007")
def adopt(text: bytes, logs: Sequence[note.NoteVerifier]) -> Adopted:
    """The policy of `text` for the log of these keys. Raises `Malformed`, or `SettingInvalid` where it is another's.

    C2SP tlog-policy allows a policy without logs, where they are known from elsewhere: then they are `logs`. One that
    names any is taken at its word: it may want the log's second key, or keys that were retired.
    """
    if len(text) > MAX_POLICY_BYTES:
        raise SettingInvalid(f"policy: {len(text)} bytes, at most {MAX_POLICY_BYTES}")
    parsed = policy.parse(text)
    if not parsed.logs:
        parsed = msgspec.structs.replace(parsed, logs=tuple(logs))
    elif not {log.name for log in logs} & {log.name for log in parsed.logs}:
        raise SettingInvalid(f"policy: none of its logs is this one; add the line `log {logs[-1]}`")
    return Adopted(text=text, policy=parsed)


@implements("REQ-PUB-007")
def require_log(signed: str | bytes, adopted: Adopted) -> None:
    """A key of the policy's logs signed this checkpoint of ours. Raises `SettingInvalid` where none did: then no
    cosignature would ever make it meet that policy."""
    try:
        judge(signed, adopted.policy)
    except VerificationFailed as error:
        raise SettingInvalid(f"policy: the log's checkpoint is not one of its logs': {error}") from error


@implements("REQ-PUB-007")
def judge(signed: str | bytes, adopted: Policy) -> Judged:
    """Raises what `receipt.open_checkpoint` raises where this is no checkpoint that the log signed."""
    opened = receipt.open_checkpoint(signed, adopted)
    words = receipt.witnessed(adopted, opened)
    try:
        receipt.require_quorum(adopted, opened)
    except Unattested as error:
        return Judged(checkpoint=opened.checkpoint, attested=False, words=str(error).removeprefix("checkpoint: "))
    return Judged(checkpoint=opened.checkpoint, attested=adopted.quorum is not None, words=words)
