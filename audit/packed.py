"""A whole tile judged at once: 256 records as the store packs them, found right without reading each.

Reading one record and comparing its search columns costs several times its hashes. Here one regular expression a
kind says that bytes are a record in canonical form, bounds and lengths included, and gives its search columns; it
steps over digests and UUIDs, which are looked at for all records together. So what is accepted is what
`record.decode` and `derived.columns_of` accept, and nothing is ever said to be wrong here: whoever is refused
reads the tile record by record and learns what is wrong with it, if anything is.

Pure.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate, chain, pairwise, repeat
from operator import itemgetter
from struct import pack, unpack
from typing import Final

from msgspec import Struct, inspect

from audit import record, shapes
from audit.derived import COLUMNS, columns_of
from audit.errors import Malformed
from audit.record import Prediction, Record, Request
from traceability.marks import implements

Groups = tuple[bytes, ...]

TILE: Final = 256  # C2SP tlog-tiles: 2^8 leaf hashes a tile

LINE_COLUMNS: Final = (*(name for name in COLUMNS if name != "model"), "model")
"""The search columns in the order of a tile's lines."""

TEXTS: Final = frozenset(
    {"kind", "correlation_id", "actor", "peer", "route", "code", "decision", "model", "release", "patient", "study"}
    | {"phase"}
)
"""The search columns that are text: only these could hold an empty string."""


class Tile(Struct, frozen=True, kw_only=True):
    """The records [first, first + n), as stored, end to end; n is that of `indices`."""

    first: int
    indices: bytes
    """8 bytes each, big-endian, in order."""
    lengths: bytes
    """Of the records in bytes, each with a zero byte, 4 bytes each, big-endian."""
    bodies: bytes
    """The records, a zero byte between two."""
    leaves: bytes
    """The stored leaf hashes."""
    lines: bytes = b""
    """A line a record, by newlines: event id and `LINE_COLUMNS` by commas, a missing value as nothing, a comma for the
    model's `@`. Empty where they were not asked for."""
    doubtful: int = 0
    """How many records have a search column that a line could not tell from another: an empty string, from a missing
    value; a model with a comma."""


class Judged(Struct, frozen=True, kw_only=True):
    """What an accepted tile gives: its leaf hashes, and its clocks where the columns were looked at."""

    leaves: list[bytes]
    clocks: list[int]


@implements("REQ-AUD-022")
def judge(tile: Tile, first: int, end: int, *, schema: bool) -> Judged | None:
    """What `tile` gives if it is the records [first, end) as they must be, else None.

    With `schema`, its records are records and its search columns are theirs; without, its hashes are right.
    """
    count = end - first
    if tile.indices != pack(f">{count}q", *range(first, end)) or len(tile.lengths) != 4 * count:
        return None
    # Where each record begins; the zero byte before it is the one that a leaf is hashed with (RFC 6962 section 2.1).
    starts = list(accumulate(unpack(f">{count}I", tile.lengths), initial=0))
    bodies, first_end = tile.bodies, starts[1] - 1
    if starts[-1] != len(bodies) + 1:
        return None
    leaves = [sha256(b"\x00" + bodies[:first_end]).digest()]
    leaves += [sha256(bodies[start - 1 : after - 1]).digest() for start, after in pairwise(starts[1:])]
    if b"".join(leaves) != tile.leaves:
        return None
    if not schema:
        return Judged(leaves=leaves, clocks=[])
    clocks = _clocks(tile, starts)
    return None if clocks is None else Judged(leaves=leaves, clocks=clocks)


@implements("REQ-AUD-022")
def line(entry: Record) -> bytes:
    """What a tile's line says of `entry`."""
    columns = dict(zip(COLUMNS, columns_of(entry), strict=True))
    values = (columns[name] for name in LINE_COLUMNS)
    text = ",".join((entry.event_id, *("" if value is None else str(value) for value in values)))
    return text.replace("@", ",").encode()  # the model's is the only one


