"""Mutants: small changes of a unit that a test of it should notice. Pure.

Each is one edit of the source that leaves all else as it is, so that lines keep their numbers:

    comparison     < to <= and to >=, == to !=, in to not in, is to is not ...
    arithmetic     + to -, * to +, // to *, & to |, << to >> ..., also in +=
    logic          and to or, not x to x, a condition to its opposite, True to False
    constant       n to n + 1, text and bytes to one with something added, "" to something
    return         a value to None
    statement      a call, a raise, a deletion, an assignment to a member: gone; break to continue and back

Left alone: docstrings, annotations, decorators and defaults, what stands in an f-string or an `assert`, and the words
of a `raise`: nothing that the product does hangs on them. Which mutants there are, and in which order, follows from
the text and the seed; `mutant_records.ENGINE` moves when the rules do.
"""

import ast
import hashlib
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from traceability.bodies import without_docstring
from traceability.citations import Unit
from traceability.marks import implements


class Mutant(Struct, frozen=True, kw_only=True):
    """One edit: the bytes from `start` to `end` of the source become `text`."""

    line: int
    what: str
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode("utf-8") + source[self.end :]


_COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, tuple[str, ...]]]] = {
    ast.Lt: ("<", ("<=", ">=")), ast.LtE: ("<=", ("<", ">")), ast.Gt: (">", (">=", "<=")), ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)), ast.NotEq: ("!=", ("==",)), ast.Is: ("is", ("is not",)), ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)), ast.NotIn: ("not in", ("in",)),
}  # fmt: skip
_ARITHMETIC: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"), ast.Pow: ("**", "*"), ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.BitXor: ("^", "&"), ast.MatMult: ("@", "*"),
}  # fmt: skip
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@implements("REQ-TRC-005")
def of(source: bytes, tree: ast.Module, unit: Unit, seed: int) -> list[Mutant]:
    """The mutants of `unit` in the order in which they are tried."""
    maker = _Maker(source)
    for node in _parts(tree, unit):
        maker.statement(node)
    unique = {(mutant.start, mutant.end, mutant.text): mutant for mutant in maker.made}
    return sorted(unique.values(), key=lambda mutant: _order(seed, unit.id, mutant))


def _order(seed: int, unit: str, mutant: Mutant) -> str:
    """As good as random, and the same each time: a sample of the first ones is spread over the unit."""
    return hashlib.sha256(f"{seed}\0{unit}\0{mutant.start}\0{mutant.end}\0{mutant.text}".encode()).hexdigest()


def _parts(tree: ast.Module, unit: Unit) -> Iterator[ast.stmt]:
    """The statements of the unit that may be changed: the bodies of its functions, or the statement that it is."""
    if unit.bodies or unit.entries:
        for function in _functions(tree, unit):
            yield from without_docstring(function.body)
    else:
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt) and (node.lineno, node.end_lineno) == (unit.line, unit.last_line):
                yield node
                return


def _functions(node: ast.AST, unit: Unit) -> Iterator[_Function]:
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, _Function)
            and unit.first_line <= child.lineno
            and (child.end_lineno or 0) <= unit.last_line
        ):
            yield child
        elif isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _functions(child, unit)


