"""Projects that are marked in other tools' ways."""

import json
from textwrap import dedent

import pytest

from tests import trace_projects
from traceability import lobster, openfasttrace, remarks
from traceability.errors import EvidenceInvalid

ALL = frozenset({"strictdoc", "openfasttrace"})


def _read(text):
    return [(found.requirement, found.kind) for found in remarks.read(text, ALL)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@relation(REQ-1, scope=function)", [("REQ-1", "implementation")]),
        ("@relation(REQ-1, REQ-2, scope=file)", [("REQ-1", "implementation"), ("REQ-2", "implementation")]),
        ("@relation{REQ-1, scope=line, role=Implementation}", [("REQ-1", "implementation")]),
        ("@relation(REQ-1, scope=function, role=TEST)", [("REQ-1", "test")]),
        ("@relation(REQ-1)", []),
        ("[impl->dsn~validate-request~1]", [("dsn~validate-request~1", "implementation")]),
        ("[ impl -> dsn ~ a ~ 1 ]", [("dsn~a~1", "implementation")]),
        ("[impl~~2->dsn~a~1]", [("dsn~a~1", "implementation")]),
        ("[impl~validate~2->dsn~a~1, req~b~3>>utest]", [("dsn~a~1", "implementation"), ("req~b~3", "implementation")]),
        ("[utest->req~a~1]", [("req~a~1", "test")]),
        ("[itest->req~a~1]", [("req~a~1", "test")]),
        ("a list [1->2]", []),
    ],
)
def test_the_marks_of_other_tools_are_read(text, found):
    assert _read(text) == found


def test_the_marks_of_other_tools_are_prose_where_nobody_asks_for_them():
    assert remarks.read("@relation(REQ-1, scope=function) [impl->req~a~1]") == []


CODE = '''
    """The scale."""

    def celsius(fahrenheit):
        """Degrees Celsius.

        @relation(REQ-1, scope=function)
        """
        return (fahrenheit - 32) * 5 // 9

    # [impl->req~kelvin~2]
    def kelvin(celsius):
        return celsius + 273

    def rankine(fahrenheit):
        return fahrenheit + 459
    '''
TEST = '''
    from thermo import scale

    def test_water_freezes():
        """@relation(REQ-1, scope=function)"""
        assert scale.celsius(32) == 0

    # [utest->req~kelvin~2]
    def test_kelvin():
        assert scale.kelvin(0) == 273

    def test_rankine():
        assert scale.rankine(0) == 459
    '''
ITEMS = """
    # The scale

    ### Kelvin
    `req~kelvin~2`
    Status: approved

    The scale shall count from the coldest.

    Rationale:
    No sign is needed.

    Covers:
    - feat~scales~1

    Needs: impl, utest

    ```
    `req~an-example~1`
    ```
    """
LOBSTER = {
    "lobster-req-trace": [
        {"tag": "req scale.rankine@3", "name": "Rankine", "text": "The scale shall count in degrees of Fahrenheit.",
         "location": {"kind": "file", "file": "scale.trlc", "line": 4}, "framework": "TRLC", "kind": "requirement"},
        {"tag": "req scale.reaumur", "name": "Reaumur", "text": None, "just_down": ["nobody uses it"],
         "location": {"kind": "void"}, "framework": "TRLC", "kind": "requirement"},
    ],
    "lobster-imp-trace": [
        {"tag": "python thermo.scale.rankine", "name": "rankine", "refs": ["req scale.rankine"],
         "location": {"kind": "file", "file": "thermo/scale.py", "line": 14}, "language": "Python", "kind": "function"},
    ],
    "lobster-act-trace": [
        {"tag": "pytest test_rankine", "name": "test_rankine", "refs": ["req scale.rankine"], "status": "ok",
         "location": {"kind": "file", "file": "tests/test_scale.py", "line": 11}, "framework": "PyUnit",
         "kind": "test"},
    ],
}  # fmt: skip
SETTINGS = """
    readers = ["strictdoc", "openfasttrace"]
    specifications = ["doc"]
    lobster = ["requirements.lobster", "implementation.lobster", "activities.lobster"]
    """


def _lobster(schema, data):
    return json.dumps({"schema": schema, "version": 3, "generator": "a test", "data": data})


