"""Signed notes: one as it is and in other lawful forms, and one mutation each (C2SP signed-note)."""

import base64

from audit import note

ALICE = note.Signer("alice.example/log", b"a" * 32)
BOB = note.Signer("bob.example/log", b"b" * 32)
TEXT = "a text\n\nwith an empty line, and \N{LATIN SMALL LETTER U WITH DIAERESIS}\n"
SIGNED = note.sign(TEXT, [ALICE])
RAW = base64.b64decode(SIGNED.split(" ")[-1])
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 section 5.1


def notes() -> dict[str, bytes]:
    """Path below `note/` -> content. The folder says what `open` with ALICE's key does."""
    made = {f"opened/{name}": text for name, text in opened().items()}
    made |= {f"malformed/{name}": text for name, text in malformed().items()}
    made |= {f"invalid/{name}": text for name, text in invalid().items()}
    made |= {f"missing/{name}": text for name, text in missing().items()}
    encoded = {f"{name}.note": text if isinstance(text, bytes) else text.encode() for name, text in made.items()}
    return {**encoded, "alice.vkey": f"{ALICE.verifier}\n".encode()}


def opened() -> dict[str, str | bytes]:
    return {
        "untouched": SIGNED,
        "one-line": note.sign("a\n", [ALICE]),
        "text-of-an-empty-line": note.sign("\n", [ALICE]),
        "text-that-holds-a-signed-note": note.sign(SIGNED, [ALICE]),
        "second-key-besides": note.sign(TEXT, [BOB, ALICE]),
        "same-signature-twice": SIGNED + line(ALICE.name, RAW),
        "known-name-with-another-id": SIGNED + line(ALICE.name, b"\0\0\0\0" + bytes(64)),
        "known-id-with-another-name": SIGNED + line("other", RAW[:4] + bytes(64)),
        "signature-of-one-byte-by-a-stranger": SIGNED + line("w", b"\1\2\3\4\5"),
        "signature-of-five-thousand-bytes-by-a-stranger": SIGNED + line("w", bytes(5_000)),
        "100-signatures": SIGNED + "".join(line("w", at.to_bytes(4, "big") + bytes(64)) for at in range(99)),
        "name-with-characters-beyond-ascii": SIGNED + line("\N{LATIN SMALL LETTER U WITH DIAERESIS}", bytes(68)),
    }


def malformed() -> dict[str, str | bytes]:
    return {
        "empty": "",
        "text-alone": TEXT,
        "signature-alone": SIGNED.rpartition("\n\n")[2],
        "empty-line-missing": SIGNED.replace("\n\n\N{EM DASH}", "\n\N{EM DASH}").replace("\n\n", "\n"),
        "no-signature-line": TEXT + "\n",
        "final-newline-missing": SIGNED[:-1],
        "empty-line-at-the-end": SIGNED + "\n",
        "text-after-the-signatures": SIGNED + "more\n",
        "carriage-returns": SIGNED.replace("\n", "\r\n"),
        "tab-in-the-text": SIGNED.replace("a text", "a\ttext"),
        "nul-in-the-text": SIGNED.replace("a text", "a\0text"),
        "not-utf-8": SIGNED.encode().replace(b"a text", b"\xff text"),
        "surrogate-in-utf-8": SIGNED.encode().replace(b"a text", b"\xed\xa0\x80 text"),
        "hyphen-for-the-dash": SIGNED.replace("\N{EM DASH} ", "- "),
        "en-dash-for-the-dash": SIGNED.replace("\N{EM DASH}", "\N{EN DASH}"),
        "no-space-after-the-dash": SIGNED.replace("\N{EM DASH} ", "\N{EM DASH}"),
        "two-spaces-after-the-dash": SIGNED.replace("\N{EM DASH} ", "\N{EM DASH}  "),
        "name-empty": SIGNED + line("", bytes(68)),
        "name-with-a-plus": SIGNED + line("a+b", bytes(68)),
        "name-with-a-no-break-space": SIGNED + line("a\N{NO-BREAK SPACE}b", bytes(68)),
        "name-without-a-signature": SIGNED + "\N{EM DASH} w\n",
        "third-item-in-the-line": SIGNED + line("w", bytes(68)).replace("\n", " x\n"),
        "signature-not-base64": SIGNED + "\N{EM DASH} w !!!!\n",
        "signature-url-base64": SIGNED + "\N{EM DASH} w -___-___\n",
        "signature-without-padding": SIGNED + line("w", bytes(67)).replace("=", ""),
        "signature-with-stray-bits": SIGNED + "\N{EM DASH} w AAAAAAB=\n",
        "signature-of-the-id-alone": SIGNED + line("w", bytes(4)),
        "signature-of-three-bytes": SIGNED + line("w", bytes(3)),
        "101-signatures": SIGNED + "".join(line("w", at.to_bytes(4, "big") + bytes(64)) for at in range(100)),
    }


def invalid() -> dict[str, str | bytes]:
    scalar = int.from_bytes(RAW[36:], "little") + GROUP_ORDER
    return {
        "text-changed": SIGNED.replace("a text", "a test"),
        "text-with-a-line-more": SIGNED.replace("a text", "one more\na text"),
        "signature-bit-flipped": note_of(RAW[:9] + bytes([RAW[9] ^ 1]) + RAW[10:]),
        "signature-s-plus-group-order": note_of(RAW[:36] + scalar.to_bytes(32, "little")),
        "signature-all-zero": note_of(RAW[:4] + bytes(64)),
        "signature-of-63-bytes": note_of(RAW[:-1]),
        "signature-of-65-bytes": note_of(RAW + b"\0"),
        "good-signature-and-a-bad-one-of-the-same-key": SIGNED + line(ALICE.name, RAW[:4] + bytes(64)),
        "bad-signature-first": note_of(RAW[:4] + bytes(64)) + line(ALICE.name, RAW),
    }


def missing() -> dict[str, str | bytes]:
    return {
        "signed-by-another": note.sign(TEXT, [BOB]),
        "signed-under-another-name": note_of(RAW, "alice.example/other"),
        "signed-with-another-id": note_of(b"\0" + RAW[1:]),
        "signed-by-another-key-of-the-same-name": note.sign(TEXT, [note.Signer(ALICE.name, b"c" * 32)]),
    }


def note_of(raw: bytes, name: str = ALICE.name) -> str:
    return f"{TEXT}\n{line(name, raw)}"


def line(name: str, raw: bytes) -> str:
    return f"\N{EM DASH} {name} {base64.b64encode(raw).decode()}\n"