class _Maker:
    def __init__(self, source: bytes) -> None:
        self.made: list[Mutant] = []
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assert):
            return
        if isinstance(node, _Function | ast.ClassDef):
            for inner in without_docstring(node.body):
                self.statement(inner)
            return
        self._whole(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_comment") or (
                name == "target" and isinstance(node, ast.AnnAssign)
            ):
                continue
            for part in value if isinstance(value, list) else [value]:
                self._part(part, words=isinstance(node, ast.Raise))

    def _part(self, node: object, *, words: bool) -> None:
        if isinstance(node, ast.stmt):
            self.statement(node)
        elif isinstance(node, ast.expr):
            self._expression(node, words=words)
        elif isinstance(node, ast.ExceptHandler | ast.match_case | ast.withitem | ast.comprehension | ast.keyword):
            conditions = [*getattr(node, "ifs", ()), *([guard] if (guard := getattr(node, "guard", None)) else [])]
            for condition in conditions:
                self._opposite(condition)
            for child in ast.iter_child_nodes(node):
                self._part(child, words=words)

    def _whole(self, node: ast.stmt) -> None:
        """What changes a statement as a whole."""
        if isinstance(node, ast.If | ast.While):
            self._opposite(node.test)
        elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
            self._replace(node.value, "None", f"return {self._text(node.value)} to return None")
        elif isinstance(node, ast.AugAssign):
            found, instead = _ARITHMETIC[type(node.op)]
            self._between(node.target, node.value, f"{found}=", f"{instead}=")
        elif isinstance(node, ast.Break):
            self._replace(node, "continue", "break to continue")
        elif isinstance(node, ast.Continue):
            self._replace(node, "break", "continue to break")
        if _can_go(node):
            self._replace(node, "pass", f"{self._text(node)} gone")

    def _expression(self, node: ast.expr, *, words: bool) -> None:
        if isinstance(node, ast.JoinedStr):
            return  # positions in an f-string are not those of the file before Python 3.12
        if isinstance(node, ast.Compare):
            for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                found, others = _COMPARISONS[type(operator)]
                for instead in others:
                    self._between(left, right, found, instead)
        elif isinstance(node, ast.BinOp):
            found, instead = _ARITHMETIC[type(node.op)]
            self._between(node.left, node.right, found, instead)
        elif isinstance(node, ast.BoolOp):
            found, instead = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in zip(node.values, node.values[1:], strict=False):
                self._between(left, right, found, instead)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
            self._replace(node, f"({self._text(node.operand, whole=True)})", f"{self._text(node)} without its sign")
        elif isinstance(node, ast.IfExp):
            self._opposite(node.test)
        elif isinstance(node, ast.Constant):
            self._constant(node, words=words)
        for child in ast.iter_child_nodes(node):
            self._part(child, words=words)

    def _constant(self, node: ast.Constant, *, words: bool) -> None:
        value = node.value
        if value is True or value is False:
            self._replace(node, str(not value), f"{value} to {not value}")
        elif isinstance(value, int | float):
            self._replace(
                node, f"({self._text(node, whole=True)} + 1)", f"{self._text(node)} to {self._text(node)} + 1"
            )
        elif isinstance(value, str | bytes) and not words:
            added = "'_'" if isinstance(value, str) else "b'_'"
            text = self._text(node, whole=True)
            self._replace(node, f"({text} + {added})", f"{self._text(node)} with something added")

    def _opposite(self, node: ast.expr) -> None:
        self._replace(node, f"(not ({self._text(node, whole=True)}))", f"{self._text(node)} to its opposite")

    def _between(self, left: ast.expr, right: ast.expr, found: str, instead: str) -> None:
        """Replace the operator that stands between two expressions, whatever brackets and lines are around it."""
        start, end = self._span(left)[1], self._span(right)[0]
        between = self._source[start:end]
        blank = bytes(between)
        while (comment := blank.find(b"#")) >= 0:
            stop = blank.find(b"\n", comment)
            stop = len(blank) if stop < 0 else stop
            blank = blank[:comment] + b" " * (stop - comment) + blank[stop:]
        words = found.split(" ")
        place = blank.find(words[0].encode())
        last = blank.find(words[-1].encode(), place) + len(words[-1]) if len(words) > 1 else place + len(found)
        if place >= 0:
            self._edit(start + place, start + last, instead, getattr(right, "lineno", 1), f"{found} to {instead}")

    def _replace(self, node: ast.expr | ast.stmt, text: str, what: str) -> None:
        start, end = self._span(node)
        lines = "\n" * (self._source[start:end].count(b"\n") - text.count("\n"))  # what follows keeps its line
        if lines:
            text = f"pass{lines}" if text == "pass" else f"({text}{lines})"
        self._edit(start, end, text, node.lineno, what)

    def _edit(self, start: int, end: int, text: str, line: int, what: str) -> None:
        self.made.append(Mutant(line=line, what=what, start=start, end=end, text=text))

    def _text(self, node: ast.AST, *, whole: bool = False) -> str:
        start, end = self._span(node)
        text = self._source[start:end].decode("utf-8")
        if whole:
            return text
        short = " ".join(text.split())
        return short if len(short) <= _SHOWN else short[: _SHOWN - 3] + "..."

    def _span(self, node: ast.AST) -> tuple[int, int]:
        at, of_line = self._starts, node
        assert isinstance(of_line, ast.expr | ast.stmt)
        assert of_line.end_lineno is not None
        assert of_line.end_col_offset is not None
        return at[of_line.lineno - 1] + of_line.col_offset, at[of_line.end_lineno - 1] + of_line.end_col_offset


_SHOWN: Final = 60


def _can_go(node: ast.stmt) -> bool:
    """Whether what a statement does can be left out without leaving a name undefined."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call | ast.Await)
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.Raise | ast.AugAssign | ast.Delete)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
