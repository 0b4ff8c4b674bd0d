"""Policy files: those that the specification allows, and one mutation each that it does not (C2SP tlog-policy)."""

import base64

from audit import note
from audit.cosignature import ALGORITHM_ML_DSA_44, Cosigner

LOG = note.Signer("log.example/a", bytes(range(32))).verifier
LOG_B = note.Signer("log.example/b", b"b" * 32).verifier
LOG_ML_DSA = Cosigner("log.example/a", b"m" * 32, ALGORITHM_ML_DSA_44).verifier
X = tuple(Cosigner(f"x{at}.example", bytes([at]) * 32).verifier for at in (1, 2, 3))
Y = tuple(Cosigner(f"y{at}.example", bytes([at]) * 32).verifier for at in (4, 5, 6))
PQ = Cosigner("pq.example", b"q" * 32, ALGORITHM_ML_DSA_44).verifier

KELVIN = "\N{KELVIN SIGN}"
WITNESSES = "".join(f"witness X{at} {key}\n" for at, key in enumerate(X, 1))
WITNESSES += "".join(f"witness Y{at} {key}\n" for at, key in enumerate(Y, 1))
GROUPS = "group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\ngroup X-and-Y all X-witnesses Y-witnesses\n"
WHOLE = f"log {LOG}\n\n{WITNESSES}{GROUPS}quorum X-and-Y\n"
"""The example of the specification."""


def policies() -> dict[str, bytes]:
    """Path below `policy/` -> content."""
    made = {f"taken/{name}": text for name, text in taken().items()}
    made |= {f"refused/{name}": text for name, text in (refused_lines() | refused_groups() | refused_keys()).items()}
    return {f"{name}.policy": text if isinstance(text, bytes) else text.encode() for name, text in made.items()}


def taken() -> dict[str, str | bytes]:
    return {
        "untouched": WHOLE,
        "quorum-none": f"log {LOG}\nquorum none\n",
        "quorum-none-and-nothing-else": "quorum none\n",
        "quorum-of-one-witness": f"log {LOG}\nwitness W {X[0]}\nquorum W\n",
        "no-log": f"witness W {X[0]}\nquorum W\n",
        "several-logs": f"log {LOG}\nlog {LOG_B} https://log.example/b\nquorum none\n",
        "log-with-two-keys-of-two-kinds": f"log {LOG}\nlog {LOG_ML_DSA}\nquorum none\n",
        "log-with-a-key-history": f"log {LOG}\nlog {note.Signer('log.example/a', b'n' * 32).verifier}\nquorum none\n",
        "witness-of-the-post-quantum-kind": f"log {LOG}\nwitness W {PQ}\nquorum W\n",
        "urls": WHOLE.replace(str(LOG), f"{LOG} https://log.example/").replace(str(X[0]), f"{X[0]} https://x1.example"),
        "comments-and-empty-lines": "# a policy\n\n \t \n\t # indented\n" + WHOLE + "#\n",
        "tabs-and-many-spaces": WHOLE.replace(" ", "\t  ").replace("\nw", "\n \t w").replace("\nq", " \t\nq"),
        "logs-and-witnesses-after-the-quorum": f"witness W {X[0]}\nquorum W\nlog {LOG}\nwitness V {X[1]}\n",
        "quorum-before-a-group-that-holds-it": f"witness W {X[0]}\nwitness V {X[1]}\nquorum W\ngroup G any W V\n",
        "group-of-one": f"witness W {X[0]}\ngroup G all W\nquorum G\n",
        "group-that-the-quorum-does-not-need": WHOLE.replace("quorum X-and-Y", "quorum X-witnesses"),
        "threshold-of-all-by-its-number": WHOLE.replace("2 X1", "3 X1"),
        "names-that-look-alike": f"witness K {X[0]}\nwitness {KELVIN} {X[1]}\ngroup G all K {KELVIN}\nquorum G\n",
        "name-with-a-no-break-space": f"witness a\N{NO-BREAK SPACE}b {X[0]}\nquorum a\N{NO-BREAK SPACE}b\n",
        "name-that-is-not-utf-8": f"witness W\xff {X[0]}\nquorum W\xff\n".encode("latin-1"),
        "comment-that-is-not-utf-8": f"# \xfc\n{WHOLE}".encode("latin-1"),
        "witness-named-all": f"witness all {X[0]}\nwitness any {X[1]}\ngroup G all all any\nquorum G\n",
        "thirty-two-of-each": many(32),
    }  # fmt: skip


