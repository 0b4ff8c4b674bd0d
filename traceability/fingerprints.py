"""What a person reviewed, as one number each: it moves when the meaning moves, and stays when only the looks do.

    module = read(ast.parse(source))
    of_unit(module, "flow.judge", modules)     its syntax, and the constants that it reads
    of_test(module, "TestX.test_y", modules)   besides these, what it uses of its own file, fixtures first of all
    of_requirement(r), of_hazard(h)            what they say; not their titles, nor where they stand
    of_block(text)                             a piece of SQL, YAML or Terraform, without comments

Left out: docstrings and comments, layout, where in the file something stands, and the marks themselves, so that one
more requirement cited does not make the others suspect. Names that a function assigns itself are no constants.

The numbers do not depend on the version of Python beyond what its syntax tree does: members that are empty are left
out, since each version adds some. Pure.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final

from traceability.marks import implements
from traceability.requirements import Hazard, Requirement

FORMAT: Final = "medai.fingerprint/1"

_PASSED_OVER: Final = frozenset({"kind", "type_comment", "ctx"})  # how a string was spelt, and what the place implies
_MARKS: Final = frozenset({"implements", "verifies", "relation"})
_COMMENTS: Final = ("#", "--", "//")
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Modules = Mapping[str, "Module"]
"""By dotted name: where the constants that one module imports from another are found."""


class Module:
    """One file's syntax, and what its names at the top level stand for."""

    __slots__ = ("constants", "imported", "scopes", "units", "written")

    def __init__(self) -> None:
        self.constants: dict[str, list[ast.stmt]] = {}
        self.scopes: dict[str, _Scope] = {}
        self.imported: dict[str, tuple[str, str | None]] = {}
        """Name -> (module, name there), or (module, None) for the module itself."""
        self.units: dict[str, tuple[_Scope, ast.ClassDef | None]] = {}
        """Every function and class by its dotted name, and the class around it."""
        self.written: dict[tuple[int, ...], _Written] = {}


class _Written:
    """A piece of syntax, written down; what it reads and what it assigns."""

    __slots__ = ("arguments", "digest", "members", "names")

    def __init__(self, nodes: Iterable[ast.AST]) -> None:
        writer = _Writer()
        for node in nodes:
            writer.node(node)
        self.digest = sha256("\0".join(writer.out).encode("utf-8", "surrogatepass")).hexdigest()
        self.names = writer.loads - writer.stores - writer.arguments
        self.arguments = writer.arguments
        self.members = writer.members


@implements("REQ-TRC-007")
def read(tree: ast.Module, package: str = "") -> Module:
    """The module whose syntax this is; `package` is its dotted package, for relative imports."""
    module = Module()
    for statement in _top_level(tree.body):
        _bind(module, statement, package)
    _collect(module, tree.body, "", None)
    return module


@implements("REQ-TRC-007")
def of_unit(module: Module, name: str, modules: Modules) -> str:
    """The function, class or constant `name` of `module`. Raises `KeyError` where there is none."""
    if name not in module.units:
        return _combined("constant", _closure(module, None, module.constants[name], modules, follow=False))
    node, owner = module.units[name]
    return _combined("unit", _closure(module, owner, [node], modules, follow=False))


@implements("REQ-TRC-007")
def of_test(module: Module, name: str, modules: Modules) -> str:
    """The test function `name` of `module`, with what it uses of its own file."""
    node, owner = module.units[name]
    return _combined("test", _closure(module, owner, [node], modules, follow=True))


@implements("REQ-TRC-007")
def of_requirement(item: Requirement) -> str:
    """What it asks for, by which criterion, of which class and how it is verified."""
    return _combined("requirement", [item.text, item.criterion, item.type, item.safety_class, item.verification])


@implements("REQ-TRC-007")
def of_hazard(item: Hazard) -> str:
    """What may harm, why, how badly, and what controls it."""
    told = [item.hazard, item.cause, item.situation or "", item.harm, item.severity or "", *sorted(item.controls)]
    return _combined("hazard", told)


def of_block(text: str) -> str:
    """A piece of a file that is not Python: its lines without white space at their ends, empty ones and comments."""
    lines = (line.strip() for line in text.splitlines())
    return _combined("block", [line for line in lines if line and not line.startswith(_COMMENTS)])


def _combined(kind: str, parts: Iterable[str]) -> str:
    written = "\0".join((FORMAT, kind, *(part.replace("\0", "\0\0") for part in parts)))
    return sha256(written.encode("utf-8", "surrogatepass")).hexdigest()


# ---- what a piece of syntax depends on ----


def _closure(
    module: Module, owner: ast.ClassDef | None, nodes: Sequence[ast.AST], modules: Modules, *, follow: bool
) -> list[str]:
    """The digest of `nodes`, then those of all that they read, in the order of their digests."""
    first = _written(module, nodes)
    found: dict[tuple[int, ...], str] = {}
    waiting = [(module, owner, first)]
    while waiting:
        here, within, written = waiting.pop()
        for there, around, used in _used(here, within, written, modules, follow=follow):
            key = tuple(map(id, used))
            if key not in found and used[0] is not nodes[0]:
                found[key] = (read_there := _written(there, used)).digest
                waiting.append((there, around, read_there))
    return [first.digest, *sorted(found.values())]


