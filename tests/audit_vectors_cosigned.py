"""Cosigned receipts: the receipt of `tests.audit_log` with cosignatures of three witnesses, one mutation each.

Their policy asks for two of three; the second witness has an ML-DSA-44 key. Signing with that draws random bytes
(FIPS 204, algorithm 2), so its signatures are kept in `kept.json` and everything else is made anew.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from msgspec.structs import replace

from audit import checkpoint, note, receipt
from audit.checkpoint import Checkpoint
from audit.cosignature import ALGORITHM_ED25519, ALGORITHM_ML_DSA_44, Cosigner
from tests.audit_log import Log

KEPT = Path(__file__).resolve().parent / "vectors" / "audit" / "cosigned" / "kept.json"
TIME_S = 1_790_000_100
W1 = Cosigner("witness.example/w1", b"1" * 32, ALGORITHM_ED25519)
W2 = Cosigner("witness.example/w2", b"2" * 32, ALGORITHM_ML_DSA_44)
W3 = Cosigner("witness.example/w3", b"3" * 32, ALGORITHM_ED25519)
PRIVATE = MLDSA44PrivateKey.from_seed_bytes(b"2" * 32)
STRANGERS = tuple(Cosigner(f"stranger.example/w{at}", bytes([at]) * 32) for at in (4, 5))


def policy_text(log: Log) -> str:
    witnesses = "".join(f"witness W{at} {one.verifier}\n" for at, one in enumerate((W1, W2, W3), 1))
    return f"log {log.signer.verifier}\n\n{witnesses}group two-of-three 2 W1 W2 W3\nquorum two-of-three\n"


def cosigned(log: Log) -> list[tuple[int, str, str]]:
    """(exit code, name, receipt)."""
    text = note.split(log.checkpoint)[0]
    one, three = W1.cosign(text, TIME_S), W3.cosign(text, TIME_S)
    two = kept("two", lambda: W2.cosign(text, TIME_S))
    lines = {
        0: well_witnessed(text, one, two, three),
        1: falsely_witnessed(log, text, one, two, three),
        3: poorly_witnessed(text, one, two),
    }
    made = [
        (code, name, with_lines(log, *signatures)) for code, each in lines.items() for name, signatures in each.items()
    ]
    unsigned = receipt.format(replace(log.receipt, checkpoint=f"{text}\n{one.line}{two.line}{three.line}"))
    return [*made, (3, "not-signed-by-the-log", unsigned)]


Lines = dict[str, tuple[note.Signature, ...]]


def well_witnessed(text: str, one: note.Signature, two: note.Signature, three: note.Signature) -> Lines:
    return {
        "witnessed-by-all": (one, two, three),
        "witnessed-by-the-post-quantum-one-and-another": (three, two),
        "witnessed-by-two-of-one-kind": (one, three),
        "one-cosigned-twice-and-another-once": (one, W1.cosign(text, TIME_S + 1), three),
        "same-line-twice": (one, one, three),
        "time-in-the-far-future": (W1.cosign(text, 2**63 - 1), three),
        "times-far-apart": (W1.cosign(text, 1), three),
        "strangers-besides": (one, three, *(stranger.cosign(text, TIME_S) for stranger in STRANGERS)),
        "name-of-a-witness-with-another-key-besides": (one, three, Cosigner(W1.name, b"x" * 32).cosign(text, TIME_S)),
        "bad-signature-of-a-stranger-besides": (one, three, note.Signature(name="x", key_id=b"abcd", signature=b"bad")),
    }


def poorly_witnessed(text: str, one: note.Signature, two: note.Signature) -> Lines:
    body = text.encode()
    return {
        "witnessed-by-nobody": (),
        "witnessed-by-one": (one,),
        "witnessed-by-the-post-quantum-one-alone": (two,),
        "one-witness-twice": (one, W1.cosign(text, TIME_S + 1)),
        "one-witness-and-two-strangers": (one, *(stranger.cosign(text, TIME_S) for stranger in STRANGERS)),
        "one-witness-also-under-another-name": (one, Cosigner("other.example", b"1" * 32).cosign(text, TIME_S)),
        "second-witness-with-the-id-of-another-algorithm": (
            one,
            replace(two, key_id=note.key_id(W2.name, W2.verifier.public_key, b"\x07")),
        ),
        "witness-signed-as-a-log-does": (
            one,
            note.Signature(
                name=W3.name,
                key_id=note.key_id(W3.name, W3.verifier.public_key),
                signature=note.Signer(W3.name, b"3" * 32).sign(body),
            ),
        ),
    }


def falsely_witnessed(log: Log, text: str, one: note.Signature, two: note.Signature, three: note.Signature) -> Lines:
    """Each with a line in a known witness's name that it did not make over this checkpoint: no quorum mends that."""
    body, raw = text.encode(), one.signature
    larger = with_size(text, log.size + 1)
    plain = note.Signer(W1.name, b"1" * 32).sign(body)
    false = {
        "cosignature-bit-flipped": replace(one, signature=flipped(raw, 20)),
        "cosignature-time-changed": replace(one, signature=flipped(raw, 7)),
        "cosignature-time-beyond-63-bits": replace(one, signature=flipped(raw, 0)),
        "cosignature-time-missing": replace(one, signature=raw[8:]),
        "cosignature-cut-within-its-time": replace(one, signature=raw[:7]),
        "cosignature-a-byte-shorter": replace(one, signature=raw[:-1]),
        "cosignature-a-byte-longer": replace(one, signature=raw + b"\0"),
        "cosignature-all-zero": replace(one, signature=bytes(72)),
        "cosignature-of-another-size": W1.cosign(larger, TIME_S),
        "cosignature-of-another-origin": W1.cosign(text.replace("log.example/a", "log.example/b"), TIME_S),
        "cosignature-of-the-text-with-an-extension-line": W1.cosign(text + "more\n", TIME_S),
        "cosignature-of-another-witness": replace(one, signature=three.signature),
        "cosignature-over-the-text-alone": replace(one, signature=raw[:8] + plain),
        "post-quantum-bit-flipped": replace(two, signature=flipped(two.signature, 2000)),
        "post-quantum-hint-flipped": replace(two, signature=flipped(two.signature, len(two.signature) - 1)),
        "post-quantum-time-changed": replace(two, signature=flipped(two.signature, 7)),
        "post-quantum-time-beyond-63-bits": replace(two, signature=flipped(two.signature, 0)),
        "post-quantum-a-byte-shorter": replace(two, signature=two.signature[:-1]),
        "post-quantum-a-byte-longer": replace(two, signature=two.signature + b"\0"),
        "post-quantum-of-another-size": kept("size", lambda: W2.cosign(larger, TIME_S)),
        "post-quantum-of-another-name": replace(two, signature=kept("name", lambda: named(text)).signature),
        "post-quantum-over-the-ed25519-message": replace(two, signature=kept("message", lambda: as_v1(body)).signature),
        "post-quantum-with-a-context": replace(two, signature=kept("context", lambda: in_context(body)).signature),
    }
    return {name: (one, three, line) if line.name == W2.name else (line, two, three) for name, line in false.items()}