def _clocks(tile: Tile, starts: list[int]) -> list[int] | None:
    """Each record's clock, where all are records and their lines are the tile's."""
    ends = [after - 1 for after in starts[1:]]
    # A tile's records are mostly alike: what reads the first is tried on all.
    read = next((each for each in _reads() if each.match(tile.bodies, 0, ends[0])), _reads()[0])
    matches = list(map(read.match, repeat(tile.bodies), starts, ends))
    found = [match.groups(b"") for match in matches if match is not None]
    if tile.doubtful or not read.hexadecimal(found):
        return None
    lines, clocks = read.lines(found), read.clocks(found)
    for at, match in enumerate(matches) if len(found) < len(matches) else ():
        if match is None:
            other = _other(tile.bodies[starts[at] : ends[at]])
            if other is None:
                return None
            lines.insert(at, other[0])
            clocks.insert(at, other[1])
    return clocks if b"\n".join(lines) == tile.lines else None


def _other(body: bytes) -> tuple[bytes, int] | None:
    """Line and clock of a record of any kind; None where it is not one."""
    for read in _reads():
        match = read.match(body)
        if match is not None:
            groups = [match.groups(b"")]
            return (read.lines(groups)[0], read.clocks(groups)[0]) if read.hexadecimal(groups) else None
    try:
        entry = record.decode(body)
    except Malformed:
        return None
    return line(entry), entry.recorded_at_us


class _Read:
    """One kind's bytes: what they match, and what their groups say."""

    def __init__(self, kind: type[Struct], *, rare: frozenset[str] | None = None) -> None:
        """Where `rare` members are named, they are absent and every other optional one is there: a choice less for
        each is a fifth of the time."""
        writer = _Writer(rare)
        # A group that never takes part stands for the columns that this kind has not.
        expression = writer.struct(inspect.type_info(kind), ()) + "((?!))?"
        # Nothing that is repeated has to give back: what follows it is never of its kind.
        expression = re.sub(r"(\{[0-9]+(?:,[0-9]+)?\})", r"\1+", expression)
        self.match = re.compile(expression.encode(), re.DOTALL).fullmatch
        absent = writer.groups
        at = writer.columns
        self._clock = itemgetter(at["recorded_at_us"])
        named = [at.get(name, absent) for name in ("event_id", *LINE_COLUMNS[:-1])]
        model = (at["model.name"], at["model.version"]) if "model.name" in at else (absent,)
        self._columns = itemgetter(*named, *model)
        self._fixed = [(width, dashes, itemgetter(*groups, absent)) for (width, dashes), groups in writer.fixed.items()]

    def lines(self, matched: Sequence[Groups]) -> list[bytes]:
        return list(map(b",".join, map(self._columns, matched)))

    def clocks(self, matched: Sequence[Groups]) -> list[int]:
        return list(map(int, map(self._clock, matched)))

    def hexadecimal(self, matched: Sequence[Groups]) -> bool:
        """Whether what the expression stepped over is lower-case hexadecimal, with dashes in their places."""
        for width, dashes, pick in self._fixed:
            values = b"".join(chain.from_iterable(map(pick, matched)))
            count = len(values) // width
            if values.translate(None, b"0123456789abcdef") != b"-" * (count * len(dashes)):
                return False
            if any(values[place::width] != b"-" * count for place in dashes):
                return False
        return True


@lru_cache(maxsize=1)
def _reads() -> tuple[_Read, ...]:
    """The kinds of which a ledger is full, a patient's single frame first; any other is read by `record.decode`."""
    return _Read(Prediction, rare=frozenset({"frame"})), _Read(Prediction), _Read(Request)


_PLACES: Final = {
    "finding.decision": "decision",
    "subject.patient": "patient",
    "subject.study": "study",
    "model.name": "model.name",
    "model.version": "model.version",
}
"""Where search columns are that are no members of the record itself."""

_FIXED = re.compile(r"(.*?)((?:\[0-9a-f\]\{[0-9]+\}|-)+)").fullmatch
_RUN = re.compile(r"\[0-9a-f\]\{([0-9]+)\}|-").finditer


