"""A fingerprint moves when what was reviewed moves, and when nothing else does."""

import ast
import textwrap

import msgspec
import pytest

from traceability import fingerprints
from traceability.requirements import Hazard, Requirement, Source

CODE = '''
"""A module."""
import re
from limits import MOST as LIMIT
import tables

LEAST = 1
PATTERN = re.compile(r"[a-z]{%d}" % LEAST)
UNREAD = 5


@implements("REQ-1")
def judge(value, least=None):
    """Says whether."""
    # the end counts
    if PATTERN.match(value) and len(value) <= LIMIT:
        return tables.ROWS[0]
    return None


class Gate:
    """A gate."""

    width = 2

    def passes(self, value):
        return judge(value) and self.width
'''

TESTS = """
import pytest

WORDS = ["a", "b"]


@pytest.fixture
def word(root):
    return WORDS[0] + root


@pytest.fixture
def root():
    return "x"


def helper(value):
    return value


@pytest.mark.verifies("REQ-1")
@pytest.mark.parametrize("size", [1, 2])
def test_it_is_judged(word, size):
    assert helper(word)


def test_another_thing():
    assert True


class TestMore:
    WIDTH = 3

    def measure(self, value):
        return value

    def test_it_is_measured(self):
        assert self.measure(1) == self.WIDTH
"""
ELSEWHERE = {"limits": "MOST = 9\n", "tables": "ROWS = (1, 2)\n"}


def modules(elsewhere):
    return {name: fingerprints.read(ast.parse(text)) for name, text in elsewhere.items()}


def unit(code=CODE, name="judge", **elsewhere):
    return fingerprints.of_unit(fingerprints.read(ast.parse(code)), name, modules(ELSEWHERE | elsewhere))