def refused_lines() -> dict[str, str | bytes]:
    return {
        "empty": "",
        "quorum-missing": WHOLE.replace("quorum X-and-Y\n", ""),
        "quorum-twice": WHOLE + "quorum X-and-Y\n",
        "quorum-none-besides-another": WHOLE + "quorum none\n",
        "quorum-without-a-name": WHOLE.replace("quorum X-and-Y", "quorum"),
        "quorum-of-two-names": WHOLE.replace("quorum X-and-Y", "quorum X1 X2"),
        "quorum-unknown": WHOLE.replace("quorum X-and-Y", "quorum Z"),
        "quorum-defined-below": f"quorum W\nwitness W {X[0]}\n",
        "quorum-in-capitals": WHOLE.replace("quorum X", "QUORUM X"),
        "last-line-without-its-newline": WHOLE[:-1],
        "carriage-returns": WHOLE.replace("\n", "\r\n"),
        "form-feed": WHOLE.replace(" X1 ", "\fX1 "),
        "delete-character-in-a-comment": WHOLE + "# \x7f\n",
        "nul": WHOLE + "\0\n",
        "byte-order-mark": "\N{ZERO WIDTH NO-BREAK SPACE}" + WHOLE,
        "keyword-unknown": WHOLE + "monitor M\n",
        "no-break-space-between-items": WHOLE.replace("quorum ", "quorum\N{NO-BREAK SPACE}"),
        "comment-after-a-line": WHOLE.replace("quorum X-and-Y", "quorum X-and-Y # all"),
        "log-without-a-key": WHOLE.replace(f"log {LOG}", "log"),
        "log-with-a-third-item": WHOLE.replace(str(LOG), f"{LOG} https://log.example x"),
        "log-with-a-name-first": WHOLE.replace(f"log {LOG}", f"log L {LOG}"),
        "witness-without-a-name": WHOLE.replace("witness X1 ", "witness "),
        "witness-with-a-fourth-item": WHOLE.replace(str(X[0]), f"{X[0]} https://x.example x"),
        "129-logs": "".join(
            f"log {note.Signer(f'l{at}', at.to_bytes(32, 'big')).verifier}\n" for at in range(129)
        ) + "quorum none\n",
    }  # fmt: skip


def refused_groups() -> dict[str, str | bytes]:
    return {
        "group-without-members": WHOLE.replace("2 X1 X2 X3", "all"),
        "group-without-a-threshold": WHOLE.replace("2 X1 X2 X3", "X1 X2 X3"),
        "group-threshold-zero": WHOLE.replace("2 X1", "0 X1"),
        "group-threshold-beyond-its-members": WHOLE.replace("2 X1", "4 X1"),
        "group-threshold-negative": WHOLE.replace("2 X1", "-1 X1"),
        "group-threshold-with-a-plus": WHOLE.replace("2 X1", "+2 X1"),
        "group-threshold-with-a-leading-zero": WHOLE.replace("2 X1", "02 X1"),
        "group-threshold-in-other-digits": WHOLE.replace("2 X1", "\N{ARABIC-INDIC DIGIT TWO} X1"),
        "group-threshold-in-capitals": WHOLE.replace("any Y1", "ANY Y1"),
        "group-member-unknown": WHOLE.replace("2 X1 X2 X3", "2 X1 X2 Z"),
        "group-member-none": WHOLE.replace("2 X1 X2 X3", "2 X1 X2 none"),
        "group-member-itself": WHOLE.replace("2 X1 X2 X3", "2 X1 X2 X-witnesses"),
        "group-member-twice": WHOLE.replace("2 X1 X2 X3", "2 X1 X1 X3"),
        "group-member-of-two-groups": WHOLE.replace("any Y1 Y2 Y3", "any Y1 Y2 X1"),
        "group-member-defined-below": WHOLE.replace(f"witness Y1 {Y[0]}\n", "") + f"witness Y1 {Y[0]}\n",
        "group-named-none": WHOLE.replace("X-witnesses", "none"),
        "group-named-as-a-witness": WHOLE.replace("X-witnesses", "X1"),
        "group-named-twice": WHOLE.replace("Y-witnesses", "X-witnesses"),
        "129-groups": f"witness G0 {X[0]}\n" + "".join(
            f"group G{at} any G{at - 1}\n" for at in range(1, 130)
        ) + "quorum G0\n",
    }  # fmt: skip


