"""Verify a MedAI Flow receipt or saved answer: one file, Python 3.9 or newer, nothing else to install.

    python verifier.py --key VKEY FILE
    python verifier.py --policy POLICY FILE

FILE is a receipt (C2SP tlog-proof) or an answer of POST /infer saved as JSON. VKEY is the log's verifier
key, as text or as a file that holds it; POLICY is a file (C2SP tlog-policy) that names keys of logs, keys of
witnesses, and how many of those must have cosigned. Get either from somebody you trust, not from where FILE
came from. Exit codes: 0 included and signed, and witnessed if the policy asks; 1 altered or broken; 2 usage or
unreadable; 3 consistent but unattested.

This file shares no code with the service. It reads no network and writes no file. What it checks is written
down in C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy and tlog-proof, RFC 6962 (hashes), RFC
9162 (inclusion), RFC 8032 (Ed25519), FIPS 204 (ML-DSA-44, which outlives a quantum computer) and RFC 8785
(canonical JSON); the sections are named where they are used. Which records there are,
and what each may say, stands in the table `RECORDS`: whoever can write to the log's database, but cannot make
the service write, is not believed for anything outside of it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from typing import Any, NamedTuple

VALID, BROKEN, USAGE, UNATTESTED = 0, 1, 2, 3
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16
MAX_SAFE_INTEGER = 2**53 - 1  # RFC 8785 section 3.2.2.3
RECEIPT_HEADER = "c2sp.org/tlog-proof@v1"
ANSWER_FORMAT = "medai.answer/1"
RECORD_FORMAT = "medai.record/1"
MAX_RECORD_BYTES = 16 * 1024
RELEASED = (("method", "POST"), ("route", "/infer"), ("status", 200))
MEASURED = ("label", "probability_ppm", "threshold_ppm")
MAX_SIGNATURES = 100
MAX_LINES_OF_A_KIND = 128
ED25519, COSIGNATURE, ML_DSA_44 = 1, 4, 6  # C2SP signed-note, "Signature types"
KEY_BYTES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
LOG_KINDS, WITNESS_KINDS = (ED25519, ML_DSA_44), (COSIGNATURE, ML_DSA_44)
LIMITS = (
    "Not shown by any receipt: that the answer was delivered (a later record of kind outcome would say if not),",
    "that the signer shows everybody the same history (%s),",
    "or that the finding is medically right.",
)
UNWITNESSED = "nobody has witnessed it: compare checkpoints with others"
WITNESSED = "whoever trusts the same witnesses sees the same one"


class Broken(Exception):
    """The artefact is not what its signer made."""


class Unusable(Exception):
    """The arguments cannot be used."""


class Key(NamedTuple):
    """A verifier key: of a log, or of a witness."""

    name: str
    key_id: bytes
    kind: int
    public: bytes

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}"


class Policy(NamedTuple):
    """Who is trusted. `quorum` is the name of a witness or of a group of `groups`, or None."""

    logs: list[Key]
    witnesses: dict[str, Key]
    groups: dict[str, tuple[int, list[str]]]
    quorum: str | None


class Seen(NamedTuple):
    """What the signatures over a checkpoint say: the log's key, and the names of the witnesses that cosigned."""

    signer: Key | None
    witnesses: list[str]


# --- The verdict ---


# implements: REQ-AUD-004, REQ-AUD-005
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="verifier.py", description="Verify a receipt or a saved answer, offline.")
    parser.epilog = "Exit codes: 0 included and signed, and witnessed if asked, 1 altered or broken, 2 unreadable, "
    parser.epilog += "3 consistent but unattested."
    parser.add_argument("--key", action="append", default=[], metavar="VKEY", help="the log's key, or its file")
    parser.add_argument("--policy", metavar="POLICY", help="a file that names logs, witnesses and a quorum")
    parser.add_argument("file", metavar="FILE", help="a receipt, or an answer saved as JSON")
    arguments = parser.parse_args(argv)
    try:
        policy = read_policy(arguments.policy, arguments.key)
        artefact = read_file(arguments.file)
    except Unusable as error:
        say(f"CANNOT VERIFY (exit {USAGE}): {error}")
        return USAGE
    code, words = judge(artefact, policy)
    say(f"VERDICT (exit {code}): {words}")
    for limit in LIMITS if code == VALID else ():
        say("  " + (limit % (WITNESSED if policy.quorum else UNWITNESSED) if "%" in limit else limit))
    return code


# implements: REQ-AUD-004, REQ-AUD-017
def judge(artefact: bytes, policy: Policy) -> tuple[int, str]:
    """The exit code and its words, after printing each step."""
    try:
        if artefact.lstrip()[:1] == b"{":
            seen, words = verify_answer(artefact, policy)
        else:
            seen, words = verify_receipt(artefact.decode(), policy)[2:]
    except Broken as error:
        return BROKEN, f"ALTERED OR BROKEN: {error}."
    except UnicodeError:
        return BROKEN, "ALTERED OR BROKEN: not a text in UTF-8."
    if seen.signer is None:
        return UNATTESTED, "CONSISTENT BUT UNATTESTED: no key that you gave has signed; anybody could have made this."
    words += f" signed by {seen.signer}; {describe_witnesses(seen, policy)}"
    if policy.quorum is not None and not has_witnessed(policy.quorum, seen, policy):
        return UNATTESTED, f"CONSISTENT BUT UNATTESTED: {words}, but your policy asks for {describe_quorum(policy)}."
    return VALID, f"VALID: {words}."


