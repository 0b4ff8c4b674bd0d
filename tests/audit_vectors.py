"""Makes the vectors of all that can be verified or parsed: `python -m tests.audit_vectors` writes them.

The key is that of RFC 8032 seed 00 01 02 ... 1f: a test key that protects nothing. All else is fixed as well,
so the same bytes come out each time; a test compares them with the files.
"""

import base64
import json
from pathlib import Path

from msgspec.structs import replace

from audit import merkle, note, receipt, record
from tests.audit_log import Log, a_prediction, an_answer, log_of
from tests.audit_vectors_answers import answers
from tests.audit_vectors_cosigned import cosigned, policy_text
from tests.audit_vectors_notes import notes
from tests.audit_vectors_policies import policies
from tests.audit_vectors_records import records
from tests.audit_vectors_tree import tree

FOLDER = Path(__file__).resolve().parent / "vectors" / "audit"
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 section 5.1
ZERO_HASH = base64.b64encode(bytes(32)).decode()
HASH_OF_31_BYTES = base64.b64encode(bytes(31)).decode()


def vectors() -> dict[str, bytes]:
    """Path below `FOLDER` -> content, of every vector and of the keys and policies that they are judged by."""
    log = log_of(record.encode(a_prediction(an_answer())), an_answer())
    made: dict[str, str | bytes] = {"log.vkey": f"{log.signer.verifier}\n"}
    made |= {f"receipt/exit-{code}/{name}.txt": text for code, name, text in receipts(log)}
    made |= {f"receipt/exit-{code}/{name}.txt": text for code, name, text in records(log)}
    made |= {f"answer/exit-{code}/{name}.json": text for code, name, text in answers(log)}
    made |= {f"cosigned/exit-{code}/{name}.txt": text for code, name, text in cosigned(log)}
    made |= {"cosigned/policy": policy_text(log)}
    made |= {f"policy/{name}": text for name, text in policies().items()}
    made |= {f"note/{name}": text for name, text in notes().items()}
    made |= tree()
    return {path: text.encode() if isinstance(text, str) else text for path, text in made.items()}


def receipts(log: Log) -> list[tuple[int, str, str | bytes]]:
    """(exit code, name, receipt): one receipt, as it is and with one mutation each."""
    stranger = note.Signer.generate("stranger.example", b"s" * 32)
    rotated = note.Signer.generate(log.signer.name, b"r" * 32)
    found: list[tuple[int, str, str | bytes]] = [
        (0, "untouched", log.proof),
        (0, "log-of-one-record", log_of(log.body, {}, index=0, size=1).proof),
        (0, "last-record-of-the-tree", log_of(log.body, {}, index=12, size=13).proof),
        (0, "signature-of-an-unknown-key-besides", signed(log, [stranger, log.signer])),
        (0, "signature-of-a-rotated-key-of-the-same-name-besides", signed(log, [rotated, log.signer])),
        (3, "signed-by-a-stranger-only", signed(log, [stranger])),
        (3, "signed-by-another-key-of-the-same-name", signed(log, [rotated])),
        (3, "signature-key-id-changed", with_signature(log, b"\x00" + raw_signature(log)[1:])),
        (3, "signature-key-name-changed", with_signature(log, raw_signature(log), "log.example/b")),
    ]
    broken = about_the_record(log) | about_the_path(log) | about_the_text(log)
    broken |= about_the_checkpoint(log, stranger) | about_the_signature(log)
    return found + [(1, name, text) for name, text in broken.items()]


def about_the_record(log: Log) -> dict[str, str | bytes]:
    body, path = log.body, log.path
    node = b"\x01" + path[0] + merkle.leaf_hash(body)
    return {
        "record-status-changed": with_body(log, body.replace(b'"status":200', b'"status":201')),
        "record-probability-changed": with_body(log, body.replace(b"912345", b"912346")),
        "record-with-final-newline": with_body(log, body + b"\n"),
        "record-empty-object": with_body(log, b"{}"),
        "record-missing": receipt.format(replace(log.receipt, extra=None)),
        "record-is-a-tree-node": receipt.format(replace(log.receipt, index=2, path=path[1:], extra=node)),
    }


def about_the_path(log: Log) -> dict[str, str | bytes]:
    text, path = log.proof, log.path
    return {
        "index-plus-one": text.replace("index 5\n", "index 6\n"),
        "index-minus-one": text.replace("index 5\n", "index 4\n"),
        "index-beyond-the-tree": text.replace("index 5\n", "index 13\n"),
        "index-leading-zero": text.replace("index 5\n", "index 05\n"),
        "index-negative": text.replace("index 5\n", "index -5\n"),
        "index-missing": text.replace("index 5\n", ""),
        "path-first-hash-changed": with_path(log, bytes(32), *path[1:]),
        "path-last-hash-changed": with_path(log, *path[:-1], bytes(32)),
        "path-hash-missing": with_path(log, *path[:-1]),
        "path-hash-added": with_path(log, *path, bytes(32)),
        "path-hashes-swapped": with_path(log, path[1], path[0], *path[2:]),
        "path-hash-of-31-bytes": with_line(text, 3, HASH_OF_31_BYTES),
        "path-hash-base64-with-stray-bits": with_line(text, 3, "A" * 42 + "B="),
        "path-of-64-hashes": with_line(text, 3, "\n".join([ZERO_HASH] * 64)),
    }


