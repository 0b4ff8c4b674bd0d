import pytest

from tests import trace_projects
from tests.trace_lies import CASES, CONFTEST
from traceability.survey import survey

SETTINGS = """
    levels = { A = 2, B = 3, C = 4 }
    branches_percent = { B = 100, C = 100 }
    mutants_percent = { C = 60 }
    """
RETIRED = trace_projects.a_requirement("REQ-RETIRED-1", "A", status="retired")
HAZARD = """
    [[hazard]]
    id = "HAZ-1"
    title = "A wrong temperature"
    hazard = "A fever is not seen."
    cause = "The conversion is wrong."
    harm = "It is not treated."
    controls = [{controls}]
    """


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    return _judged(tmp_path_factory.mktemp("lying"), [(case, *case.lie()) for case in CASES])


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    root = tmp_path_factory.mktemp("honest")
    (root / "docs").mkdir()
    (root / "docs" / "inspection.md").write_text("Looked at, and found to be so.\n", "utf-8")
    return _judged(root, [(case, *case.honest()) for case in CASES])


def _judged(root, cases):
    files = {"tests/conftest.py": CONFTEST}
    requirements = [RETIRED, HAZARD.format(controls=", ".join(f'"{case.requirement}"' for case in CASES[:2]))]
    for case, code, test in cases:
        files[f"thermo/{case.name}.py"] = code
        files[f"tests/test_{case.name}.py"] = test
        requirements.append(trace_projects.a_requirement(case.requirement, case.safety_class, **case.more))
    trace_projects.written(root, files, requirements, SETTINGS)
    finished = trace_projects.tested(root)
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    trace_projects.commanded(root, "mutants")
    return survey(root)


def test_there_are_more_than_twenty_lies():
    assert len(CASES) > 20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_lie_is_found(lying, case):
    assert case.finding in trace_projects.codes(lying, case.name) + trace_projects.codes(lying, case.requirement)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_requirement_of_a_lie_is_not_taken_for_proved_where_the_lie_is_about_its_proof(lying, case):
    beside_the_proof = {"unknown_id", "retired_id", "duplicate", "ambiguous", "mark_unreadable"}
    row = next(row for row in lying.requirements if row.id == case.requirement)
    assert row.verdict != "proved" or case.finding in beside_the_proof


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_is_found_of_the_honest_twin(honest, case):
    found = [finding for finding in honest.findings if finding.severity == "fail"]
    assert [finding for finding in found if case.name in finding.file or case.requirement in finding.text] == []


def test_an_honest_project_has_nothing_to_remedy(honest):
    assert honest.summary.failing == 0


def test_a_hazard_whose_controls_lie_is_not_controlled(lying):
    assert [row.controlled for row in lying.hazards] == [False]


def test_a_hazard_whose_controls_are_proved_is_controlled(honest):
    assert [row.controlled for row in honest.hazards] == [True]


def test_every_finding_says_where_it_is_and_what_to_do(lying):
    assert [finding for finding in lying.findings if not (finding.file and finding.line > 0 and finding.remedy)] == []