def describe_witnesses(seen: Seen, policy: Policy) -> str:
    if not seen.witnesses:
        return "not witnessed"
    return f"witnessed by {', '.join(seen.witnesses)} ({len(seen.witnesses)} of {len(policy.witnesses)})"


def describe_quorum(policy: Policy) -> str:
    assert policy.quorum is not None
    if policy.quorum in policy.witnesses:
        return policy.quorum
    least, members = policy.groups[policy.quorum]
    return f"{least} of {', '.join(members)}"


def has_witnessed(name: str, seen: Seen, policy: Policy) -> bool:
    # C2SP tlog-policy, "Defining a witness group".
    if name in policy.witnesses:
        return name in seen.witnesses
    least, members = policy.groups[name]
    return sum(has_witnessed(member, seen, policy) for member in members) >= least


# implements: REQ-AUD-001
def verify_receipt(text: str, policy: Policy) -> tuple[int, bytes, Seen, str]:
    """(index, record, who signed, words). Steps of C2SP tlog-proof, "Verifying a tlog proof"."""
    index, path, checkpoint, record = parse_receipt(text)
    leaf = hashlib.sha256(b"\x00" + record).digest()  # RFC 6962 section 2.1
    kind = check_record(record)
    say(f"- The receipt carries record {index}, of kind {kind}. Its leaf hash, recomputed, is {leaf.hex()}.")
    if kind == "prediction":
        check_released(json.loads(record))
        say("- The record is of a finding that was to leave POST /infer with status 200, and the finding is coherent.")
    note_text, signatures = parse_note(checkpoint)
    seen = verify_signatures(note_text, signatures, policy)
    origin, size, root = parse_checkpoint(note_text)
    say(
        f"- The checkpoint of log {origin} says that it had {size} records; "
        + ("no key that you gave has signed it." if not seen.signer else f"the signature by {seen.signer} is valid.")
    )
    if policy.witnesses:
        say(f"- Of the witnesses that you named: {describe_witnesses(seen, policy)}.")
    verify_inclusion(leaf, index, size, path, root)
    say(f"- Folding the record with the {len(path)} hashes of its path gives the checkpoint's root: it is included.")
    return index, record, seen, f"record {index} is included in the tree of {size} records of {origin}"


# implements: REQ-AUD-002
def verify_answer(body: bytes, policy: Policy) -> tuple[Seen, str]:
    """(who signed, words)."""
    answer = parse_json(body)
    if not isinstance(answer, dict) or answer.get("format") != ANSWER_FORMAT:
        raise Broken(f"not an object whose format is {ANSWER_FORMAT}")
    ledger = answer.pop("ledger", None)
    if not isinstance(ledger, dict) or not isinstance(ledger.get("proof"), str):
        raise Broken("the answer has no ledger member with a proof, so there is nothing to verify")
    index, record, seen, words = verify_receipt(ledger["proof"], policy)
    same("ledger.index", ledger.get("index"), index)
    same("ledger.leaf_hash", ledger.get("leaf_hash"), hashlib.sha256(b"\x00" + record).hexdigest())
    say("- The ledger index and leaf hash in the answer are those of its receipt.")
    recorded = json.loads(record)
    if recorded["kind"] != "prediction":
        raise Broken(f"the record is of kind {recorded['kind']}, not a prediction: it is of another answer")
    for name in ("request_id", "correlation_id", "model", "finding", "input", "quality"):
        same(name, answer.get(name), recorded.get(name))
    say("- Model, finding, input, quality and ids in the answer are those in the record.")
    digest = hashlib.sha256(encode_json(answer)).hexdigest()
    same("the answer's SHA-256", digest, recorded.get("answer_sha256"))
    say(f"- The SHA-256 of the whole answer (canonical, without its ledger member) is the recorded one, {digest}.")
    return seen, f"this is the answer that was recorded; {words}"


def same(path: str, said: Any, recorded: Any) -> None:
    """Equal, member by member; a member that the record leaves out may be null in the answer."""
    if isinstance(recorded, dict) and isinstance(said, dict):
        for name in sorted(set(said) | set(recorded)):
            same(f"{path}.{name}", said.get(name), recorded.get(name))
    elif type(said) is not type(recorded) or said != recorded:
        raise Broken(f"{path} is {said!r:.100} in the answer, but the record proves {recorded!r:.100}")


