"""Receipts (C2SP tlog-proof): a record, its place in the log, and the signed checkpoint that covers it.

    c2sp.org/tlog-proof@v1
    extra BASE64 of the record
    index N
    BASE64 of a sibling hash, one a line, the leaf's first
    (an empty line)
    the signed checkpoint, verbatim

Receipts are verified offline, against nothing but a policy: which keys the verifier trusts.
"""

import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from audit import checkpoint as checkpoints
from audit import cosignature, merkle, note
from audit.checkpoint import MAX_SIZE, Checkpoint
from audit.errors import Malformed, SettingInvalid, SignatureMissing, Unattested, VerificationFailed
from traceability.marks import implements

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PATH: Final = 63  # a tree of at most MAX_SIZE leaves is 63 levels high
MAX_RECEIPT_BYTES: Final = 2 * 1024 * 1024

_decimal = re.compile("0|[1-9][0-9]{0,18}").fullmatch


class Receipt(Struct, frozen=True, kw_only=True):
    """A receipt as it is written; nothing in it is verified. `checkpoint` is the signed note, verbatim."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


class Witness(Struct, frozen=True, kw_only=True):
    """A witness that a policy knows. `name` has no meaning outside of the policy; the key's own name has."""

    name: str
    key: cosignature.Verifier
    url: str | None = None


class Group(Struct, frozen=True, kw_only=True):
    """Witnessed where at least `threshold` of its members are; a group may hold groups."""

    name: str
    threshold: int
    members: tuple["Witness | Group", ...]


class Policy(Struct, frozen=True, kw_only=True):
    """What a verifier trusts: any one of the logs' keys, and a quorum of witnesses that must have cosigned.

    A log's checkpoints bear its key's name as their origin, unless `origin` says what they bear. Without a
    quorum nobody has to have cosigned. `audit.policy` reads one from a file (C2SP tlog-policy).
    """

    logs: tuple[note.NoteVerifier, ...]
    origin: str | None = None
    witnesses: tuple[Witness, ...] = ()
    quorum: Witness | Group | None = None


class Opened(Struct, frozen=True, kw_only=True):
    """A checkpoint, the log key whose signature over it was verified, and the witnesses whose cosignatures were."""

    checkpoint: Checkpoint
    signed_by: str
    witnessed_by: tuple[Witness, ...] = ()


@implements("REQ-LED-012")
def format(receipt: Receipt) -> str:  # noqa: A001  # read as receipt.format
    """The text of `receipt`: `parse(format(r)) == r`. Raises `Malformed` where it has none."""
    _require_members(receipt)
    extra = "" if receipt.extra is None else f"extra {_line(receipt.extra)}"
    path = b"".join(map(binascii.b2a_base64, receipt.path)).decode("ascii")  # a line each
    return f"{HEADER}\n{extra}index {receipt.index}\n{path}\n{receipt.checkpoint}"