def named(text: str) -> note.Signature:
    """By the second witness's key, in another name: what it signs names the cosigner."""
    return Cosigner("witness.example/w9", b"2" * 32, ALGORITHM_ML_DSA_44).cosign(text, TIME_S)


def as_v1(body: bytes) -> note.Signature:
    return timestamped(PRIVATE.sign(b"cosignature/v1\ntime %d\n%b" % (TIME_S, body)))


def in_context(body: bytes) -> note.Signature:
    """Over the right message, as C2SP tlog-cosignature spells it out, but in a context (FIPS 204 section 5.2)."""
    origin, size, root = body.decode().split("\n")[:3]
    message = b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(W2.name)]) + W2.name.encode(),
            TIME_S.to_bytes(8, "big"),
            bytes([len(origin)]) + origin.encode(),
            (0).to_bytes(8, "big"),
            int(size).to_bytes(8, "big"),
            base64.b64decode(root),
        )
    )
    return timestamped(PRIVATE.sign(message, b"context"))


def timestamped(signed: bytes) -> note.Signature:
    return note.Signature(name=W2.name, key_id=W2.verifier.key_hash, signature=TIME_S.to_bytes(8, "big") + signed)


def kept(name: str, make: Callable[[], note.Signature]) -> note.Signature:
    """The signature of that name; made, and kept, where there is none yet."""
    found = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    if name not in found:
        made = make()
        found[name] = base64.b64encode(made.key_id + made.signature).decode()
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
    raw = base64.b64decode(found[name])
    return note.Signature(name=W2.name, key_id=raw[:4], signature=raw[4:])


def with_lines(log: Log, *lines: note.Signature) -> str:
    signed = log.checkpoint + "".join(line.line for line in lines)
    return receipt.format(replace(log.receipt, checkpoint=signed))


def with_size(text: str, size: int) -> str:
    stated: Checkpoint = checkpoint.parse(text)
    return checkpoint.format(replace(stated, size=size))


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0x80]) + raw[at + 1 :]