# implements: REQ-AUD-003
def check_released(recorded: dict[str, Any]) -> None:
    """A finding is released by one route with one status, and what it decides follows from what it measured."""
    for name, released in RELEASED:
        if recorded[name] != released:
            raise Broken(f"the record's {name} is {recorded[name]!r}, but findings are released with {released!r} only")
    finding = recorded["finding"]
    decision, absent = finding["decision"], [name for name in MEASURED if name not in finding]
    if decision == "abstain":
        if absent not in ([], list(MEASURED)):
            raise Broken(f"the record's finding abstains without {absent[0]}, but with other measurements")
        if not finding["reasons"]:
            raise Broken("the record's finding abstains without a reason in finding.reasons")
    elif absent:
        raise Broken(f"the record's finding is {decision} without finding.{absent[0]}")
    elif (decision == "positive") != (finding["probability_ppm"] >= finding["threshold_ppm"]):
        raise Broken(
            f"the record's finding is {decision}, but its probability_ppm is {finding['probability_ppm']} "
            f"at a threshold_ppm of {finding['threshold_ppm']}"
        )


# --- C2SP tlog-proof, signed-note and tlog-checkpoint, RFC 9162 ---


def parse_receipt(text: str) -> tuple[int, list[bytes], str, bytes]:
    """(index, path, signed checkpoint, record). C2SP tlog-proof, "Format"."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if lines.pop(0) != RECEIPT_HEADER:
        raise Broken(f"neither an answer in JSON nor a receipt: the first line is not {RECEIPT_HEADER}")
    if not blank or not checkpoint:
        raise Broken("the receipt has no checkpoint after an empty line")
    if not lines or not lines[0].startswith("extra "):
        raise Broken("the receipt has no extra line, so there is no record to verify")
    record = decode_base64(lines.pop(0)[len("extra ") :], "the extra line")
    if not lines or not re.fullmatch("index (0|[1-9][0-9]{0,18})", lines[0]):
        raise Broken("the receipt has no line `index N` with a decimal without leading zeros")
    index = int(lines.pop(0)[len("index ") :])
    path = [decode_base64(line, "a hash of the path") for line in lines]
    if len(path) > 63 or any(len(value) != 32 for value in path):
        raise Broken("the path is not at most 63 hashes of 32 bytes")
    return index, path, checkpoint, record


def parse_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """(text, [(key name, key id, signature)]). C2SP signed-note, "Format"."""
    if any(char < " " and char != "\n" for char in note):
        raise Broken("the checkpoint holds a control character")
    head, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise Broken("the checkpoint is not a text, an empty line and signature lines, each ended by a newline")
    signatures = []
    for line in tail[:-1].split("\n"):
        dash, name, encoded = (*line.split(" ", 2), "", "")[:3]
        signature = decode_base64(encoded, "a signature")
        if dash != "\u2014" or not valid_name(name) or len(signature) < 5:
            raise Broken("a signature line is not an em dash, a key name and a signature")
        signatures.append((name, signature[:4], signature[4:]))
    if len(signatures) > MAX_SIGNATURES:
        raise Broken(f"the checkpoint has more than {MAX_SIGNATURES} signatures")
    return head + "\n", signatures


def verify_signatures(text: str, signatures: list[tuple[str, bytes, bytes]], policy: Policy) -> Seen:
    """Who of those that are known signed; others are passed over. C2SP signed-note, "Signatures"."""
    signed = set()
    for name, key_id, signature in dict.fromkeys(signatures):
        for key in [*policy.logs, *policy.witnesses.values()]:
            if (name, key_id) == key[:2]:
                if not verify_signature(key, text, signature):
                    raise Broken(f"the signature by {key} is not valid: text or signature was changed")
                signed.add(key)
    origin = text.split("\n")[0]
    signers = [key for key in policy.logs if key in signed]
    if signers and origin not in [key.name for key in signers]:
        raise Broken(f"the checkpoint is of the log {origin!r}, but was signed by {', '.join(map(str, signers))}")
    signer = next((key for key in signers if key.name == origin), None)
    return Seen(signer, [name for name, key in policy.witnesses.items() if key in signed])


def verify_signature(key: Key, text: str, signature: bytes) -> bool:
    if key.kind == ED25519:
        return ed25519_verify(key.public, text.encode("utf-8"), signature)
    # C2SP tlog-cosignature, "Format": a timestamp, then the signature over a message that holds it.
    timestamp, signature = signature[:8], signature[8:]
    time = int.from_bytes(timestamp, "big")
    if len(timestamp) != 8 or time >= 2**63:
        return False
    if key.kind == COSIGNATURE:
        return ed25519_verify(key.public, f"cosignature/v1\ntime {time}\n{text}".encode(), signature)
    # "ML-DSA-44 signed message": cosigner, time, origin, start, end and hash; no extension lines.
    origin, size, root = parse_checkpoint(text)
    name, log = key.name.encode("utf-8"), origin.encode("utf-8")
    if len(log) > 255:
        return False
    start, end = bytes(8), size.to_bytes(8, "big")
    message = bytes([len(name)]) + name + timestamp + bytes([len(log)]) + log + start + end + root
    return ml_dsa_verify(key.public, b"subtree/v1\n\0" + message, signature)


def parse_checkpoint(text: str) -> tuple[str, int, bytes]:
    """(origin, size, root). C2SP tlog-checkpoint, "Note text"."""
    lines = text.split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise Broken("the checkpoint is not an origin, a size and a root, each on a line")
    root = decode_base64(lines[2], "the checkpoint's root")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]) or int(lines[1]) >= 2**63 or len(root) != 32:
        raise Broken("the checkpoint's size is not a decimal, or its root not 32 bytes")
    return lines[0], int(lines[1]), root


def parse_key(vkey: str, kinds: tuple[int, ...] = LOG_KINDS) -> Key:
    """C2SP signed-note, "Verifier keys". Which kinds a log or a witness may have is for the caller to say."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        key = decode_base64(encoded, "it")
    except Broken as error:
        raise Unusable(f"not a verifier key: {error}; expected NAME+ID+BASE64 or a file that holds it") from error
    if not valid_name(name) or not key or key[0] not in kinds or len(key) != 1 + KEY_BYTES[key[0]]:
        raise Unusable("not a verifier key NAME+ID+BASE64 of a kind that is known here")
    if key[0] == ML_DSA_44:
        if len(name.encode("utf-8")) > 255:
            raise Unusable("not a verifier key: its name is too long for ML-DSA-44")
    elif int.from_bytes(key[1:], "little") & ((1 << 255) - 1) >= P:
        raise Unusable("not a verifier key: not the encoding of a point (RFC 8032 section 5.1.3)")
    if hashlib.sha256(name.encode("utf-8") + b"\n" + key).digest()[:4].hex() != key_id:
        raise Unusable("not a verifier key: its id is not that of its name and key; it was cut or changed")
    return Key(name, bytes.fromhex(key_id), key[0], key[1:])


