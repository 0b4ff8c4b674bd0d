"""The summary for a pull request says what its reader has to know, and stays text whatever is in it."""

import pytest

from tests.trace_matrices import a_finding, a_hazard, a_matrix, a_requirement, a_summary, many
from traceability import markdown, rows, summary


@pytest.mark.verifies("REQ-TRC-009")
def test_a_gate_that_is_open_is_said_to_be():
    assert summary.text(a_matrix()).startswith("## Traceability of product: the gate is open: nothing fails\n")


@pytest.mark.verifies("REQ-TRC-009")
def test_a_gate_that_is_closed_says_by_how_many_findings():
    found = a_matrix(findings=(a_finding(),), summary=a_summary(failing=1))
    assert "the gate is closed: 1 finding to remedy" in summary.text(found)


@pytest.mark.verifies("REQ-TRC-009")
def test_a_finding_is_told_with_its_place_and_its_remedy():
    found = a_matrix(findings=(a_finding(),), summary=a_summary(failing=1))
    row = "| untested | `requirements/a.toml:3` | `REQ-A-001` | no test verifies it | write one |"
    assert row in summary.text(found).splitlines()


@pytest.mark.verifies("REQ-TRC-009")
def test_notes_are_counted_and_not_listed():
    found = a_matrix(findings=(a_finding(severity="note"),))
    assert ("Besides: 1 note." in summary.text(found), "write one" in summary.text(found)) == (True, False)


@pytest.mark.verifies("REQ-TRC-009")
def test_more_findings_than_a_screen_holds_are_counted():
    found = a_matrix(findings=(a_finding(),) * 25, summary=a_summary(failing=25))
    assert "... and 5 more: the report has them all." in summary.text(found)


@pytest.mark.verifies("REQ-TRC-009")
def test_each_class_has_its_line():
    assert "| B | L2 | 1 | 1 | 0 | 0 | 1 | 0 | 0 | 0 |" in summary.text(a_matrix()).splitlines()


@pytest.mark.verifies("REQ-TRC-009")
def test_a_hazard_without_a_verified_control_is_named():
    found = a_matrix(hazards=(a_hazard(controlled=False),), summary=a_summary(hazards_controlled=0))
    assert "Hazards: 0 of 1 have every control verified; not: HAZ-001." in summary.text(found)


@pytest.mark.verifies("REQ-TRC-009")
def test_reviews_that_are_open_are_counted():
    assert "Reviews open: 2." in summary.text(a_matrix())


@pytest.mark.verifies("REQ-TRC-009")
def test_a_part_of_the_suite_is_called_one():
    evidence = rows.Evidence(started_at="", complete=False, coverage=rows.Coverage(available=False, why="no contexts"),
                             environment={}, tests_run=1, duration_us=1)  # fmt: skip
    text = summary.text(a_matrix(evidence=evidence))
    assert ("a part of the suite" in text, "No link is above L1: no contexts" in text) == (True, True)


@pytest.mark.verifies("REQ-TRC-009")
def test_what_changes_against_the_base_is_told():
    text = summary.text(a_matrix(requirements=(a_requirement(verdict="open"),)), a_matrix())
    assert "### What changes" in text
    assert "proved → open" in text


@pytest.mark.verifies("REQ-TRC-009")
def test_against_itself_there_is_no_difference():
    assert "No difference." in summary.text(a_matrix(), a_matrix())


@pytest.mark.verifies("REQ-TRC-009")
@pytest.mark.parametrize("hostile", ["<img src=x onerror=alert(1)>", "a | b", "@everyone", "[x](y)", "*b*", "a\n# b"])
def test_what_a_finding_says_stays_text(hostile):
    found = a_matrix(findings=(a_finding(text=hostile),), summary=a_summary(failing=1))
    row = next(line for line in summary.text(found).splitlines() if line.startswith("| untested"))
    assert markdown.escaped(hostile) in row
    assert len(row.replace("\\|", "").split("|")) == 7


@pytest.mark.verifies("REQ-TRC-009")
def test_two_thousand_requirements_have_a_summary_of_one_screen():
    assert len(summary.text(many(2000)).splitlines()) < 40


@pytest.mark.parametrize(
    ("text", "coded"), [("a", "`a`"), ("a`b", "``a`b``"), ("`a", "`` `a ``"), ("a|b", "`a\\|b`"), ("", "")]
)
def test_code_keeps_its_backticks(text, coded):
    assert markdown.code(text) == coded
