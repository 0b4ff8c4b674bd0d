"""The table of faults and the tests of faults: what one names, the other has."""

import ast
import re

import pytest

from tests.integration.test_faults_steps import FAULTS
from tests.system.faults.stations import STATIONS

NAMED = re.compile(r"`(test_[a-z0-9_]+)`")
OF_FAULTS = ("tests/integration/test_faults_*.py", "tests/system/test_system_faults_*.py")


def _tests(path):
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "faults.md").read_text("utf-8")


def test_every_test_that_the_page_of_faults_names_exists(page, repository):
    there = {name for path in (repository / "tests").rglob("test_*.py") for name in _tests(path)}
    assert sorted(set(NAMED.findall(page)) - there) == []


def test_every_test_of_a_fault_is_named_on_the_page_of_faults(page, repository):
    ours = [
        path for pattern in OF_FAULTS for path in repository.glob(pattern) if path.name != "test_faults_documented.py"
    ]
    assert sorted({name for path in ours for name in _tests(path)} - set(NAMED.findall(page))) == []


def test_every_step_of_an_append_is_a_row_of_the_page_of_faults(page):
    assert [str(station) for station in STATIONS if f"\n| {station} |" not in page] == []


def test_every_fault_at_a_step_is_a_row_of_the_page_of_faults(page):
    words = [fault.__name__.replace("_", " ") for fault in FAULTS]
    assert [word for word in words if not re.search(rf"\n\| {word}[:| ]", page)] == []