def valid_name(name: str) -> bool:
    if any("\ud800" <= char <= "\udfff" for char in name):  # what is no UTF-8 in a policy
        return False
    return bool(name) and "+" not in name and not any(char.isspace() or char < " " for char in name)


def parse_policy(text: bytes) -> Policy:
    """C2SP tlog-policy, "Policy file syntax and structure": log, witness, group and quorum lines."""
    if re.search(rb"[^\t\n -~\x80-\xff]", text) or not text.endswith(b"\n"):
        raise Unusable("the policy holds a control character, or its last line does not end in a newline: was it cut?")
    policy = trusting([])
    members: set[str] = set()
    quorums: list[str] = []
    for at, line in enumerate(text.decode("utf-8", "surrogateescape").split("\n")[:-1], 1):
        kind, *items = re.findall("[^ \t]+", line) or ["#"]
        try:
            if kind == "log" and len(items) in (1, 2):
                policy.logs.append(new_key(items[0], LOG_KINDS, policy, policy.logs))
            elif kind == "witness" and len(items) in (2, 3):
                require_free(items[0], policy)
                key = new_key(items[1], WITNESS_KINDS, policy, list(policy.witnesses.values()))
                policy.witnesses[items[0]] = key
            elif kind == "group" and len(items) > 2:
                require_free(items[0], policy)
                add_group(items, members, policy)
            elif kind == "quorum" and len(items) == 1 and not quorums:
                require_known(items if items != ["none"] else [], policy)
                quorums.append(items[0])
            elif not kind.startswith("#"):
                raise Unusable("not a log, witness or group line, the one quorum line or a comment")
        except Unusable as error:
            raise Unusable(f"line {at} of the policy: {error}") from error
    if not quorums:
        raise Unusable("the policy has no quorum line; `quorum none` asks for no witness")
    return policy._replace(quorum=None if quorums[0] == "none" else quorums[0])


def trusting(logs: list[Key]) -> Policy:
    """A policy of nothing but keys of logs, of which any one suffices."""
    return Policy(logs, {}, {}, None)


def new_key(vkey: str, kinds: tuple[int, ...], policy: Policy, alike: list[Key]) -> Key:
    key = parse_key(vkey, kinds)
    if len(alike) == MAX_LINES_OF_A_KIND:
        raise Unusable(f"more than {MAX_LINES_OF_A_KIND} lines of a kind")
    if key.public in [other.public for other in alike]:
        raise Unusable("the same public key stands on a line above; under another name it is still the same")
    if key[:2] in [other[:2] for other in [*policy.logs, *policy.witnesses.values()]]:
        raise Unusable("a key with this name and id stands on a line above; no signature could tell them apart")
    return key


def add_group(items: list[str], members: set[str], policy: Policy) -> None:
    name, least, *named = items
    require_known(named, policy)
    if len(policy.groups) == MAX_LINES_OF_A_KIND:
        raise Unusable(f"more than {MAX_LINES_OF_A_KIND} groups")
    if len(set(named)) < len(named) or members & set(named):
        raise Unusable("a name is a member once in the whole file")
    members.update(named)
    count = {"all": str(len(named)), "any": "1"}.get(least, least)
    if not re.fullmatch("[1-9][0-9]{0,8}", count) or int(count) > len(named):
        raise Unusable(f"a group asks for all, any or a decimal from 1 to its {len(named)} members")
    policy.groups[name] = (int(count), named)


