"""Where the comments of a Python file belong, and those StrictDoc marks that stand in docstrings."""

import ast
import io
import tokenize
from collections.abc import Iterator

from msgspec import Struct

from traceability import remarks
from traceability.bodies import without_docstring
from traceability.citations import Fault
from traceability.marks import implements
from traceability.python_marks import Scope
from traceability.remarks import Remark

_MODULE = "<module>"


class Place(Struct, frozen=True, kw_only=True):
    """A mark in a comment, and the piece of syntax that it is about."""

    remark: Remark
    line: int
    node: ast.AST


class Found(Struct, frozen=True, kw_only=True):
    places: tuple[Place, ...]
    faults: tuple[Fault, ...]


@implements("REQ-TRC-002")
def read(tree: ast.Module, text: str, file: str, dialects: frozenset[str]) -> Found:
    """The marks in comments and, for other tools' marks, in docstrings."""
    places: list[Place] = []
    faults: list[Fault] = []
    parents = _Parents(tree)
    for line, column, comment in _comments(text):
        said = remarks.read(comment, dialects)
        for remark in said:
            if remark.scope == "range_end":
                continue
            places.append(Place(remark=remark, line=line, node=parents.meant(line, column, remark.scope)))
            if remark.fault:
                faults.append(_fault(file, line, f"the {remark.kind} of {remark.requirement}", remark.fault))
        if not said and (name := remarks.almost(comment)):
            faults.append(_fault(file, line, f"the comment about {name}", "it is no mark: write # implements: " + name))
    if "strictdoc" in dialects:
        for node, line, words in _docstrings(tree):
            for remark in remarks.read(words, frozenset({"strictdoc"})):
                if remark.dialect == "strictdoc":
                    meant = tree if remark.scope == "file" else node
                    places.append(Place(remark=remark, line=line, node=meant))
    return Found(places=tuple(places), faults=tuple(faults))


def name(tree: ast.Module, node: ast.AST) -> str:
    """What `node` is called in this module: dotted for functions and classes, its targets for an assignment."""
    if isinstance(node, ast.Module):
        return _MODULE
    path = _path(tree, node)
    return ".".join([*path, _own_name(node)])


def _own_name(node: ast.AST) -> str:
    if isinstance(node, Scope):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return ", ".join(names) if names else ast.unparse(node).splitlines()[0][:60]


def _path(tree: ast.AST, wanted: ast.AST) -> list[str]:
    """The names of the scopes around `wanted`."""
    line = getattr(wanted, "lineno", 0)
    path: list[str] = []
    node: ast.AST | None = tree
    while node is not None:
        inner = next((child for child in _statements(node) if child is not wanted and _holds(child, line)), None)
        if isinstance(inner, Scope):
            path.append(inner.name)
        node = inner
    return path


class _Parents:
    """For each line, which statement is meant by a comment there."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree

    def meant(self, line: int, column: int, scope: remarks.Scope) -> ast.AST:
        if scope == "file":
            return self._tree
        around: list[ast.AST] = [self._tree]
        while True:
            children = list(_statements(around[-1]))
            inside = next((child for child in children if _holds(child, line)), None)
            if inside is None or not list(_statements(inside)):
                break
            around.append(inside)
        scopes = [node for node in around if isinstance(node, Scope)]
        ended = next((child for child in children if _holds(child, line)), None)
        following = next((child for child in children if _begin(child) > line and child.col_offset <= column), None)
        target = ended or following
        function = next((node for node in scopes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)), None)
        if isinstance(target, Scope) and (ended is None or _begin(target) == line):
            return target
        if function is not None:
            return scopes[-1] if isinstance(scopes[-1], ast.FunctionDef | ast.AsyncFunctionDef) else function
        if target is None:
            return scopes[-1] if scopes else self._tree
        if (
            around[-1] is self._tree
            and target is self._tree.body[0]
            and target not in without_docstring(self._tree.body)
        ):
            return self._tree
        return target


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from _statements(child)


def _holds(statement: ast.stmt, line: int) -> bool:
    return _begin(statement) <= line <= (statement.end_lineno or statement.lineno)


def _begin(statement: ast.stmt) -> int:
    lines: list[int] = [decorator.lineno for decorator in getattr(statement, "decorator_list", ())]
    return min([statement.lineno, *lines])


def _comments(text: str) -> Iterator[tuple[int, int, str]]:
    """Line, column and words of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.start[1], token.string.lstrip("#").strip()


def _docstrings(tree: ast.Module) -> Iterator[tuple[ast.AST, int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, Scope | ast.Module) and len(without_docstring(node.body)) < len(node.body):
            statement = node.body[0]
            assert isinstance(statement, ast.Expr)
            assert isinstance(statement.value, ast.Constant)
            yield node, statement.lineno, str(statement.value.value)


def _fault(file: str, line: int, what: str, said: str) -> Fault:
    fault, _, remedy = said.partition(": ")
    return Fault(
        code="mark_unreadable", subject=f"{file}:{line}", file=file, line=line, text=f"{what}: {fault}", remedy=remedy
    )