def case(code=TESTS, name="test_it_is_judged"):
    return fingerprints.of_test(fingerprints.read(ast.parse(code)), name, {})


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Says whether."""', '"""Another docstring."""'),
        ('    """Says whether."""\n', ""),
        ("# the end counts", "# another comment"),
        ("    return None", "\n\n    return None"),
        ("UNREAD = 5", "UNREAD = 6"),
        ('@implements("REQ-1")', '@implements("REQ-1", "REQ-2")'),
        ("class Gate:", "def between():\n    return 1\n\n\nclass Gate:"),
        ("width = 2", "width = 3"),
        ('tables.ROWS[0]', "tables.ROWS[(0)]"),
    ],
    ids=["docstring", "no docstring", "comment", "layout", "constant not read", "mark", "neighbour", "other class",
         "brackets"],
)  # fmt: skip
def test_what_changes_nothing_of_a_units_meaning_leaves_its_fingerprint(old, new):
    assert old in CODE
    assert unit(CODE.replace(old, new)) == unit()


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<= LIMIT", "< LIMIT"),
        ("least=None", "least=0"),
        ("LEAST = 1", "LEAST = 2"),
        ('r"[a-z]{%d}"', 'r"[a-y]{%d}"'),
        ("from limits import MOST", "from limits import LEAST"),
        ("tables.ROWS[0]", "tables.ROWS[1]"),
        ("return None", "return 0"),
        ("return None", "return False"),
    ],
)
def test_what_changes_a_units_meaning_moves_its_fingerprint(old, new):
    assert old in CODE
    assert unit(CODE.replace(old, new), limits="MOST = 9\nLEAST = 1\n") != unit()


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize("changed", [{"limits": "MOST = 8\n"}, {"tables": "ROWS = (1, 3)\n"}])
def test_a_constant_of_another_module_that_a_unit_reads_moves_its_fingerprint(changed):
    assert unit(**changed) != unit()


@pytest.mark.verifies("REQ-TRC-007")
def test_a_constant_of_its_class_that_a_method_reads_moves_its_fingerprint():
    assert unit(CODE.replace("width = 2", "width = 3"), "Gate.passes") != unit(name="Gate.passes")


@pytest.mark.verifies("REQ-TRC-007")
def test_a_name_that_a_function_assigns_itself_is_no_constant():
    code = "total = 1\n\n\ndef count(items):\n    total = 0\n    return total\n"
    assert unit(code, "count") == unit(code.replace("total = 1", "total = 2"), "count")


@pytest.mark.verifies("REQ-TRC-007")
def test_an_argument_of_a_function_is_no_constant():
    code = "items = 1\n\n\ndef count(items):\n    return items\n"
    assert unit(code, "count") == unit(code.replace("items = 1", "items = 2"), "count")


@pytest.mark.verifies("REQ-TRC-007")
def test_an_integer_and_a_boolean_of_one_value_are_two_meanings():
    assert unit("A = 1\n", "A") != unit("A = True\n", "A")


@pytest.mark.verifies("REQ-TRC-007")
def test_a_constant_that_is_added_to_later_moves_with_what_is_added():
    code = "NAMES = ['a']\nNAMES += ['b']\n\n\ndef names():\n    return NAMES\n"
    assert unit(code, "names") != unit(code.replace("'b'", "'c'"), "names")


@pytest.mark.verifies("REQ-TRC-007")
def test_a_constant_can_be_a_unit_of_its_own():
    assert unit(name="PATTERN") != unit(CODE.replace("LEAST = 1", "LEAST = 3"), "PATTERN")


@pytest.mark.verifies("REQ-TRC-007")
def test_constants_that_read_each_other_have_a_fingerprint():
    code = "A = [lambda: B]\nB = [lambda: A]\n\n\ndef first():\n    return A\n"
    assert unit(code, "first") != unit(code.replace("lambda: A", "lambda: 0"), "first")


@pytest.mark.verifies("REQ-TRC-007")
def test_what_is_not_there_has_no_fingerprint():
    with pytest.raises(KeyError):
        unit(name="nobody")


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[1, 2])", "[1, 3])"),
        ('WORDS = ["a", "b"]', 'WORDS = ["a", "c"]'),
        ('return "x"', 'return "y"'),
        ("return value\n\n\n@pytest.mark.verifies", "return not value\n\n\n@pytest.mark.verifies"),
        ("assert helper(word)", "assert not helper(word)"),
    ],
    ids=["parameter", "constant of a fixture", "fixture of a fixture", "helper", "assertion"],
)
def test_what_a_test_uses_of_its_file_moves_its_fingerprint(old, new):
    assert old in TESTS
    assert case(TESTS.replace(old, new)) != case()


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize(
    ("old", "new"),
    [("assert True", "assert 1"), ('verifies("REQ-1")', 'verifies("REQ-1", "REQ-2")'), ("WIDTH = 3", "WIDTH = 4")],
    ids=["another test", "mark", "a class of other tests"],
)
def test_what_a_test_does_not_use_leaves_its_fingerprint(old, new):
    assert old in TESTS
    assert case(TESTS.replace(old, new)) == case()


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize(
    ("old", "new"), [("return value\n\n    def", "return 1\n\n    def"), ("WIDTH = 3", "WIDTH = 4")]
)
def test_what_a_test_uses_of_its_class_moves_its_fingerprint(old, new):
    assert old in TESTS
    assert case(TESTS.replace(old, new), "TestMore.test_it_is_measured") != case(name="TestMore.test_it_is_measured")


def a_requirement(**changes):
    made = Requirement(
        id="REQ-1", title="A title", text="It shall.", criterion="It does.", type="functional", safety_class="B",
        verification="test", sources=(Source(need="N"),), file="a.toml", line=1,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize(
    "changes",
    [{"text": "It shall not."}, {"criterion": "Seen."}, {"type": "safety"}, {"safety_class": "C"},
     {"verification": "analysis"}],
)  # fmt: skip
def test_what_a_requirement_asks_for_moves_its_fingerprint(changes):
    assert fingerprints.of_requirement(a_requirement(**changes)) != fingerprints.of_requirement(a_requirement())


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize("changes", [{"title": "Another"}, {"file": "b.toml"}, {"line": 7}, {"parent": "REQ-0"}])
def test_how_a_requirement_is_called_and_filed_leaves_its_fingerprint(changes):
    assert fingerprints.of_requirement(a_requirement(**changes)) == fingerprints.of_requirement(a_requirement())


@pytest.mark.verifies("REQ-TRC-007")
@pytest.mark.parametrize(
    ("changes", "moves"),
    [({"cause": "Another."}, True), ({"harm": "Worse."}, True), ({"severity": "critical"}, True),
     ({"controls": ("REQ-1",)}, True), ({"controls": ("REQ-2", "REQ-1")}, False), ({"title": "T"}, False),
     ({"residual": "Some."}, False)],
)  # fmt: skip
def test_a_hazard_moves_with_what_may_happen_and_what_controls_it(changes, moves):
    made = Hazard(
        id="HAZ-1", title="One", hazard="It falls.", cause="Wind.", harm="A bump.", controls=("REQ-1", "REQ-2")
    )
    changed = msgspec.structs.replace(made, **changes)
    assert (fingerprints.of_hazard(changed) != fingerprints.of_hazard(made)) is moves


def test_a_block_of_another_language_moves_with_what_is_not_a_comment():
    block = "SELECT 1; \n-- why\n\nSELECT 2;"
    assert fingerprints.of_block(block) == fingerprints.of_block("SELECT 1;\n  SELECT 2;\n# another\n")
    assert fingerprints.of_block(block) != fingerprints.of_block("SELECT 1;\nSELECT 3;\n")


@pytest.mark.verifies("REQ-TRC-007")
def test_the_parts_of_a_fingerprint_do_not_run_into_each_other():
    one, other = a_requirement(text="ab shall", criterion="c d"), a_requirement(text="ab shallc", criterion=" d")
    assert fingerprints.of_requirement(one) != fingerprints.of_requirement(other)


@pytest.mark.verifies("REQ-TRC-007")
def test_relative_imports_lead_to_the_modules_constants():
    tree = ast.parse(textwrap.dedent("from ..limits import MOST\n\n\ndef most():\n    return MOST\n"))
    here = fingerprints.read(tree, "product.domain")
    one = fingerprints.of_unit(here, "most", modules({"product.limits": "MOST = 1\n"}))
    assert one != fingerprints.of_unit(here, "most", modules({"product.limits": "MOST = 2\n"}))
