"""Trust policies (C2SP tlog-policy): which logs, which witnesses, and how many of them make a quorum.

    log VKEY [URL]
    witness NAME VKEY [URL]
    group NAME all|any|K NAME...
    quorum NAME|none

Lines end in a newline, their items stand between spaces and tabs, and `#` begins a comment line. A group and
the quorum name only what stands above them. Names are bytes: two that look alike may differ.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from audit import cosignature, note
from audit.errors import Malformed
from audit.receipt import Group, Policy, Witness, shown
from traceability.marks import implements

MAX_POLICY_BYTES: Final = 1024 * 1024
MAX_LINES_OF_A_KIND: Final = 128  # the specification asks for at least 32 logs, witnesses and groups
NO_QUORUM: Final = "none"

# C2SP tlog-policy, "Character set".
_forbidden = re.compile(rb"[^\x09\x0a\x20-\x7e\x80-\xff]").search
_decimal = re.compile("[1-9][0-9]{0,8}").fullmatch


@implements("REQ-PUB-007")
def parse(text: str | bytes) -> Policy:
    """The policy whose text this is. Raises `Malformed` naming the line.

    Its logs may be none: then the application has to know them from elsewhere.
    """
    return _Reading().policy(_lines(text))


class _Reading:
    """A policy of which some lines were read."""

    def __init__(self) -> None:
        self._logs: list[note.NoteVerifier] = []
        self._witnesses: list[Witness] = []
        self._named: dict[str, Witness | Group] = {}
        self._members: set[str] = set()
        self._groups = 0
        self._quorum: list[Witness | Group | None] = []
        self._kinds: dict[str, Callable[[Sequence[str]], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._the_quorum,
        }

    def policy(self, lines: Sequence[str]) -> Policy:
        for at, line in enumerate(lines, 1):
            items = re.findall("[^ \t]+", line)
            if not items or items[0].startswith("#"):
                continue
            kind = self._kinds.get(items[0])
            if kind is None:
                raise Malformed(f"policy: line {at}: expected log, witness, group, quorum or a comment")
            try:
                kind(items[1:])
            except Malformed as error:
                raise Malformed(f"policy: line {at}: {error}") from error
        if not self._quorum:
            raise Malformed("policy: no quorum line; `quorum none` asks for no witness")
        return Policy(logs=tuple(self._logs), witnesses=tuple(self._witnesses), quorum=self._quorum[0])

    def _log(self, items: Sequence[str]) -> None:
        if len(items) not in (1, 2):
            raise Malformed("expected log VKEY [URL]")
        key = log_key(_utf8(items[0]))
        self._require_new(key, self._logs)
        self._logs.append(key)

    def _witness(self, items: Sequence[str]) -> None:
        if len(items) not in (2, 3):
            raise Malformed("expected witness NAME VKEY [URL]")
        key = cosignature.Verifier.parse(_utf8(items[1]))
        self._require_new(key, [witness.key for witness in self._witnesses])
        witness = Witness(name=items[0], key=key, url=items[2] if len(items) == 3 else None)
        self._define(witness)
        self._witnesses.append(witness)

    def _group(self, items: Sequence[str]) -> None:
        if len(items) < 3:
            raise Malformed("expected group NAME all|any|K NAME...")
        self._groups += 1
        if self._groups > MAX_LINES_OF_A_KIND:
            raise Malformed(f"more than {MAX_LINES_OF_A_KIND} groups")
        name, threshold, *members = items
        for member in members:
            if member in self._members:
                raise Malformed(f"{shown(member)} is a member already; a name is a member once in the whole file")
            self._members.add(member)
        found = tuple(self._find(member) for member in members)
        self._define(Group(name=name, threshold=_threshold(threshold, len(found)), members=found))

    def _the_quorum(self, items: Sequence[str]) -> None:
        if len(items) != 1:
            raise Malformed("expected quorum NAME")
        if self._quorum:
            raise Malformed("a second quorum line")
        self._quorum.append(None if items[0] == NO_QUORUM else self._find(items[0]))

    def _find(self, name: str) -> Witness | Group:
        if name not in self._named:
            raise Malformed(f"{shown(name)} is not the name of a witness or group on a line above")
        return self._named[name]

    def _define(self, one: Witness | Group) -> None:
        if one.name in self._named or one.name == NO_QUORUM:
            raise Malformed(f"the name {shown(one.name)} is taken; witnesses and groups share one set of names")
        self._named[one.name] = one

    def _require_new(self, key: note.NoteVerifier, known: Sequence[note.NoteVerifier]) -> None:
        if len(known) == MAX_LINES_OF_A_KIND:
            raise Malformed(f"more than {MAX_LINES_OF_A_KIND} lines of a kind")
        if any(key.public_key == other.public_key for other in known):
            raise Malformed("the same public key stands on another line; under another name it is still the same")
        everyone = [*self._logs, *(witness.key for witness in self._witnesses)]
        if any((key.name, key.key_hash) == (other.name, other.key_hash) for other in everyone):
            raise Malformed("a key with this name and id stands on another line; no signature could tell them apart")


@implements("REQ-PUB-007")
def log_key(vkey: str) -> note.NoteVerifier:
    """A log's key: Ed25519 (type 1), or ML-DSA-44 (type 6), as C2SP tlog-checkpoint has it. Raises `Malformed`."""
    if note.split_vkey(vkey).algorithm == note.ALGORITHM_ED25519:
        return note.Verifier.parse(vkey)
    key = cosignature.Verifier.parse(vkey)
    if key.algorithm != cosignature.ALGORITHM_ML_DSA_44:
        raise Malformed("verifier key: a log's is of algorithm 1, Ed25519, or 6, ML-DSA-44; 4 is a witness's")
    return key


def _threshold(written: str, members: int) -> int:
    if written in ("all", "any"):
        return members if written == "all" else 1
    if _decimal(written) is None or not 1 <= int(written) <= members:
        raise Malformed(f"a group's threshold is all, any or a decimal from 1 to its {members} members")
    return int(written)


def _lines(text: str | bytes) -> list[str]:
    if not isinstance(text, str | bytes):
        raise Malformed("policy: expected a text, or its bytes")
    if len(text) > MAX_POLICY_BYTES:
        raise Malformed(f"policy: at most {MAX_POLICY_BYTES} bytes")
    try:
        octets = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise Malformed("policy: a lone surrogate") from error
    if _forbidden(octets):
        raise Malformed("policy: a control character other than tab and newline; lines end in a newline alone")
    if not octets.endswith(b"\n"):
        raise Malformed("policy: its last line does not end in a newline; it may have been cut")
    # Names are octets: with surrogateescape, text and octets are the same in both directions.
    return octets.decode("utf-8", "surrogateescape").split("\n")[:-1]


def _utf8(item: str) -> str:
    """An item that must be text: key names are. Raises `Malformed`."""
    try:
        item.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("a key's name that is not UTF-8") from error
    return item
