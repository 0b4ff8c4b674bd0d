"""Decorators that are marks: `implements` and `verifies`, under whatever name a file gives them."""

import ast
from collections.abc import Sequence
from typing import Final

from traceability.citations import Fault
from traceability.marks import implements

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Cited = tuple[tuple[str, int], ...]
"""Ids of requirements, each with the line it stands on."""

_IMPLEMENTS: Final = "implements"
_VERIFIES: Final = "verifies"


@implements("REQ-TRC-002")
class Marks:
    """What the names of one module stand for, as far as marks go."""

    def __init__(self, tree: ast.Module, file: str) -> None:
        self.faults: list[Fault] = []
        self.seen = 0
        """How many calls of `implements` were read as decorators."""
        self._file = file
        self._read: set[int] = set()
        self._implements = {_IMPLEMENTS}
        self._marks = {"mark"}
        self._bare: set[str] = set()
        self._called: dict[str, ast.Call] = {}
        self._strings: dict[str, str] = {}
        for statement in tree.body:
            self._learn(statement)

    def implemented(self, decorators: Sequence[ast.expr]) -> Cited:
        """What the `@implements` among `decorators` name."""
        found: list[tuple[str, int]] = []
        for decorator in decorators:
            if isinstance(decorator, ast.Call) and self._is_implements(decorator.func):
                self.seen += 1
                self._read.add(id(decorator))
                found += self._names(decorator, f"@{_IMPLEMENTS}")
            elif self._is_implements(decorator):
                self.seen += 1
                self.faults.append(_unreadable(self._file, decorator.lineno, f"@{_IMPLEMENTS} names no requirement"))
        return tuple(found)

    def verified(self, decorators: Sequence[ast.expr]) -> Cited:
        """What the `verifies` among `decorators` name, those of single parameters included."""
        found: list[tuple[str, int]] = []
        for decorator in decorators:
            found += self._claims(decorator)
            if isinstance(decorator, ast.Call) and not self._is_verifies(decorator.func):
                for node in ast.walk(decorator):
                    if isinstance(node, ast.keyword) and node.arg == "marks":
                        found += self._listed(node.value)
        return tuple(found)

    def pytestmark(self, body: Sequence[ast.stmt]) -> Cited:
        """What a module or a class claims for all its tests."""
        found: list[tuple[str, int]] = []
        for statement in body:
            if isinstance(statement, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "pytestmark" for target in statement.targets
            ):
                found += self._listed(statement.value)
        return tuple(found)

    def is_stray(self, call: ast.Call) -> bool:
        return self._is_implements(call.func) and id(call) not in self._read

    def _learn(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if alias.name == _IMPLEMENTS:
                    self._implements.add(alias.asname or alias.name)
                elif alias.name == "mark":
                    self._marks.add(alias.asname or alias.name)
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
            if not isinstance(target, ast.Name):
                return
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                self._strings[target.id] = value.value
            elif self._is_verifies(value):
                self._bare.add(target.id)
            elif isinstance(value, ast.Call) and self._is_verifies(value.func):
                self._called[target.id] = value
        elif isinstance(statement, ast.FunctionDef) and statement.name == _IMPLEMENTS:
            self._implements.discard(_IMPLEMENTS)  # a function of this file's own, such as in the module of the marks

    def _is_implements(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._implements
        return isinstance(node, ast.Attribute) and node.attr == _IMPLEMENTS

    def _is_verifies(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self._bare
        if not isinstance(node, ast.Attribute) or node.attr != _VERIFIES:
            return False
        holder = node.value
        return (isinstance(holder, ast.Attribute) and holder.attr == "mark") or (
            isinstance(holder, ast.Name) and holder.id in self._marks
        )

    def _listed(self, node: ast.expr) -> list[tuple[str, int]]:
        entries = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
        return [claim for entry in entries for claim in self._claims(entry)]

    def _claims(self, node: ast.expr) -> list[tuple[str, int]]:
        if isinstance(node, ast.Name) and node.id in self._called:
            return [(name, node.lineno) for name, _ in self._names(self._called[node.id], _VERIFIES)]
        if isinstance(node, ast.Call) and self._is_verifies(node.func):
            return self._names(node, _VERIFIES)
        return []

    def _names(self, call: ast.Call, mark: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for argument in call.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                found.append((argument.value, argument.lineno))
            elif isinstance(argument, ast.Name) and argument.id in self._strings:
                found.append((self._strings[argument.id], argument.lineno))
            else:
                said = f"{mark} is given {ast.unparse(argument)}, which cannot be read without running it"
                self.faults.append(_unreadable(self._file, argument.lineno, said))
        if not call.args:
            self.faults.append(_unreadable(self._file, call.lineno, f"{mark} names no requirement"))
        return found


def stray(file: str, line: int) -> Fault:
    return _unreadable(file, line, "implements(...) is called here and decorates nothing, so that it marks nothing")


def _unreadable(file: str, line: int, said: str) -> Fault:
    return Fault(
        code="mark_unreadable", subject=f"{file}:{line}", file=file, line=line, text=said,
        remedy='write @implements("REQ-...") or @pytest.mark.verifies("REQ-...") with the ids as they are',
    )  # fmt: skip