@implements("REQ-LED-012")
def parse(text: str | bytes) -> Receipt:
    """The receipt whose text this is. Raises `Malformed` otherwise; the checkpoint is not looked into."""
    if not isinstance(text, str | bytes):
        raise Malformed("receipt: expected a text, or its bytes")
    if len(text) > MAX_RECEIPT_BYTES:
        raise Malformed(f"receipt: at most {MAX_RECEIPT_BYTES} bytes")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("receipt: not UTF-8") from error
    head, blank, checkpoint = text.partition("\n\n")
    if not blank or not checkpoint:
        raise Malformed("receipt: expected an empty line and a checkpoint after the proof")
    header, *lines = head.split("\n")
    if header != HEADER:
        raise Malformed(f"receipt: its first line is not {HEADER}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = note.decode_base64(lines.pop(0).removeprefix("extra "), "receipt: the extra line")
        if not extra:
            raise Malformed("receipt: an extra line without data")
    index = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    if _decimal(index) is None:
        raise Malformed("receipt: expected the line `index N`, N a decimal without leading zeros")
    path = tuple(note.decode_base64(line, "receipt: a hash of the path") for line in lines)
    _require_path(path)
    return Receipt(index=int(index), path=path, checkpoint=checkpoint, extra=extra)


def verify(proof: Receipt | str | bytes, policy: Policy) -> None:
    """The receipt's record is in the log: at its index, in the tree that a trusted key signed.

    The steps are those of C2SP tlog-proof, "Verifying a tlog proof". Raises `Malformed` for what is not a
    receipt with a record, `SignatureInvalid` and `SignatureMissing` for the checkpoint, `InclusionInvalid`
    for the proof, `VerificationFailed` for another log's checkpoint, `Unattested` for a quorum not met, and
    `SettingInvalid` for what is no policy.
    """
    receipt = proof if isinstance(proof, Receipt) else parse(proof)
    _require_members(receipt)
    # 1. The leaf is recomputed from the record that the receipt carries.
    leaf = leaf_of(receipt)
    # 2. Size and root come from the signed checkpoint only.
    opened = open_checkpoint(receipt.checkpoint, policy)
    # 3. Witnesses.
    require_quorum(policy, opened)
    # 4. The leaf is in that tree.
    require_included(receipt, leaf, opened.checkpoint)


def leaf_of(receipt: Receipt) -> bytes:
    """The leaf hash of the record in the receipt's extra line."""
    if receipt.extra is None:
        raise Malformed("receipt: no extra line, so there is no record to verify")
    return merkle.leaf_hash(receipt.extra)


def open_checkpoint(signed: str | bytes, policy: Policy) -> Opened:
    """The checkpoint, signed by a log key of the policy and of that key's log, with who cosigned it.

    Every signature by a known key is verified: one that is not valid, also a witness's, makes it no checkpoint
    at all. Whether enough have cosigned is for `require_quorum` to say.
    """
    _require_distinct(policy)
    opened = note.open(signed, [*policy.logs, *(witness.key for witness in policy.witnesses)])
    verified = {(signature.name, signature.key_id) for signature in opened.verified}
    signers = [log for log in policy.logs if (log.name, log.key_hash) in verified]
    if not signers:
        raise SignatureMissing("checkpoint: no signature by any of the log keys that were given")
    witnessed_by = tuple(one for one in policy.witnesses if (one.key.name, one.key.key_hash) in verified)
    checkpoint = checkpoints.parse(opened.text)
    for log in signers:
        if checkpoint.origin == (log.name if policy.origin is None else policy.origin):
            signed_by = f"{log.name}+{log.key_hash.hex()}"
            return Opened(checkpoint=checkpoint, signed_by=signed_by, witnessed_by=witnessed_by)
    wanted = policy.origin or " or ".join(log.name for log in signers)
    raise VerificationFailed(f"checkpoint: of the log {checkpoint.origin}, expected {wanted}")


def require_quorum(policy: Policy, opened: Opened) -> None:
    """Returns where the witnesses that cosigned are as many as the policy asks for. Raises `Unattested`."""
    if policy.quorum is not None and not _witnessed(policy.quorum, frozenset(opened.witnessed_by)):
        raise Unattested(f"checkpoint: {witnessed(policy, opened)}; {_asked(policy.quorum)}")


def witnessed(policy: Policy, opened: Opened) -> str:
    """In words, who cosigned: `witnessed by W1, W2 (2 of 3)`, of those that the policy knows."""
    if not opened.witnessed_by:
        return "not witnessed"
    names = ", ".join(shown(one.name) for one in opened.witnessed_by)
    return f"witnessed by {names} ({len(opened.witnessed_by)} of {len(policy.witnesses)})"


def shown(name: str) -> str:
    """A name of a policy, which may be any bytes, as what can be printed."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)


def _witnessed(wanted: Witness | Group, by: frozenset[Witness]) -> bool:
    # C2SP tlog-policy, "Defining a witness group". A witness is itself wherever it stands, so it counts once a group.
    if isinstance(wanted, Witness):
        return wanted in by
    return sum(_witnessed(member, by) for member in set(wanted.members)) >= wanted.threshold


def _asked(wanted: Witness | Group) -> str:
    if isinstance(wanted, Witness):
        return f"the policy asks for {shown(wanted.name)}"
    members = ", ".join(shown(member.name) for member in wanted.members)
    return f"the policy asks for {wanted.threshold} of {members}"


def _require_distinct(policy: Policy) -> None:
    """C2SP tlog-policy: keys are duplicate that wrap the same public key, whatever their names.

    One who cosigns must not count as two; the Ed25519 message does not even say under which name.
    """
    _require_policy(policy)
    for what, keys in (("log", policy.logs), ("witness", tuple(witness.key for witness in policy.witnesses))):
        seen = set()
        for key in keys:
            if key.public_key in seen:
                raise SettingInvalid(f"policy: the {what} key of {key.name}+{key.key_hash.hex()} was given twice")
            seen.add(key.public_key)
    named = list(_all_of(policy.quorum))
    if not set(named) <= set(policy.witnesses):
        raise SettingInvalid("policy: its quorum names a witness that is not one of its witnesses")
    if len(set(named)) != len(named):
        raise SettingInvalid("policy: a witness is a member once in the whole policy, or it would count as two")


def _require_policy(policy: Policy) -> None:
    if not isinstance(policy, Policy):
        raise SettingInvalid("policy: expected a Policy")
    note.require_verifiers(policy.logs)
    if not isinstance(policy.witnesses, tuple) or not all(isinstance(one, Witness) for one in policy.witnesses):
        raise SettingInvalid("policy: expected its witnesses as a tuple of them")
    note.require_verifiers(one.key for one in policy.witnesses)
    if not isinstance(policy.quorum, Witness | Group | None) or not isinstance(policy.origin, str | None):
        raise SettingInvalid("policy: its quorum is a witness or a group, its origin a name, or there is none")


def _all_of(wanted: Witness | Group | None) -> Iterator[Witness]:
    """The witnesses of a quorum, each as often as it stands there. Raises `SettingInvalid` for what is no group."""
    if isinstance(wanted, Witness):
        yield wanted
    elif isinstance(wanted, Group):
        if not isinstance(wanted.members, tuple) or type(wanted.threshold) is not int:
            raise SettingInvalid("policy: a group has a tuple of members, and an integer as its threshold")
        # A threshold of none would be met by nobody.
        if not 1 <= wanted.threshold <= len(wanted.members):
            raise SettingInvalid(f"policy: a group's threshold is from 1 to its {len(wanted.members)} members")
        for member in wanted.members:
            yield from _all_of(member)
    elif wanted is not None:
        raise SettingInvalid("policy: a group's members are witnesses and groups")


def require_included(receipt: Receipt, leaf: bytes, checkpoint: Checkpoint) -> None:
    merkle.verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.path, checkpoint.root)


def _require_members(receipt: Receipt) -> None:
    """Raises `Malformed` for a receipt that could not be written."""
    if not isinstance(receipt, Receipt) or type(receipt.index) is not int or not 0 <= receipt.index < MAX_SIZE:
        raise Malformed(f"receipt: an index from 0 to {MAX_SIZE - 1}")
    _require_path(receipt.path)
    if not isinstance(receipt.checkpoint, str) or not receipt.checkpoint:
        raise Malformed("receipt: a checkpoint is a text, and not empty")
    if receipt.extra is not None and (not isinstance(receipt.extra, bytes) or not receipt.extra):
        raise Malformed("receipt: extra data are bytes; where there are none they are left out (None)")


def _require_path(path: Sequence[bytes]) -> None:
    is_path = isinstance(path, list | tuple) and set(map(type, path)) <= {bytes}
    if not is_path or len(path) > MAX_PATH or not set(map(len, path)) <= {merkle.HASH_BYTES}:
        raise Malformed(f"receipt: a path has at most {MAX_PATH} hashes of {merkle.HASH_BYTES} bytes")


def _line(value: bytes) -> str:
    return binascii.b2a_base64(value).decode("ascii")
