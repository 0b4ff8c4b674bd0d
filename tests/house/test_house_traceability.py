import ast
import re

import msgspec
import pytest

from traceability import identifiers, project
from traceability.settings import Settings

CODE = re.compile(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "traceability.md").read_text("utf-8")


@pytest.fixture(scope="module")
def chosen(repository):
    return project.settings_of(repository)


def test_the_ids_in_the_module_of_the_marks_are_those_of_the_requirements(repository, chosen):
    written = project.requirements_of(repository, chosen)
    assert (repository / chosen.marks).read_text("utf-8") == identifiers.render(written.requirements)


def test_the_module_of_the_marks_imports_only_typing(repository, chosen):
    tree = ast.parse((repository / chosen.marks).read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [getattr(node, "module", None) for node in imports] == ["typing"]


def test_every_setting_of_traceability_is_on_its_page(page):
    names = {name for row in CODE.findall(page.partition("## Settings")[2]) for name in re.findall(r"`([a-z_]+)`", row)}
    assert {field.name for field in msgspec.structs.fields(Settings)} - names == set()


def test_every_finding_that_is_made_is_on_its_page(page, repository):
    rows = CODE.findall(page.partition("## Findings")[2].partition("## Settings")[0])
    listed = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    made = set()
    for module in ("findings", "reviews", "python_marks", "python_remarks", "python_source", "blocks", "project"):
        text = (repository / "traceability" / f"{module}.py").read_text("utf-8")
        made |= set(re.findall(r'(?:_finding|at|_of)\(\s*(?:citation, |requirement, )?"([a-z_]+)"', text))
        made |= set(re.findall(r'code="([a-z_]+)"', text))
    assert made - listed == set()
