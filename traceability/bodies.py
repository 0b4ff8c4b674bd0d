"""The lines of a piece of Python that run when it is called, and not already when it is imported."""

import ast
from collections.abc import Iterator, Sequence

from traceability.citations import Unit
from traceability.rows import UnitKind

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def unit(node: ast.AST, name: str, file: str, *, is_method: bool = False) -> Unit:
    """The unit that `node` is: a function, a class, the module, or a statement such as that of a constant."""
    functions = list(_functions(node))
    working = [function for function in functions if not _is_hollow(function)]
    spans, entries = [], []
    for function in working:
        first, last, shared = _span(function)
        if first <= last:
            spans.append((first, last))
        if shared:
            entries.append(_first_line(function))
    return Unit(
        id=f"{file}::{name}", file=file, name=name, kind=_kind(node, is_method=is_method), line=line_of(node),
        first_line=_first_line(node), last_line=_last_line(node), bodies=tuple(spans), entries=tuple(entries),
        hollow=bool(functions) and not working,
    )  # fmt: skip


def without_docstring(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def _functions(node: ast.AST) -> Iterator[_Function]:
    """The outermost functions in `node`, itself included; what is nested in one is a part of it."""
    if isinstance(node, _Function):
        yield node
    elif isinstance(node, ast.stmt | ast.Module | ast.ExceptHandler):
        for child in ast.iter_child_nodes(node):
            yield from _functions(child)


def _is_hollow(function: _Function) -> bool:
    return all(_does_nothing(statement) for statement in function.body)


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    return False


def _span(function: _Function) -> tuple[int, int, bool]:
    """The first and last line of the body that the header does not share, and whether they share one."""
    body = without_docstring(function.body)
    arguments = function.args
    parts = [*ast.iter_child_nodes(arguments), *([function.returns] if function.returns else [])]
    header = max([function.lineno, *(getattr(part, "end_lineno", None) or 0 for part in parts)])
    first, last = body[0].lineno, function.end_lineno or function.lineno
    return (header + 1, last, True) if first <= header else (first, last, False)


def _first_line(node: ast.AST) -> int:
    """The line by which Python knows the code: that of the first decorator."""
    lines: list[int] = [decorator.lineno for decorator in getattr(node, "decorator_list", ())]
    return min([line_of(node), *lines])


def _last_line(node: ast.AST) -> int:
    if isinstance(node, ast.Module):
        return max((statement.end_lineno or 1 for statement in node.body), default=1)
    return getattr(node, "end_lineno", None) or line_of(node)


def line_of(node: ast.AST) -> int:
    """The line of `node`; 1 for a module, which has none."""
    line: int = getattr(node, "lineno", 1)
    return line


def _kind(node: ast.AST, *, is_method: bool) -> UnitKind:
    if isinstance(node, _Function):
        return "method" if is_method else "function"
    if isinstance(node, ast.ClassDef):
        return "class"
    return "module" if isinstance(node, ast.Module) else "constant"
