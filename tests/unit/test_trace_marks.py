import subprocess
import sys
from textwrap import dedent

import pytest

from tests import trace_projects
from traceability import identifiers, marks, python_source, requirements
from traceability.errors import SourceInvalid


def _read(text, role="code", file="product/scale.py"):
    text = dedent(text).lstrip("\n")
    return python_source.read(python_source.parse(text, file), text, file, role)


def _cited(text, role="code"):
    return [
        (mark.requirement, mark.kind, mark.target.partition("::")[2], mark.line) for mark in _read(text, role).citations
    ]


def test_the_decorator_returns_the_very_function():
    def function():
        return 1

    assert marks.implements("REQ-LED-001")(function) is function


def test_an_id_that_does_not_exist_is_an_error_to_mypy(tmp_path):
    document = requirements.parse('format = "medai.requirements/1"\n' + trace_projects.a_requirement("REQ-1"), "a.toml")
    (tmp_path / "marks.py").write_text(identifiers.render(document.requirements), "utf-8")
    (tmp_path / "code.py").write_text(
        'from marks import implements\n\n@implements("REQ-1")\ndef one() -> None: ...\n\n'
        '@implements("REQ-2")\ndef two() -> None: ...\n', "utf-8",
    )  # fmt: skip
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "code.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120).stdout
    assert [line.split(":")[1] for line in said.splitlines() if "error" in line and ":" in line] == ["6"]


def test_a_retired_id_is_no_id_of_the_type():
    text = 'format = "medai.requirements/1"\n' + trace_projects.a_requirement("REQ-1", status="retired")
    assert "REQ-1" not in identifiers.render(requirements.parse(text, "a.toml").requirements)


@pytest.mark.verifies("REQ-TRC-002")
def test_a_function_is_cited_by_its_decorator():
    assert _cited("""
        @implements("REQ-1")
        def celsius(): return 1
        """) == [("REQ-1", "implementation", "celsius", 1)]


@pytest.mark.verifies("REQ-TRC-002")
def test_several_ids_may_stand_in_one_decorator():
    text = """
        class Scale:
            @implements("REQ-1", "REQ-2")
            def read(self): return 1
        """
    assert [(name, target) for name, _, target, _ in _cited(text)] == [("REQ-1", "Scale.read"), ("REQ-2", "Scale.read")]


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    "text",
    [
        'from product.marks import implements as fulfils\n@fulfils("REQ-1")\ndef celsius(): return 1',
        'from product import marks\n@marks.implements("REQ-1")\ndef celsius(): return 1',
        'import product.marks\n@product.marks.implements("REQ-1")\ndef celsius(): return 1',
        '@first\n@implements("REQ-1")\n@last()\nasync def celsius(): return 1',
        'NAME = "REQ-1"\n@implements(NAME)\ndef celsius(): return 1',
        'if True:\n    @implements("REQ-1")\n    def celsius(): return 1',
        'try:\n    pass\nexcept OSError:\n    @implements("REQ-1")\n    def celsius(): return 1',
    ],
)
def test_the_decorator_is_known_under_other_names_and_in_other_places(text):
    assert [(name, target) for name, _, target, _ in _cited(text)] == [("REQ-1", "celsius")]


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("# implements: REQ-1\nLIMIT = 5", "LIMIT"),
        ("LIMIT = 5  # implements: REQ-1", "LIMIT"),
        ("LIMIT: int = 5  # implements: REQ-1", "LIMIT"),
        ("# implements: REQ-1\n\n# a word on it\n@cached\ndef celsius(): return 1", "celsius"),
        ("def celsius():  # implements: REQ-1\n    return 1", "celsius"),
        ("def celsius():\n    # implements: REQ-1\n    return 1", "celsius"),
        ("def celsius():\n    limit = 5  # implements: REQ-1\n    return limit", "celsius"),
        ("def celsius():\n    if True:\n        # implements: REQ-1\n        return 1", "celsius"),
        ("class Scale:\n    # implements: REQ-1\n    def read(self): return 1", "Scale.read"),
        ("class Scale:\n    limit = 5  # implements: REQ-1\n    def read(self): return 1", "Scale.limit"),
        ("class Scale:\n    def read(self):\n        # implements: REQ-1\n        return 1", "Scale.read"),
        ('# implements: REQ-1\n"""The module."""\nLIMIT = 5', "<module>"),
    ],
)
def test_a_comment_is_about_what_it_stands_at(text, target):
    assert [(name, kind, at) for name, kind, at, _ in _cited(text)] == [("REQ-1", "implementation", target)]


@pytest.mark.verifies("REQ-TRC-002")
def test_a_comment_may_name_several_requirements():
    assert [name for name, _, _, _ in _cited("LIMIT = 5  # implements: REQ-1, REQ-2")] == ["REQ-1", "REQ-2"]


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    "comment",
    ["# implements: the protocol of X", "# todo: tidy this up", "# exception: none", "# it implements REQ-1 too"],
)
def test_prose_is_no_mark(comment):
    assert _cited(f"LIMIT = 5  {comment}") == []


@pytest.mark.verifies("REQ-TRC-002")
def test_words_in_a_string_are_no_mark():
    assert _cited('TEXT = """\n# implements: REQ-1\n"""\n# implements: REQ-2\nLIMIT = 5') == [
        ("REQ-2", "implementation", "LIMIT", 4)
    ]