def _used(
    module: Module, owner: ast.ClassDef | None, written: _Written, modules: Modules, *, follow: bool
) -> Iterator[tuple[Module, ast.ClassDef | None, Sequence[ast.AST]]]:
    for name in written.names | written.arguments if follow else written.names:  # a test's arguments are its fixtures
        if name in module.constants:
            yield module, None, module.constants[name]
        elif follow and name in module.scopes:
            yield module, None, [module.scopes[name]]
        elif name in module.imported:
            yield from _imported(module.imported[name], modules)
    for base, member in written.members:
        if base in module.imported:
            path, name_there = module.imported[base]
            yield from _imported((f"{path}.{name_there}" if name_there else path, member), modules)
        elif owner is not None and base in ("self", "cls", owner.name):
            yield from ((module, owner, [node]) for node in _of_class(owner, member, follow=follow))


def _imported(
    place: tuple[str, str | None], modules: Modules
) -> Iterator[tuple[Module, ast.ClassDef | None, Sequence[ast.AST]]]:
    """A constant of another module; its functions are units of their own."""
    path, name = place
    there = modules.get(path)
    if there is not None and name is not None and name in there.constants:
        yield there, None, there.constants[name]


def _of_class(owner: ast.ClassDef, member: str, *, follow: bool) -> Iterator[ast.stmt]:
    """What the class's body says of `member`: a constant, and where functions are followed, the function."""
    for statement in owner.body:
        if member in _assigned(statement) or (
            follow and isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == member
        ):
            yield statement


def _written(module: Module, nodes: Sequence[ast.AST]) -> _Written:
    key = tuple(map(id, nodes))
    if key not in module.written:
        module.written[key] = _Written(nodes)
    return module.written[key]


# ---- reading a module ----


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported, those behind a condition too."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                yield from _top_level(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", ()):
            yield from _top_level(handler.body)


def _bind(module: Module, statement: ast.stmt, package: str) -> None:
    if isinstance(statement, _Scope):
        module.scopes[statement.name] = statement
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            name = alias.asname or alias.name.partition(".")[0]
            module.imported[name] = (alias.name if alias.asname else name, None)
    elif isinstance(statement, ast.ImportFrom):
        parents = package.split(".")[: -(statement.level - 1) or None] if statement.level else []
        source = ".".join([*(part for part in parents if part), *([statement.module] if statement.module else [])])
        for alias in statement.names:
            module.imported[alias.asname or alias.name] = (source, alias.name)
    else:
        for name in _assigned(statement):
            module.constants.setdefault(name, []).append(statement)


def _assigned(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return []
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _collect(module: Module, body: list[ast.stmt], prefix: str, owner: ast.ClassDef | None) -> None:
    for statement in body:
        if isinstance(statement, _Scope):
            module.units[prefix + statement.name] = (statement, owner)
            around = statement if isinstance(statement, ast.ClassDef) else owner
            _collect(module, statement.body, f"{prefix}{statement.name}.", around)
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            _collect(module, list(_top_level([statement]))[1:], prefix, owner)


# ---- writing syntax down ----


class _Writer:
    """Writes a tree of syntax as a list of strings, one meaning one list; notes which names it reads."""

    __slots__ = ("arguments", "loads", "members", "out", "stores")

    def __init__(self) -> None:
        self.out: list[str] = []
        self.loads: set[str] = set()
        self.stores: set[str] = set()
        self.arguments: set[str] = set()
        self.members: set[tuple[str, str]] = set()

    def node(self, node: ast.AST) -> None:
        kind = type(node).__name__
        self.out.append(kind)
        if isinstance(node, ast.Constant):
            self.out.append(f"{type(node.value).__name__}:{node.value!r}")
            return
        self._note(node)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or name in _PASSED_OVER:
                continue
            if isinstance(value, list):
                self._list(name, value)
            else:
                self.out.append(name)
                self._value(value)
        self.out.append(")")

    def _list(self, name: str, values: list[object]) -> None:
        if name in ("body", "decorator_list"):
            values = [value for value in values if not _says_nothing(value)]
        if values:
            self.out.append(f"{name}[")
            for value in values:
                self._value(value)
            self.out.append("]")

    def _value(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self.node(value)
        else:
            self.out.append(repr(value))

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            (self.loads if isinstance(node.ctx, ast.Load) else self.stores).add(node.id)
        elif isinstance(node, ast.arg):
            self.arguments.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            self.members.add((node.value.id, node.attr))


def _says_nothing(node: object) -> bool:
    """A docstring or another string on its own, or a mark of ours."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    if isinstance(node, ast.Call):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in _MARKS
    return False