class _Writer:
    """Writes the expression of a kind, and notes which groups are what."""

    def __init__(self, rare: frozenset[str] | None) -> None:
        self._rare = rare
        self.groups = 0
        self.columns: dict[str, int] = {}
        self.fixed: dict[tuple[int, tuple[int, ...]], list[int]] = {}

    def struct(self, info: inspect.Type, path: tuple[str, ...]) -> str:
        """The members in order, with commas between those that are there."""
        assert isinstance(info, inspect.StructType)
        fields = {field.name: field for field in info.fields}
        names = sorted({*fields, *([info.tag_field] if info.tag_field else [])} - (self._rare or frozenset()))
        required = [self._rare is not None or name not in fields or fields[name].required for name in names]
        anchor = required.index(True) if True in required else None
        text = ""
        for at, name in enumerate(names):
            member = self._member(name, fields.get(name), info.tag, path)
            if anchor is None:  # a comma only where another member follows
                text += f'(?:{member}(?:,(?=")|(?=\\}})))?'
            elif at < anchor:
                text += f"(?:{member},)?+"
            elif at == anchor:
                text += member
            else:
                text += f",{member}" if required[at] else f"(?:,{member})?+"
        return r"\{" + text + r"\}"

    def _member(self, name: str, field: inspect.Field | None, tag: object, path: tuple[str, ...]) -> str:
        if field is None:
            self._column("kind")
            return f'"{name}":"({tag})"'
        kind = field.type if field.required else _present(field.type)
        return f'"{name}":{self.value(kind, None, (*path, name))}'

    def value(self, info: inspect.Type, pattern: object, path: tuple[str, ...]) -> str:
        match info:
            case inspect.Metadata():
                return self.value(info.type, (info.extra or {}).get(shapes.PATTERN), path)
            case inspect.StructType():
                return self.struct(info, path)
            case inspect.UnionType():
                return f"(?:null|{self.value(_present(info), None, path)})"
            case inspect.VarTupleType():
                assert info.max_length is not None
                item = self.value(info.item_type, None, (*path, "[]"))
                return rf"\[(?:{item}(?:,{item}){{0,{info.max_length - 1}}})?\]"
            case inspect.LiteralType():
                return '"' + self._captured("|".join(re.escape(str(value)) for value in info.values), path) + '"'
            case inspect.IntType():
                return self._captured(_integer(info), path)
            case inspect.StrType():
                assert isinstance(pattern, str)
                return '"' + self._string(pattern, path) + '"'
        raise TypeError(f"no expression for {info}")

    def _string(self, pattern: str, path: tuple[str, ...]) -> str:
        fixed = _FIXED(pattern)
        if fixed is None:
            return self._captured(pattern, path)
        width, dashes = 0, []
        for run in _RUN(fixed[2]):
            if run[1] is None:
                dashes.append(width)
            width += int(run[1] or 1)
        if not fixed[1]:
            self._column(_column_of(path))
            self.fixed.setdefault((width, tuple(dashes)), []).append(self.groups - 1)
            return f"(.{{{width}}})"
        self._column(_column_of(path))
        self._column(None)
        self.fixed.setdefault((width, tuple(dashes)), []).append(self.groups - 1)
        return f"({fixed[1]}(.{{{width}}}))"

    def _captured(self, expression: str, path: tuple[str, ...]) -> str:
        column = _column_of(path)
        if column is None:
            return f"(?:{expression})"
        self._column(column)
        return f"({expression})"

    def _column(self, name: str | None) -> None:
        """The next group, which is this column, or none."""
        if name is not None:
            assert name not in self.columns, "one place for each column"
            self.columns[name] = self.groups
        self.groups += 1


def _column_of(path: tuple[str, ...]) -> str | None:
    if len(path) == 1 and path[0] in {*COLUMNS, "event_id"}:
        return path[0]
    return _PLACES.get(".".join(path))


def _integer(info: inspect.IntType) -> str:
    """Digits that are surely within the bounds; the few numbers at their edge are left to `record.decode`."""
    assert info.ge is not None
    assert info.le is not None
    digits = len(str(info.le))
    first = (info.le + 1) // 10 ** (digits - 1) - 1  # a number of that many digits that begins with this one is less
    longest = f"[1-{first}][0-9]{{{digits - 1}}}" if first else None
    if info.ge == 10 ** (digits - 1):
        assert longest is not None
        return longest
    assert info.ge in (0, -info.le)
    shorter = f"[1-9][0-9]{{0,{digits - 2}}}"
    positive = f"(?:{shorter}|{longest})" if longest else shorter
    return f"0|{'-?' if info.ge < 0 else ''}{positive}"


def _present(info: inspect.Type) -> inspect.Type:
    """The one type that is not null."""
    if not isinstance(info, inspect.UnionType):
        return info
    (one,) = [each for each in info.types if not isinstance(each, inspect.NoneType)]
    return one