def _project(root, **changes):
    names = zip(("requirements", "implementation", "activities"), LOBSTER.items(), strict=True)
    files = {f"{name}.lobster": _lobster(schema, data) for name, (schema, data) in names}
    files |= {"thermo/scale.py": CODE, "tests/test_scale.py": TEST, "doc/spec.md": ITEMS, **changes}
    return trace_projects.written(root, files, [trace_projects.a_requirement("REQ-1")], SETTINGS)


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    return trace_projects.judged(_project(tmp_path_factory.mktemp("adopted")))


@pytest.mark.parametrize("requirement", ["REQ-1", "req~kelvin~2", "scale.rankine"])
def test_a_requirement_marked_in_another_tools_way_is_proved(adopted, requirement):
    row = next(row for row in adopted.requirements if row.id == requirement)
    assert (row.verdict, row.level) == ("proved", 2)


def test_a_justification_from_the_top_down_is_an_exception_with_its_reason(adopted):
    row = next(row for row in adopted.requirements if row.id == "scale.reaumur")
    assert (row.verdict, row.why) == ("excepted", "nobody uses it")


def test_an_item_says_where_it_stands(adopted):
    row = next(row for row in adopted.requirements if row.id == "req~kelvin~2")
    assert (row.file, row.line, row.title) == ("doc/spec.md", 4, "Kelvin")


def test_an_item_in_a_fenced_example_is_none(adopted):
    assert "req~an-example~1" not in {row.id for row in adopted.requirements}


@pytest.mark.verifies("REQ-TRC-003")
def test_a_tag_with_an_older_revision_is_outdated(tmp_path):
    found = trace_projects.judged(_project(tmp_path, **{"thermo/scale.py": CODE.replace("kelvin~2", "kelvin~1")}))
    assert "outdated" in trace_projects.codes(found, "req~kelvin~1")


@pytest.mark.verifies("REQ-TRC-003")
@pytest.mark.parametrize(
    "test",
    [
        '''
        """@relation(REQ-1, scope=file)"""

        from thermo import scale

        def test_water_freezes():
            assert scale.celsius(32) == 0
        ''',
        '''
        from thermo import scale

        class TestScale:
            """@relation(REQ-1, scope=class)"""

            def test_water_freezes(self):
                assert scale.celsius(32) == 0
        ''',
    ],
)
def test_a_mark_of_a_file_or_a_class_of_tests_is_one_of_each_of_its_tests(tmp_path, test):
    row = trace_projects.judged(_project(tmp_path, **{"tests/test_scale.py": test})).requirements[0]
    assert (row.id, row.verdict, len(row.tests)) == ("REQ-1", "proved", 1)


@pytest.mark.verifies("REQ-TRC-003")
def test_a_mark_of_a_test_that_stands_at_no_test_is_not_counted(tmp_path):
    test = TEST.replace("def test_kelvin", "KELVIN = 0\n\n    def test_kelvin")
    found = trace_projects.judged(_project(tmp_path, **{"tests/test_scale.py": test}))
    assert "test_not_counted" in trace_projects.codes(found, "req~kelvin~2")


@pytest.mark.verifies("REQ-TRC-003")
def test_what_only_another_tool_says_to_be_tested_is_not_proved(tmp_path):
    test = TEST.replace("assert scale.rankine(0) == 459", "pass")
    found = trace_projects.judged(_project(tmp_path, **{"tests/test_scale.py": test}))
    assert "claim_disproved" in trace_projects.codes(found, "scale.rankine")


@pytest.mark.verifies("REQ-TRC-003")
def test_an_item_that_is_rejected_is_retired():
    text = dedent(ITEMS).replace("approved", "rejected")
    assert [item.status for item in openfasttrace.parse(text, "spec.md", "B")] == ["retired"]


@pytest.mark.verifies("REQ-TRC-003")
def test_an_item_is_a_part_of_what_it_covers():
    assert [item.parent for item in openfasttrace.parse(dedent(ITEMS), "spec.md", "B")] == ["feat~scales~1"]


@pytest.mark.verifies("REQ-TRC-003")
@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"schema": "lobster-report", "version": 3, "data": []}',
             b'{"schema": "lobster-req-trace", "version": 2, "data": []}'],
)  # fmt: skip
def test_what_is_no_file_of_lobster_is_refused(body):
    with pytest.raises(EvidenceInvalid):
        lobster.parse(body, "a.lobster", "B")