def about_the_text(log: Log) -> dict[str, str | bytes]:
    text = log.proof
    return {
        "header-of-another-version": text.replace("@v1", "@v2"),
        "header-missing": text.split("\n", 1)[1],
        "empty-line-missing": text.replace("\n\n", "\n", 1),
        "checkpoint-missing": text.partition("\n\n")[0] + "\n\n",
        "carriage-returns": text.replace("\n", "\r\n"),
        "truncated": text[:-30],
        "final-newline-missing": text[:-1],
        "text-after-the-signature": text + "more\n",
        "empty": "",
        "not-utf-8": text.encode().replace(b"index", b"\xff"),
    }


def about_the_checkpoint(log: Log, stranger: note.Signer) -> dict[str, str | bytes]:
    text, (head, _) = log.proof, note.split(log.checkpoint)
    root = head.split("\n")[2]
    return {
        "checkpoint-origin-changed": text.replace("\nlog.example/a\n13", "\nlog.example/b\n13"),
        "checkpoint-size-plus-one": text.replace("\n13\n", "\n14\n"),
        "checkpoint-size-minus-one": text.replace("\n13\n", "\n12\n"),
        "checkpoint-size-leading-zero": signed(log, [log.signer], head.replace("\n13\n", "\n013\n")),
        "checkpoint-root-changed": signed(log, [stranger], with_line(head, 2, ZERO_HASH)),
        "checkpoint-root-of-31-bytes": signed(log, [log.signer], with_line(head, 2, HASH_OF_31_BYTES)),
        "checkpoint-root-changed-signature-kept": text.replace(root, ZERO_HASH),
        "checkpoint-extension-line-added": text.replace(head, head + "more\n"),
        "checkpoint-of-another-log": signed(log, [log.signer], head.replace("log.example/a", "log.example/b")),
        "checkpoint-not-one": signed(log, [log.signer], "hello\n"),
    }


def about_the_signature(log: Log) -> dict[str, str | bytes]:
    text, raw = log.proof, raw_signature(log)
    raised = (int.from_bytes(raw[36:], "little") + GROUP_ORDER).to_bytes(32, "little")
    strangers = [signature_line("w", at.to_bytes(4, "big") + bytes(64)) for at in range(100)]
    return {
        "signature-r-changed": with_signature(log, raw[:4] + bytes([raw[4] ^ 1]) + raw[5:]),
        "signature-s-changed": with_signature(log, raw[:-1] + bytes([raw[-1] ^ 1])),
        "signature-s-plus-group-order": with_signature(log, raw[:36] + raised),
        "signature-all-zero": with_signature(log, raw[:4] + bytes(64)),
        "signature-of-63-bytes": with_signature(log, raw[:-1]),
        "signature-of-65-bytes": with_signature(log, raw + b"\x00"),
        "signature-empty": with_signature(log, raw[:4]),
        "signature-missing": text.replace(signature_line(log.signer.name, raw), ""),
        "signature-second-of-the-same-key-bad": text + signature_line(log.signer.name, raw[:4] + bytes(64)),
        "signature-hyphen-for-dash": text.replace("\N{EM DASH}", "-"),
        "signature-without-padding": text.removesuffix("=\n") + "\n",
        "signatures-101": text + "".join(strangers),
    }


def with_body(log: Log, body: bytes) -> str:
    return receipt.format(replace(log.receipt, extra=body))


def with_path(log: Log, *path: bytes) -> str:
    return receipt.format(replace(log.receipt, path=path))


def with_line(text: str, at: int, line: str) -> str:
    lines = text.split("\n")
    lines[at] = line
    return "\n".join(lines)


def signed(log: Log, signers: list[note.Signer], head: str | None = None) -> str:
    """The receipt with its checkpoint's text, or another one, signed by these."""
    head = note.split(log.checkpoint)[0] if head is None else head
    return receipt.format(replace(log.receipt, checkpoint=note.sign(head, signers)))


def raw_signature(log: Log) -> bytes:
    """The key's id and the signature."""
    return base64.b64decode(log.checkpoint.split("\n")[-2].split(" ")[2])


def signature_line(name: str, raw: bytes) -> str:
    return f"\N{EM DASH} {name} {base64.b64encode(raw).decode()}\n"


def with_signature(log: Log, raw: bytes, name: str | None = None) -> str:
    made = signature_line(name or log.signer.name, raw)
    return log.proof.replace(signature_line(log.signer.name, raw_signature(log)), made)


def write() -> None:
    """Writes the vectors, and removes any others."""
    made = vectors()
    for path in FOLDER.glob("*/*/*"):
        if path.relative_to(FOLDER).as_posix() not in made:
            path.unlink()
    for name, body in made.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_bytes(body)
    print(json.dumps({"written": len(made), "folder": FOLDER.name}))


if __name__ == "__main__":
    write()
