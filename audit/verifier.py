"""Verify a MedAI Flow receipt or saved answer: one file, Python 3.9 or newer, nothing else to install.

    python verifier.py --key VKEY FILE

FILE is a receipt (C2SP tlog-proof) or an answer of POST /infer saved as JSON. VKEY is the log's verifier
key, as text or as a file that holds it; get it from somebody you trust, not from where FILE came from.
Exit codes: 0 included and signed; 1 altered or broken; 2 usage or unreadable; 3 consistent but unattested.

This file shares no code with the service. It reads no network and writes no file. What it checks is written
down in C2SP signed-note, tlog-checkpoint and tlog-proof, RFC 6962 (hashes), RFC 9162 (inclusion), RFC 8032
(Ed25519) and RFC 8785 (canonical JSON); the sections are named where they are used. Which records there are,
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
LIMITS = (
    "Not shown by any receipt: that the answer was delivered (a later record of kind outcome would say if not),",
    "that the signer shows others the same history (nobody has witnessed it: compare checkpoints with others),",
    "or that the finding is medically right.",
)


class Broken(Exception):
    """The artefact is not what its signer made."""


class Unusable(Exception):
    """The arguments cannot be used."""


# --- The verdict ---


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="verifier.py", description="Verify a receipt or a saved answer, offline.")
    parser.epilog = "Exit codes: 0 included and signed, 1 altered or broken, 2 unreadable, 3 consistent but unattested."
    parser.add_argument("--key", action="append", required=True, metavar="VKEY", help="the log's key, or its file")
    parser.add_argument("file", metavar="FILE", help="a receipt, or an answer saved as JSON")
    arguments = parser.parse_args(argv)
    try:
        keys = [parse_key(read_key(text)) for text in arguments.key]
        if len({key[:2] for key in keys}) != len(keys):
            raise Unusable("the same key was given twice")
        artefact = read_file(arguments.file)
    except Unusable as error:
        say(f"CANNOT VERIFY (exit {USAGE}): {error}")
        return USAGE
    code, words = judge(artefact, keys)
    say(f"VERDICT (exit {code}): {words}")
    for limit in LIMITS if code == VALID else ():
        say(f"  {limit}")
    return code


def judge(artefact: bytes, keys: list[tuple[str, bytes, bytes]]) -> tuple[int, str]:
    """The exit code and its words, after printing each step."""
    try:
        if artefact.lstrip()[:1] == b"{":
            signer, words = verify_answer(artefact, keys)
        else:
            signer, words = verify_receipt(artefact.decode(), keys)[2:]
    except Broken as error:
        return BROKEN, f"ALTERED OR BROKEN: {error}."
    except UnicodeError:
        return BROKEN, "ALTERED OR BROKEN: not a text in UTF-8."
    if signer is None:
        return UNATTESTED, "CONSISTENT BUT UNATTESTED: no key that you gave has signed; anybody could have made this."
    return VALID, f"VALID: {words} signed by {signer}; not witnessed."


def verify_receipt(text: str, keys: list[tuple[str, bytes, bytes]]) -> tuple[int, bytes, str | None, str]:
    """(index, record, who signed or None, words). Steps of C2SP tlog-proof, "Verifying a tlog proof"."""
    index, path, checkpoint, record = parse_receipt(text)
    leaf = hashlib.sha256(b"\x00" + record).digest()  # RFC 6962 section 2.1
    kind = check_record(record)
    say(f"- The receipt carries record {index}, of kind {kind}. Its leaf hash, recomputed, is {leaf.hex()}.")
    note_text, signatures = parse_note(checkpoint)
    signer = verify_signatures(note_text, signatures, keys)
    origin, size, root = parse_checkpoint(note_text)
    if signer is not None and origin not in signer:
        raise Broken(f"the checkpoint is of the log {origin!r}, but was signed by {' and '.join(sorted(signer))}")
    who = None if signer is None else signer[origin]
    say(
        f"- The checkpoint of log {origin} says that it had {size} records; "
        + ("no key that you gave has signed it." if who is None else f"the signature by {who} over it is valid.")
    )
    verify_inclusion(leaf, index, size, path, root)
    say(f"- Folding the record with the {len(path)} hashes of its path gives the checkpoint's root: it is included.")
    return index, record, who, f"record {index} is included in the tree of {size} records of {origin}"


def verify_answer(body: bytes, keys: list[tuple[str, bytes, bytes]]) -> tuple[str | None, str]:
    """(who signed or None, words)."""
    answer = parse_json(body)
    if not isinstance(answer, dict) or answer.get("format") != ANSWER_FORMAT:
        raise Broken(f"not an object whose format is {ANSWER_FORMAT}")
    ledger = answer.pop("ledger", None)
    if not isinstance(ledger, dict) or not isinstance(ledger.get("proof"), str):
        raise Broken("the answer has no ledger member with a proof, so there is nothing to verify")
    index, record, who, words = verify_receipt(ledger["proof"], keys)
    same("ledger.index", ledger.get("index"), index)
    same("ledger.leaf_hash", ledger.get("leaf_hash"), hashlib.sha256(b"\x00" + record).hexdigest())
    say("- The ledger index and leaf hash in the answer are those of its receipt.")
    recorded = json.loads(record)
    if recorded["kind"] != "prediction":
        raise Broken(f"the record is of kind {recorded['kind']}, not a prediction: it is of another answer")
    check_released(recorded)
    say("- The record is of a finding that was to leave POST /infer with status 200, and the finding is coherent.")
    for name in ("request_id", "correlation_id", "model", "finding", "input", "quality"):
        same(name, answer.get(name), recorded.get(name))
    say("- Model, finding, input, quality and ids in the answer are those in the record.")
    digest = hashlib.sha256(encode_json(answer)).hexdigest()
    same("the answer's SHA-256", digest, recorded.get("answer_sha256"))
    say(f"- The SHA-256 of the whole answer (canonical, without its ledger member) is the recorded one, {digest}.")
    return who, f"this is the answer that was recorded; {words}"


def same(path: str, said: Any, recorded: Any) -> None:
    """Equal, member by member; a member that the record leaves out may be null in the answer."""
    if isinstance(recorded, dict) and isinstance(said, dict):
        for name in sorted(set(said) | set(recorded)):
            same(f"{path}.{name}", said.get(name), recorded.get(name))
    elif type(said) is not type(recorded) or said != recorded:
        raise Broken(f"{path} is {said!r:.100} in the answer, but the record proves {recorded!r:.100}")


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
    if len(signatures) > 100:
        raise Broken("the checkpoint has more than 100 signatures")
    return head + "\n", signatures


def verify_signatures(
    text: str, signatures: list[tuple[str, bytes, bytes]], keys: list[tuple[str, bytes, bytes]]
) -> dict[str, str] | None:
    """Key name -> NAME+ID of each known key that signed; None where none did. C2SP signed-note, "Signatures"."""
    signers = {}
    for name, key_id, signature in signatures:
        for known_name, known_id, public_key in keys:
            if (name, key_id) != (known_name, known_id):
                continue
            if not ed25519_verify(public_key, text.encode("utf-8"), signature):
                raise Broken(f"the signature by {name}+{key_id.hex()} is not valid: text or signature was changed")
            signers[name] = f"{name}+{key_id.hex()}"
    return signers or None


def parse_checkpoint(text: str) -> tuple[str, int, bytes]:
    """(origin, size, root). C2SP tlog-checkpoint, "Note text"."""
    lines = text.split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise Broken("the checkpoint is not an origin, a size and a root, each on a line")
    root = decode_base64(lines[2], "the checkpoint's root")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]) or int(lines[1]) >= 2**63 or len(root) != 32:
        raise Broken("the checkpoint's size is not a decimal, or its root not 32 bytes")
    return lines[0], int(lines[1]), root


def parse_key(vkey: str) -> tuple[str, bytes, bytes]:
    """(name, key id, Ed25519 public key). C2SP signed-note, "Verifier keys"."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        key = decode_base64(encoded, "the key")
    except Broken as error:
        raise Unusable(f"--key: {error}; expected NAME+ID+BASE64 or a file that holds it") from error
    if not valid_name(name) or len(key) != 33 or key[0] != 1:
        raise Unusable("--key: not an Ed25519 verifier key NAME+ID+BASE64")
    if int.from_bytes(key[1:], "little") & ((1 << 255) - 1) >= P:
        raise Unusable("--key: not the encoding of a point (RFC 8032 section 5.1.3)")
    if hashlib.sha256(name.encode("utf-8") + b"\n" + key).digest()[:4].hex() != key_id:
        raise Unusable("--key: its id is not that of its name and key; it was cut or changed")
    return name, bytes.fromhex(key_id), key[1:]


def valid_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() or char < " " for char in name)


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
}  # fmt: skip


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


def say(words: str) -> None:
    """Print, without letting what is judged write to the terminal: all but plain characters are escaped."""
    print("".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in words))


if __name__ == "__main__":
    sys.exit(main())