@pytest.mark.verifies("REQ-TRC-002")
def test_the_other_kinds_are_read_with_their_words():
    read = _read("""
        # implication: REQ-1: a type says so
        # exception: REQ-2: not on this machine
        # todo: REQ-3: Anna Example, 2027-01-31: waits for the probe
        LIMIT = 5
        """)
    assert [(mark.kind, mark.reason, mark.owner, mark.due) for mark in read.citations] == [
        ("implication", "a type says so", "", ""),
        ("exception", "not on this machine", "", ""),
        ("todo", "waits for the probe", "Anna Example", "2027-01-31"),
    ]


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    "comment",
    [
        "# exception: REQ-1", "# implication: REQ-1:", "# todo: REQ-1", "# todo: REQ-1: soon",
        "# todo: REQ-1: Anna Example: later", "# todo: REQ-1: Anna Example, 2027-01-31:", "# implementing REQ-1",
        "# Verifies REQ-1", "# satisfies: REQ-1",
    ],
)  # fmt: skip
def test_a_mark_that_is_not_whole_is_said_with_what_to_write(comment):
    faults = _read(f"LIMIT = 5\n{comment}\nOTHER = 6").faults
    assert [(fault.code, fault.line, "write #" in fault.remedy) for fault in faults] == [("mark_unreadable", 2, True)]


TESTS = """
    import pytest
    from pytest import mark

    pytestmark = pytest.mark.verifies("REQ-MODULE-1")
    frozen = pytest.mark.verifies("REQ-ALIAS-1")
    claims = pytest.mark.verifies

    @pytest.mark.verifies("REQ-1")
    def test_plain(): ...

    @mark.verifies("REQ-2")
    def test_short(): ...

    @frozen
    def test_alias(): ...

    @claims("REQ-3")
    def test_bare(): ...

    @pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.verifies("REQ-4"))])
    def test_parameters(x): ...

    @pytest.mark.verifies("REQ-5")
    class TestScale:
        pytestmark = [pytest.mark.slow, pytest.mark.verifies("REQ-6")]

        def test_method(self): ...

        def helper(self): ...
    """


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    ("test", "names"),
    [
        ("test_plain", {"REQ-1"}), ("test_short", {"REQ-2"}), ("test_alias", {"REQ-ALIAS-1"}), ("test_bare", {"REQ-3"}),
        ("test_parameters", {"REQ-4"}), ("TestScale.test_method", {"REQ-5", "REQ-6"}), ("TestScale.helper", set()),
    ],
)  # fmt: skip
def test_a_test_claims_what_is_marked_at_it_and_around_it(test, names):
    claimed = {name for name, kind, target, _ in _cited(TESTS, "tests") if (kind, target) == ("test", test)}
    assert claimed - {"REQ-MODULE-1"} == names


@pytest.mark.verifies("REQ-TRC-002")
def test_what_a_module_claims_each_of_its_tests_claims():
    claimed = {target for name, _, target, _ in _cited(TESTS, "tests") if name == "REQ-MODULE-1"}
    assert "TestScale.test_method" in claimed


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    ("code", "bodies", "entries"),
    [
        ("@implements('REQ-1')\ndef f():\n    return 1", ((3, 3),), ()),
        ("@implements('REQ-1')\ndef f(\n    a,\n    b=2,\n):\n    '''Docs.'''\n    return a", ((7, 7),), ()),
        ("@implements('REQ-1')\ndef f(): return 1", (), (1,)),
        ("@implements('REQ-1')\ndef f(): a = 1; return a", (), (1,)),
        ("@implements('REQ-1')\ndef f():\n    def g():\n        return 1\n    return g", ((3, 5),), ()),
        (
            "@implements('REQ-1')\nclass F:\n    x = 1\n    def g(self):\n        return 1\n    def h(self): ...",
            ((5, 5),),
            (),
        ),
        ("@implements('REQ-1')\nclass F:\n    x: int = 1", (), ()),
    ],
)
def test_a_body_is_what_runs_when_it_is_called_and_not_when_it_is_imported(code, bodies, entries):
    unit = _read(code).units[0]
    assert (unit.bodies, unit.entries) == (bodies, entries)


@pytest.mark.verifies("REQ-TRC-002")
@pytest.mark.parametrize(
    "body", ["'''Docs.'''", "...", "pass", "raise NotImplementedError", "raise NotImplementedError('x')"]
)
def test_a_function_that_does_nothing_is_hollow(body):
    assert _read(f"@implements('REQ-1')\ndef f():\n    {body}").units[0].hollow


@pytest.mark.verifies("REQ-TRC-002")
def test_a_public_function_that_cites_nothing_is_known():
    text = """
        def open_to_all(): return 1
        def _inner(): return 2
        class Scale:
            def read(self): return 3
            def __len__(self): return 4
        class _Hidden:
            def read(self): return 5
        @implements("REQ-1")
        def cited(): return 6
        @implements("REQ-1")
        class Cited:
            def read(self): return 7
        class Protocol:
            def read(self): ...
        """
    assert [unit.name for unit in _read(text).public] == ["open_to_all", "Scale.read"]


@pytest.mark.verifies("REQ-TRC-002")
def test_a_file_that_is_no_python_is_said_with_its_line():
    with pytest.raises(SourceInvalid, match=r"product/scale\.py:2: "):
        _read("a = 1\nb = = 2\n")


@pytest.mark.verifies("REQ-TRC-002")
def test_what_is_judged_is_never_imported(tmp_path):
    code = """
        import nothing_of_this_name

        raise SystemExit(7)

        @implements("REQ-1")
        def f():
            return 1
        """
    files = {"thermo/scale.py": code, "tests/test_nothing.py": "def test_nothing():\n    pass\n"}
    root = trace_projects.written(tmp_path, files, [trace_projects.a_requirement("REQ-1")])
    found = trace_projects.judged(root)
    assert [row.id for row in found.units] == ["thermo/scale.py::f"]