def refused_keys() -> dict[str, str | bytes]:
    name, key_id, key64 = str(X[0]).split("+")
    renamed = Cosigner("other.example", b"\1" * 32).verifier
    too_long = vkey("x" * 256, ALGORITHM_ML_DSA_44 + PQ.public_key)
    of_log_kind = note.Signer("x1.example", b"\1" * 32).verifier
    return {
        "witness-named-none": WHOLE.replace("X1 ", "none "),
        "witness-named-twice": WHOLE.replace("witness X2", "witness X1"),
        "witness-key-twice": WHOLE.replace(str(X[1]), str(X[0])),
        "witness-key-twice-under-another-key-name": WHOLE.replace(str(X[1]), str(renamed)),
        "witness-key-of-the-kind-of-a-log": WHOLE.replace(str(X[0]), str(of_log_kind)),
        "witness-key-of-an-unknown-kind": with_x1(b"\x07" + X[0].public_key),
        "witness-key-of-31-bytes": with_x1(b"\x04" + bytes(31)),
        "witness-key-beyond-the-prime": with_x1(b"\x04" + b"\xff" * 31 + b"\x7f"),
        "witness-key-of-the-post-quantum-kind-a-byte-short": with_x1(b"\x06" + bytes(1311)),
        "witness-key-id-of-another": WHOLE.replace(str(X[0]), f"{name}+{X[1].key_hash.hex()}+{key64}"),
        "witness-key-id-in-capitals": WHOLE.replace(str(X[0]), f"{name}+{key_id.upper()}+{key64}"),
        "witness-key-name-changed": WHOLE.replace(str(X[0]), f"x9.example+{key_id}+{key64}"),
        "witness-key-without-padding": WHOLE.replace(str(X[0]), str(X[0]).rstrip("=") + "!"),
        "witness-key-name-not-utf-8": WHOLE.encode().replace(b" x1.example+", b" \xff1.example+"),
        "log-key-twice": WHOLE.replace(f"log {LOG}", f"log {LOG}\nlog {LOG}"),
        "log-key-twice-under-another-name": WHOLE.replace(
            f"log {LOG}", f"log {LOG}\nlog {note.Signer('log.example/b', bytes(range(32))).verifier}"
        ),
        "log-key-of-the-kind-of-a-witness": WHOLE.replace(str(LOG), str(X[0])).replace(f"X1 {X[0]}", f"X1 {PQ}"),
        "log-key-that-is-a-witness-too": f"log {LOG_ML_DSA}\nwitness W {LOG_ML_DSA}\nquorum W\n",
        "post-quantum-key-with-a-name-of-256-bytes": f"witness W {too_long}\nquorum W\n",
    }  # fmt: skip


def with_x1(key: bytes) -> str:
    """The first witness with this kind and key."""
    return WHOLE.replace(str(X[0]), vkey("x1.example", key))


def vkey(name: str, key: bytes) -> str:
    return f"{name}+{note.key_id(name, key[1:], key[:1]).hex()}+{base64.b64encode(key).decode()}"


def many(count: int) -> str:
    logs = "".join(f"log {note.Signer(f'l{at}', at.to_bytes(32, 'big')).verifier}\n" for at in range(count))
    keys = [Cosigner(f"w{at}", at.to_bytes(32, "big")).verifier for at in range(count)]
    witnesses = "".join(f"witness W{at} {key}\n" for at, key in enumerate(keys))
    groups = "group G0 any W0\n" + "".join(f"group G{at} any G{at - 1} W{at}\n" for at in range(1, count))
    return f"{logs}{witnesses}{groups}quorum G{count - 1}\n"
