"""One Python file: the units and tests in it, and their marks. It is parsed, never imported or run.

`read` sees decorators (`@implements`, also under another name; `@pytest.mark.verifies`, on functions, classes, in
`pytestmark` and on parameters) and comments (`remarks`). A comment belongs to the statement that it ends, else to the
next one; inside a function, to the function; above the module's docstring, to the module.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from traceability import bodies, python_marks, python_remarks, remarks
from traceability.citations import Citation, Fault, Reading, Test, Unit
from traceability.errors import SourceInvalid
from traceability.marks import implements
from traceability.python_marks import Marks, Scope

Role = Literal["code", "tests"]

MODULE_NAME: Final = "<module>"


@implements("REQ-TRC-002")
def parse(text: str, file: str) -> ast.Module:
    """Raises `SourceInvalid` with the line."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise SourceInvalid(
            f"{file}:{line}: this is not Python: {error}: correct it, or take it out of the code"
        ) from error


@implements("REQ-TRC-002")
def read(tree: ast.Module, text: str, file: str, role: Role, dialects: frozenset[str] = frozenset()) -> Reading:
    """What `text`, parsed as `tree`, says. `file` is its path in the project; `dialects` whose marks count besides."""
    reader = _Reader(tree, file, role)
    reader.walk(tree.body, "", (), None)
    raw = text.encode("utf-8", "surrogatepass")
    if remarks.QUICK.search(raw) or (dialects and remarks.QUICK_FOREIGN.search(raw)):
        reader.remarks(text, dialects)
    if role == "code":
        reader.strays(raw)
    return reader.reading()


def at(tree: ast.Module, file: str, line: int) -> Unit | None:
    """The function or class that begins at `line`, or else the innermost one around it."""
    found: Unit | None = None
    waiting: list[tuple[Sequence[ast.stmt], str]] = [(tree.body, "")]
    while waiting:
        body, prefix = waiting.pop()
        for scope in _scopes(body):
            unit = bodies.unit(scope, prefix + scope.name, file, is_method=bool(prefix))
            if unit.first_line <= line <= unit.last_line:
                found = unit
                waiting.append((scope.body, f"{unit.name}."))
    return found


