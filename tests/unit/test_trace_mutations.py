import ast
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceability import bodies, mutations, python_source

pytestmark = pytest.mark.verifies("REQ-TRC-005")


def _mutants(text, name="f", seed=1):
    source = dedent(text).lstrip("\n").encode()
    tree = ast.parse(source)
    read = python_source.read(tree, source.decode(), "product/code.py", "code")
    unit = next(unit for unit in (*read.units, *read.public) if unit.name == name)
    return source, mutations.of(source, tree, unit, seed)


def _bodies(body):
    """What the mutants of a function with this body look like."""
    source, mutants = _mutants(f"def f(a, b, c=1):\n    {body}\n")
    return {mutant.applied(source).decode().splitlines()[1].strip() for mutant in mutants}


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("g(a < b)", {"g(a <= b)", "g(a >= b)", "pass"}),
        ("g(a == b)", {"g(a != b)", "pass"}),
        ("g(a not in b)", {"g(a in b)", "pass"}),
        ("g((a) is (b))", {"g((a) is not (b))", "pass"}),
        ("g(a < b <= c)", {"g(a <= b <= c)", "g(a >= b <= c)", "g(a < b < c)", "g(a < b > c)", "pass"}),
        ("g(a + b)", {"g(a - b)", "pass"}),
        ("g(a // b % c)", {"g(a * b % c)", "g(a // b * c)", "pass"}),
        ("g(a and b or c)", {"g(a or b or c)", "g(a and b and c)", "pass"}),
        ("g(not a)", {"g((a))", "pass"}),
        ("g(-a)", {"g((a))", "pass"}),
        ("g(True)", {"g(False)", "pass"}),
        ("g(7)", {"g((7 + 1))", "pass"}),
        ("g('x')", {"g(('x' + '_'))", "pass"}),
        ("g(b'x')", {"g((b'x' + b'_'))", "pass"}),
        ("return a", {"return None"}),
        ("a += b", {"a -= b", "pass"}),
        ("a.b = c", {"pass"}),
        ("raise g(a)", {"pass"}),
        ("del a[b]", {"pass"}),
        ("d = a if b else c", {"d = a if (not (b)) else c"}),
        ("d = [x for x in a if b]", {"d = [x for x in a if (not (b))]"}),
        ("while a: break", {"while (not (a)): break", "while a: continue"}),
        ("if a: g()", {"if (not (a)): g()", "if a: pass"}),
    ],
)
def test_code_is_changed_in_the_ways_that_are_listed(body, changed):
    assert _bodies(body) == changed


@pytest.mark.parametrize(
    "body",
    ["assert a < b", "raise g('words')", "d: 'Text' = a", "d = a", "return None", "g = f'{a + 1}'", "return"],
)
def test_what_nothing_hangs_on_is_left_alone(body):
    assert _bodies(body) <= {"pass", "return None"}


def test_a_docstring_is_no_constant_to_change():
    _, mutants = _mutants('def f():\n    """Words."""\n    return 1\n')
    assert {mutant.line for mutant in mutants} == {3}


def test_defaults_and_decorators_are_left_alone():
    _, mutants = _mutants("@g(1)\ndef f(a=2, *, b=3):\n    return a\n")
    assert {mutant.line for mutant in mutants} == {3}


def test_an_operator_is_found_across_lines_and_comments():
    source, mutants = _mutants("def f(a, b):\n    return (a  # not this + here\n        + b)\n")
    changed = next(mutant.applied(source) for mutant in mutants if mutant.what == "+ to -")
    assert b"not this + here\n        - b" in changed


def test_what_follows_a_mutant_keeps_its_line():
    text = "def f(a):\n    g(\n        a,\n    )\n    return h(\n        a,\n    )\n\nx = 1\n"
    source, mutants = _mutants(text)
    assert {mutant.applied(source).count(b"\n") for mutant in mutants} == {source.count(b"\n")}


def test_a_name_in_another_script_moves_no_place():
    source, mutants = _mutants("def f(größe):\n    return größe + 1\n")
    assert "größe - 1" in next(mutant.applied(source) for mutant in mutants if mutant.what == "+ to -").decode()


def test_a_constant_of_a_module_is_changed_where_it_is_the_unit():
    source, mutants = _mutants("# implements: REQ-1\nLIMIT = 5\nOTHER = 6\n", "LIMIT")
    assert [mutant.applied(source) for mutant in mutants] == [b"# implements: REQ-1\nLIMIT = (5 + 1)\nOTHER = 6\n"]


def test_a_method_that_is_not_of_the_unit_is_left_alone():
    text = "class F:\n    @implements('REQ-1')\n    def one(self):\n        return 1\n    def two(self): return 2\n"
    _, mutants = _mutants(text, "F.one")
    assert {mutant.line for mutant in mutants} == {4}


def test_every_method_of_a_class_that_is_the_unit_is_changed():
    text = (
        '@implements("REQ-1")\nclass F:\n    def one(self):\n        return 1\n    def two(self):\n        return 2\n'
    )
    _, mutants = _mutants(text, "F")
    assert {mutant.line for mutant in mutants} == {4, 6}


SOME = "def f(a, b):\n    if a < b and b > 1:\n        return a + 2\n    g(a, b)\n    return a - b\n"


def test_the_same_seed_gives_the_same_order():
    assert _mutants(SOME, seed=5) == _mutants(SOME, seed=5)


def test_another_seed_gives_another_order_of_the_same_mutants():
    (_, one), (_, other) = _mutants(SOME, seed=1), _mutants(SOME, seed=2)
    assert (one != other, sorted(one, key=repr) == sorted(other, key=repr)) == (True, True)


PIECES = st.recursive(
    st.sampled_from(["a", "1", "'x'", "True", "None", "b[0]"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "<", "and", "or", "is not", "in", "**", "@", "!="]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        st.tuples(st.sampled_from(["not ", "-", "~"]), inner).map(lambda parts: f"({''.join(parts)})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} if {parts[1]} else {parts[2]})"),
        inner.map(lambda part: f"[x for x in g({part}) if {part}]"),
    ),
    max_leaves=8,
)


@given(PIECES)
def test_every_mutant_of_any_expression_is_python_and_no_longer_the_original(piece):
    source, mutants = _mutants(f"def f(a, b):\n    return {piece}\n")
    original = ast.dump(ast.parse(source))
    assert [mutant for mutant in mutants if ast.dump(ast.parse(mutant.applied(source))) == original] == []


def test_the_unit_of_a_statement_is_the_statement():
    tree = ast.parse("a = 1\nb = 2\n")
    unit = bodies.unit(tree.body[1], "b", "product/code.py")
    assert [mutant.line for mutant in mutations.of(b"a = 1\nb = 2\n", tree, unit, 1)] == [2]