def require_free(name: str, policy: Policy) -> None:
    if name == "none" or name in policy.witnesses or name in policy.groups:
        raise Unusable(f"the name {name} is taken; witnesses and groups share one set of names")


def require_known(names: list[str], policy: Policy) -> None:
    for name in names:
        if name not in policy.witnesses and name not in policy.groups:
            raise Unusable(f"{name} is not the name of a witness or group on a line above")


def verify_inclusion(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> None:
    # RFC 9162 section 2.1.3.2.
    if index >= size:
        raise Broken(f"index {index} is not in a tree of {size} records")
    folded, position, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            raise Broken("the path has more hashes than the tree is high")
        if position & 1 or position == last:
            folded = hashlib.sha256(b"\x01" + sibling + folded).digest()
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            folded = hashlib.sha256(b"\x01" + folded + sibling).digest()
        position >>= 1
        last >>= 1
    if last != 0:
        raise Broken("the path has fewer hashes than the tree is high")
    if folded != root:
        raise Broken("the record is not in the signed tree: record, index, path or checkpoint was changed")


# --- JSON: RFC 8785, restricted so that one value has one encoding ---


def parse_json(body: bytes) -> Any:
    """A JSON text without floats, duplicate members or integers that JSON cannot carry, in any layout."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=members, parse_float=integer, parse_constant=integer, parse_int=integer
        )
    except (ValueError, RecursionError) as error:
        raise Broken("not JSON") from error
    check_value(value, MAX_DEPTH)
    return value


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Broken("a member stands twice in one JSON object")
    return dict(pairs)


def integer(digits: str) -> int:
    if not re.fullmatch("0|-?[1-9][0-9]{0,15}", digits) or abs(int(digits)) > MAX_SAFE_INTEGER:
        raise Broken(f"{digits[:32]} is not an integer within 2^53-1")
    return int(digits)


def check_value(value: Any, depth: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if depth == 0:
        raise Broken(f"JSON nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict) and not all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in value):
        raise Broken("a member name that is not [a-z][a-z0-9_]*")
    for item in value.values() if isinstance(value, dict) else value:
        check_value(item, depth - 1)


def encode_json(value: Any) -> bytes:
    """RFC 8785: on this subset Python's own encoder, sorted and without white space, writes its form."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Broken("a string holds half of a character (a lone surrogate)") from error


# --- The records of medai.record/1: a small schema language, the table, and what reads it ---
#
# A shape is one of the five classes, or a dict: an object with the members that it names and no others.
# A member whose name ends in "?" may be left out, and is never null; all others have to be there.


class Text(NamedTuple):
    pattern: str  # matched as a whole
    shortest: int  # in characters
    longest: int


class Number(NamedTuple):
    lowest: int
    highest: int


class OneOf(NamedTuple):
    words: tuple[str, ...]


class OrNull(NamedTuple):
    shape: Text


class ListOf(NamedTuple):
    item: Any
    most: int


COUNT = Number(0, MAX_SAFE_INTEGER)
PPM = Number(0, 1_000_000)
MILLI = Number(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
SHA256 = Text("[0-9a-f]{64}", 64, 64)
UUID = Text("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", 36, 36)
PSEUDONYM = Text("[a-z0-9_-]{1,32}:[0-9a-f]{64}", 66, 97)
NAME = Text("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", 1, 64)
CODE = Text("[a-z][a-z0-9_]{0,63}", 1, 64)
ORIGIN = Text(r"[^\x00-\x1f]+", 1, 256)
KEY = Text(r"[^+\x00-\x20]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}", 12, 396)
SIGNATURE = Text("[A-Za-z0-9+/]{86}==", 88, 88)

MODEL = {"name": NAME, "version": NAME, "sha256": SHA256}
FINDING = {
    "decision": OneOf(("positive", "negative", "abstain")), "reasons": ListOf(CODE, 16),
    "label?": NAME, "probability_ppm?": PPM, "threshold_ppm?": PPM,
}  # fmt: skip
WINDOW_USED = {
    "source": OneOf(("card", "file_window", "file_lut", "none")), "center_milli?": MILLI, "width_milli?": MILLI,
}  # fmt: skip
INPUT = {
    "media_type": OneOf(("application/dicom", "image/png", "image/jpeg")), "sha256": SHA256, "pixels_sha256": SHA256,
    "rows": COUNT, "columns": COUNT, "frame?": COUNT, "window": WINDOW_USED,
}  # fmt: skip
QUALITY = {"verdict": OneOf(("passed", "failed")), "contrast_ppm": PPM, "clipped_ppm": PPM}
SUBJECT = {"patient?": PSEUDONYM, "study?": PSEUDONYM}
CONTINUED = {
    "origin": ORIGIN, "verifier_key": KEY, "reason": OneOf(("truncated", "rewritten", "closed")), "size": COUNT,
    "root": SHA256, "anchored_size": COUNT, "anchored_root": SHA256, "lost_first": COUNT, "lost_end": COUNT,
    "signature?": SIGNATURE,
}  # fmt: skip
RUNTIME = {"name": NAME, "version": NAME, "provider": NAME, "optimization": CODE}
REQUEST = {
    "request_id": UUID,
    "correlation_id": Text("[0-9A-Za-z-]{26,36}", 26, 36),
    "traceparent?": Text("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", 55, 55),
    "method": Text("[A-Z]{1,16}", 1, 16),
    "route": Text("[A-Za-z0-9/{}_.<>:-]{1,96}", 1, 96),
    "status": Number(100, 599),
    "actor?": NAME, "peer": PSEUDONYM, "release": OrNull(SHA256),
}  # fmt: skip

# Every record has its kind, these members, and those that the table names for its kind.
EVERY_RECORD = {"format": OneOf((RECORD_FORMAT,)), "event_id": UUID, "recorded_at_us": COUNT}
RECORDS: dict[str, dict[str, Any]] = {
    "genesis": {
        "origin": ORIGIN, "verifier_key": KEY, "formats": ListOf(Text("[a-z0-9][a-z0-9._@/-]{0,63}", 1, 64), 16),
        "clock_tolerance_us": COUNT, "continues?": CONTINUED,
    },
    "key_rotated": {
        "origin": ORIGIN, "old_key": KEY, "new_key": KEY, "old_signature": SIGNATURE, "new_signature": SIGNATURE,
    },
    "prediction": {
        **REQUEST, "model": MODEL, "finding": FINDING, "input": INPUT, "quality": QUALITY, "subject?": SUBJECT,
        "runtime": RUNTIME, "answer_sha256": SHA256,
    },
    "request": {**REQUEST, "code?": CODE},
    "outcome": {
        "of_index": COUNT, "request_id": UUID, "bytes_sent": COUNT, "sha256?": SHA256,
        "outcome": OneOf(("client_gone", "answer_cut", "answer_replaced", "stream_complete", "stream_cut")),
    },
    "window": {
        "phase": OneOf(("opened", "closed")), "subject": OneOf(("public", "refusals")), "peer": PSEUDONYM,
        "minute_us": COUNT, "process_id": UUID, "opens_index?": COUNT, "count?": COUNT, "first_us?": COUNT,
        "last_us?": COUNT, "release": OrNull(SHA256),
    },
    "outage": {"process_id": UUID, "from_us": COUNT, "to_us": COUNT, "refused": COUNT},
    "service_started": {
        "process_id": UUID, "version": NAME, "commit": NAME, "release": OrNull(SHA256), "models": ListOf(MODEL, 32),
    },
    "service_stopped": {"process_id": UUID, "requests": COUNT},
    "release_activated": {
        "process_id": UUID, "release": SHA256, "version": NAME, "commit": NAME,
        "environment": OneOf(("development", "production")), "differences": COUNT, "signed_by": ListOf(SHA256, 16),
    },
    "administered": {
        "action": CODE, "actor": NAME, "vouched_by": OneOf(("entra", "system")), "object?": NAME,
    },
}  # fmt: skip


# implements: REQ-AUD-006
def check_record(record: bytes) -> str:
    """The kind of the record. It is in its schema, and canonical: then nobody can show its bytes in two ways."""
    if len(record) > MAX_RECORD_BYTES:
        raise Broken(f"the record has {len(record)} bytes, but a record has at most {MAX_RECORD_BYTES}")
    value = parse_json(record)
    if not isinstance(value, dict) or value.get("format") != RECORD_FORMAT:
        raise Broken(f"the extra line does not hold a record of format {RECORD_FORMAT}")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in RECORDS:
        raise Broken(f"the record's kind is not one of {', '.join(RECORDS)}")
    check_shape("", value, {"kind": OneOf((kind,)), **EVERY_RECORD, **RECORDS[kind]})
    if encode_json(value) != record:
        raise Broken("the record is not in canonical form (RFC 8785)")
    return kind


def check_shape(path: str, value: Any, shape: Any) -> None:
    """Returns nothing where the value is of the shape; else the member at fault is named, with its shape.

    Its value is not repeated: a member that holds what it must not may hold a patient's name.
    """
    if isinstance(shape, dict):
        check_object(path, value, shape)
    elif not admits(shape, value):
        raise Broken(f"the record's member {path} is not {describe(shape)}")
    elif isinstance(shape, ListOf):
        for at, item in enumerate(value):
            check_shape(f"{path}[{at}]", item, shape.item)


def admits(shape: Any, value: Any) -> bool:
    if isinstance(shape, Text):
        fits = isinstance(value, str) and shape.shortest <= len(value) <= shape.longest
        return fits and re.fullmatch(shape.pattern, value) is not None
    if isinstance(shape, Number):
        return type(value) is int and shape.lowest <= value <= shape.highest  # type(): True is an int, too
    if isinstance(shape, OneOf):
        return isinstance(value, str) and value in shape.words
    if isinstance(shape, OrNull):
        return value is None or admits(shape.shape, value)
    return isinstance(value, list) and len(value) <= shape.most


def describe(shape: Any) -> str:
    if isinstance(shape, Text):
        return f"a string of {shape.shortest} to {shape.longest} characters like {shape.pattern}"
    if isinstance(shape, Number):
        return f"an integer from {shape.lowest} to {shape.highest}"
    if isinstance(shape, OneOf):
        return f"one of {', '.join(shape.words)}"
    if isinstance(shape, OrNull):
        return f"null or {describe(shape.shape)}"
    return f"a list of at most {shape.most} items"


def check_object(path: str, value: Any, shape: dict[str, Any]) -> None:
    if not isinstance(value, dict):
        raise Broken(f"the record's member {path} is not an object")
    within = f"{path}." if path else ""
    known = {name.rstrip("?"): name for name in shape}
    for name in value:
        if name not in known:
            raise Broken(f"the record has a member {within + name:.120}, which {RECORD_FORMAT} does not know")
    for name, marked in known.items():
        if name in value:
            check_shape(within + name, value[name], shape[marked])
        elif name == marked:
            raise Broken(f"the record has no member {within}{name}, which {RECORD_FORMAT} requires")


# --- RFC 8032 section 5.1: Ed25519, verification only; slow, and that does not matter here ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


# implements: REQ-AUD-011
def ed25519_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    # Section 5.1.7. 1.: S is below the group's order, so that no signature has a second form.
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= L:
        return False
    key = decompress(public_key)
    if key is None:
        return False
    # 2.-3.: encode(S B - h A) must be R, byte for byte.
    scalar = int.from_bytes(signature[32:], "little")
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    h = int.from_bytes(digest, "little") % L
    negated = (P - key[0], key[1], 1, (P - key[0]) * key[1] % P)
    return compress(add(multiply(scalar, BASE), multiply(h, negated))) == signature[:32]


def decompress(encoded: bytes) -> tuple[int, int] | None:
    # Section 5.1.3: x^2 = (y^2 - 1) / (d y^2 + 1), its root with the sign bit.
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0 or (x == 0 and sign):
        return None
    return (P - x if x & 1 != sign else x), y


def add(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    # Section 5.1.4, extended homogeneous coordinates; complete, so that it doubles too.
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    product = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            product = add(product, point)
        point = add(point, point)
        scalar >>= 1
    return product


def compress(point: tuple[int, int, int, int]) -> bytes:
    x, y = (value * pow(point[2], P - 2, P) % P for value in point[:2])
    return int.to_bytes(y | (x & 1) << 255, 32, "little")


# --- FIPS 204: ML-DSA-44, verification only. "Algorithm" and "table" are those of the standard ---

Q = 8380417  # table 1, with the other parameters of ML-DSA-44
GAMMA1, GAMMA2 = 2**17, (Q - 1) // 88
TAU, BETA, OMEGA, ROWS, COLUMNS, DROPPED_BITS = 39, 78, 80, 4, 4, 13
HASH_BYTES = 32  # lambda / 4
ZETAS = [pow(1753, int(f"{at:08b}"[::-1], 2), Q) for at in range(256)]  # appendix B: zeta^BitRev8(k)


def ml_dsa_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    # Algorithm 3, with an empty context, and algorithm 8. Its decoding is algorithms 23 and 27.
    if len(public_key) != KEY_BYTES[ML_DSA_44] or len(signature) != HASH_BYTES + COLUMNS * 576 + OMEGA + ROWS:
        return False
    hashed, packed = signature[:HASH_BYTES], signature[HASH_BYTES : -OMEGA - ROWS]
    hints = unpack_hints(signature[-OMEGA - ROWS :])
    responses = [[GAMMA1 - value for value in unpack(packed[at : at + 576], 18)] for at in range(0, len(packed), 576)]
    if hints is None or any(abs(value) >= GAMMA1 - BETA for row in responses for value in row):
        return False
    transformed = [ntt(row) for row in responses]
    challenge = ntt(sample_challenge(hashed))
    digest = hashlib.shake_256(hashlib.shake_256(public_key).digest(64) + b"\0\0" + message).digest(64)
    encoded = b""
    for row in range(ROWS):
        high = unpack(public_key[32 + row * 320 : 352 + row * 320], 10)
        shifted = ntt([value << DROPPED_BITS for value in high])
        total = [-challenge[at] * shifted[at] for at in range(256)]
        for column in range(COLUMNS):
            matrix, response = sample_uniform(public_key[:32] + bytes([column, row])), transformed[column]
            total = [total[at] + matrix[at] * response[at] for at in range(256)]
        used = use_hints(hints[row], inverse_ntt(total))
        encoded += sum(value << 6 * at for at, value in enumerate(used)).to_bytes(192, "little")  # algorithm 28
    return hashlib.shake_256(digest + encoded).digest(HASH_BYTES) == hashed


def unpack(packed: bytes, bits: int) -> list[int]:
    """256 numbers of so many bits each, least significant first: algorithms 18 and 19."""
    whole = int.from_bytes(packed, "little")
    return [whole >> bits * at & (1 << bits) - 1 for at in range(256)]


def unpack_hints(packed: bytes) -> list[set[int]] | None:
    # Algorithm 21: positions in rising order, each row's end after those of the rows before, the rest zero.
    first, rows = 0, []
    for end in packed[OMEGA:]:
        row = packed[first:end]
        if not first <= end <= OMEGA or any(row[at] >= row[at + 1] for at in range(len(row) - 1)):
            return None
        rows.append(set(row))
        first = end
    return None if any(packed[first:OMEGA]) else rows


def sample_challenge(seed: bytes) -> list[int]:
    # Algorithm 29. 1024 bytes are far more than are drawn: 64 signs and on average less than 50 positions.
    drawn = iter(hashlib.shake_256(seed).digest(1024))
    signs = int.from_bytes(bytes(next(drawn) for _ in range(8)), "little")
    found = [0] * 256
    for at in range(256 - TAU, 256):
        position = next(value for value in drawn if value <= at)
        found[at], found[position] = found[position], 1 - 2 * (signs & 1)
        signs >>= 1
    return found


def sample_uniform(seed: bytes) -> list[int]:
    # Algorithm 30, with the 23 bits of algorithm 14. 2048 values hold 256 below Q with all but no exception.
    drawn = unpack_threes(hashlib.shake_128(seed).digest(6144))
    return [value for value in drawn if value < Q][:256]


def unpack_threes(drawn: bytes) -> list[int]:
    return [int.from_bytes(drawn[at : at + 3], "little") & 0x7FFFFF for at in range(0, len(drawn), 3)]


def ntt(polynomial: list[int]) -> list[int]:
    # Algorithm 41.
    values, at, length = list(polynomial), 0, 128
    while length:
        for start in range(0, 256, 2 * length):
            at += 1
            for j in range(start, start + length):
                turned = ZETAS[at] * values[j + length] % Q
                values[j + length], values[j] = values[j] - turned, values[j] + turned
        length //= 2
    return values


def inverse_ntt(transformed: list[int]) -> list[int]:
    # Algorithm 42.
    values, at, length = [value % Q for value in transformed], 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            at -= 1
            for j in range(start, start + length):
                above, below = values[j], values[j + length]
                values[j], values[j + length] = above + below, ZETAS[at] * (below - above) % Q
        length *= 2
    return [value * 8347681 % Q for value in values]


def use_hints(hinted: set[int], values: list[int]) -> list[int]:
    # Algorithm 40 over algorithm 36.
    found = []
    for at, value in enumerate(values):
        low = value % (2 * GAMMA2)
        low = low - 2 * GAMMA2 if low > GAMMA2 else low
        high, low = (0, low - 1) if value - low == Q - 1 else ((value - low) // (2 * GAMMA2), low)
        found.append((high + (1 if low > 0 else -1)) % 44 if at in hinted else high)
    return found


# --- Text in, text out ---


def decode_base64(text: str, what: str) -> bytes:
    """RFC 4648 section 4, in its one canonical form: no white space, exact padding, no stray bits."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Broken(f"{what} is not base64") from error
    if base64.b64encode(decoded).decode("ascii") != text:
        raise Broken(f"{what} is not the canonical base64 of its bytes")
    return decoded


def read_policy(path: str | None, given: list[str]) -> Policy:
    """What `--policy` names, with the log's keys from `--key` where it names none."""
    keys = [parse_key(read_key(text)) for text in given]
    policy = trusting([]) if path is None else parse_policy(read_file(path))
    if bool(keys) == bool(policy.logs):
        raise Unusable("give the log's key: with --key, or as a log line of the policy, and not as both")
    if len({key.public for key in keys}) != len(keys):
        raise Unusable("the same key was given twice")
    if {key[:2] for key in keys} & {key[:2] for key in policy.witnesses.values()}:
        raise Unusable("the log's key is a witness's of the policy: one signature would count as both")
    return policy._replace(logs=policy.logs or keys)


def read_key(argument: str) -> str:
    """A key given as it is, or the first line of the file of that name."""
    if argument.count("+") >= 2:
        return argument.strip()
    return read_file(argument).decode("utf-8", "replace").strip()


def read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unusable(f"{path!r} cannot be read: {error}") from error
    if len(body) > MAX_FILE_BYTES:
        raise Unusable(f"{path!r} is larger than {MAX_FILE_BYTES} bytes")
    return body


def say(words: str) -> None:  # implements: REQ-AUD-017
    """Print, without letting what is judged write to the terminal: all but plain characters are escaped."""
    print("".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in words))


if __name__ == "__main__":
    sys.exit(main())