class _Reader:
    def __init__(self, tree: ast.Module, file: str, role: Role) -> None:
        self._tree, self._file, self._role = tree, file, role
        self._marks = Marks(tree, file)
        self._citations: list[Citation] = []
        self._units: dict[str, Unit] = {}
        self._candidates: list[tuple[Unit, tuple[str, ...]]] = []
        self._tests: dict[str, Test] = {}
        self._cited: set[str] = set()
        self._faults: list[Fault] = self._marks.faults

    def walk(
        self, body: Sequence[ast.stmt], prefix: str, claims: tuple[tuple[str, int], ...], owner: Scope | None
    ) -> None:
        """Everything that is defined in `body`; `claims` are those of the classes around."""
        if self._role == "tests":
            claims = claims + self._marks.pytestmark(body)
        for scope in _scopes(body):
            name = prefix + scope.name
            if self._role == "code":
                self._code(scope, name, owner)
                inner = claims
            else:
                inner = claims + self._marks.verified(scope.decorator_list)
                self._test(scope, name, inner, owner)
            self.walk(scope.body, f"{name}.", inner if isinstance(scope, ast.ClassDef) else (), scope)

    def remarks(self, text: str, dialects: frozenset[str]) -> None:
        found = python_remarks.read(self._tree, text, self._file, dialects)
        self._faults += found.faults
        for place in found.places:
            said, node = place.remark, place.node
            named = python_remarks.name(self._tree, node)
            tests = list(_tests_in(node, named)) if self._role == "tests" else []
            is_claim = said.kind == "test" or (
                said.kind == "implementation" and said.dialect != "medai" and bool(tests)
            )
            if is_claim:
                targets = [self._claimed(scope, name) for scope, name in tests] or [self._claimed(node, named)]
            else:
                unit = bodies.unit(node, named, self._file)
                targets = [self._units.setdefault(unit.id, unit).id]
                self._cited.add(unit.id)
            self._citations += [
                Citation(
                    requirement=said.requirement, kind="test" if is_claim else said.kind, file=self._file,
                    line=place.line, target=target, reason=said.reason, owner=said.owner, due=said.due,
                    dialect=said.dialect,
                )
                for target in targets
            ]  # fmt: skip

    def _claimed(self, node: ast.AST, name: str) -> str:
        """The id of the test at `node`; what is no test is one that is never run."""
        return self._tests.setdefault(name, _test_of(node, name, self._file)).id

    def strays(self, raw: bytes) -> None:
        """Calls of `implements` that decorate nothing: they mark nothing."""
        if raw.count(b"implements(") > self._marks.seen:
            for node in ast.walk(self._tree):
                if isinstance(node, ast.Call) and self._marks.is_stray(node):
                    self._faults.append(python_marks.stray(self._file, node.lineno))

    def reading(self) -> Reading:
        public = tuple(unit for unit, around in self._candidates if self._cited.isdisjoint({*around, unit.id}))
        return Reading(
            file=self._file, citations=tuple(self._citations), units=tuple(self._units.values()), public=public,
            tests=tuple(self._tests.values()), faults=tuple(self._faults),
        )  # fmt: skip

    def _code(self, scope: Scope, name: str, owner: Scope | None) -> None:
        cited = self._marks.implemented(scope.decorator_list)
        unit = None
        if cited:
            unit = bodies.unit(scope, name, self._file, is_method=isinstance(owner, ast.ClassDef))
            if unit.id in self._units:
                self._faults.append(_twice(unit))
            self._units[unit.id] = unit
            self._cited.add(unit.id)
            self._cite(cited, "implementation", unit.id)
        if (
            not isinstance(scope, ast.ClassDef)
            and _is_public(name)
            and not isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef)
        ):
            unit = unit or bodies.unit(scope, name, self._file, is_method=isinstance(owner, ast.ClassDef))
            if unit.executable:
                self._candidates.append((unit, tuple(f"{self._file}::{around}" for around in _around(name))))

    def _test(self, scope: Scope, name: str, claims: tuple[tuple[str, int], ...], owner: Scope | None) -> None:
        if isinstance(scope, ast.ClassDef) or isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if not claims or not (scope.name.startswith("test") or self._marks.verified(scope.decorator_list)):
            return
        test = _test_of(scope, name, self._file)
        if name in self._tests:
            self._faults.append(_shadowed(test, self._tests[name]))
        self._tests[name] = test
        self._cite(claims, "test", test.id)

    def _cite(self, names: tuple[tuple[str, int], ...], kind: Literal["implementation", "test"], target: str) -> None:
        self._citations += [
            Citation(requirement=name, kind=kind, file=self._file, line=line, target=target) for name, line in names
        ]


def _scopes(body: Sequence[ast.stmt]) -> Iterator[Scope]:
    """The functions and classes of a body, those behind conditions too."""
    for statement in body:
        if isinstance(statement, Scope):
            yield statement
        elif isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            yield from _scopes([node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)])
            for handler in getattr(statement, "handlers", ()):
                yield from _scopes(handler.body)


def _around(name: str) -> list[str]:
    """The names of the scopes around `name`, and of the module."""
    parts = name.split(".")
    return [MODULE_NAME, *(".".join(parts[:count]) for count in range(1, len(parts)))]


def _is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def _tests_in(node: ast.AST, name: str) -> Iterator[tuple[Scope, str]]:
    """The test functions that a remark about `node` is about: itself, or all of a class or a module."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if node.name.startswith("test"):
            yield node, name
    elif isinstance(node, ast.ClassDef | ast.Module):
        for scope in _scopes(node.body):
            yield from _tests_in(scope, scope.name if isinstance(node, ast.Module) else f"{name}.{scope.name}")


def _test_of(node: ast.AST, name: str, file: str) -> Test:
    unit = bodies.unit(node, name, file)
    return Test(id=unit.id, file=file, name=name, line=unit.line, first_line=unit.first_line, last_line=unit.last_line)


def _twice(unit: Unit) -> Fault:
    return Fault(
        code="ambiguous", subject=unit.id, file=unit.file, line=unit.line,
        text=f"{unit.name} is defined and marked twice in this file, so that it is not clear which one is meant",
        remedy="give one of them another name",
    )  # fmt: skip


def _shadowed(test: Test, earlier: Test) -> Fault:
    return Fault(
        code="ambiguous", subject=test.id, file=test.file, line=test.line,
        text=f"{test.name} is defined again here: the test at line {earlier.line} is never run",
        remedy="give one of the two tests another name",
    )  # fmt: skip
