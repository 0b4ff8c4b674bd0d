"""What changed between two matrices is all there, each thing once, and what got worse is called so."""

import pytest

from tests.trace_matrices import (
    TEST,
    a_finding,
    a_hazard,
    a_link,
    a_matrix,
    a_requirement,
    a_test,
    a_unit,
    many,
    print_of,
)
from traceability import difference, rows

pytestmark = pytest.mark.verifies("REQ-TRC-012")

OTHER = print_of("other")
SUSPECT = rows.Review(status="suspect", reviewer="Ben <b@e.org>", reviewed_at="2026-01-02T03:04:05Z", meaning="review",
                      moved=("the code",))  # fmt: skip
REVIEWED = rows.Review(
    status="reviewed", reviewer="Ben <b@e.org>", reviewed_at="2026-01-02T03:04:05Z", meaning="review"
)
CODE_LINK = "REQ-A-001 <- product/answer.py::answer (implementation)"


def told(old, new):
    return [(one.what, one.how, one.subject, one.worse) for one in difference.between(old, new).changes]


def test_a_matrix_does_not_differ_from_itself():
    assert told(many(40), many(40)) == []


@pytest.mark.parametrize(
    ("old", "new", "what", "how", "subject", "worse"),
    [
        ({}, {"requirements": (a_requirement(), a_requirement("REQ-B"))}, "requirement", "added", "REQ-B", False),
        ({}, {"requirements": ()}, "requirement", "removed", "REQ-A-001", True),
        ({}, {"requirements": (a_requirement(status="retired"),)}, "requirement", "retired", "REQ-A-001", False),
        ({}, {"requirements": (a_requirement(fingerprint=OTHER),)}, "requirement", "text", "REQ-A-001", False),
        ({}, {"requirements": (a_requirement(title="Another"),)}, "requirement", "text", "REQ-A-001", False),
        ({}, {"requirements": (a_requirement(demanded=1),)}, "requirement", "demanded", "REQ-A-001", True),
        ({}, {"requirements": (a_requirement(demanded=4),)}, "requirement", "demanded", "REQ-A-001", False),
        ({"findings": (a_finding(),)}, {"findings": (a_finding(), a_finding(text="of another"))}, "finding", "added",
         "untested REQ-A-001 (2)", True),
        ({}, {"requirements": (a_requirement(verdict="open"),)}, "requirement", "verdict", "REQ-A-001", True),
        ({"requirements": (a_requirement(verdict="open"),)}, {}, "requirement", "verdict", "REQ-A-001", False),
        ({}, {"requirements": (a_requirement(level=1),)}, "requirement", "level", "REQ-A-001", True),
        ({}, {"requirements": (a_requirement(level=None),)}, "requirement", "level", "REQ-A-001", True),
        ({}, {"requirements": (a_requirement(level=3),)}, "requirement", "level", "REQ-A-001", False),
        ({}, {"hazards": (a_hazard(), a_hazard("HAZ-2"))}, "hazard", "added", "HAZ-2", False),
        ({}, {"hazards": (a_hazard(fingerprint=OTHER),)}, "hazard", "text", "HAZ-001", False),
        ({}, {"hazards": (a_hazard(controlled=False),)}, "hazard", "uncontrolled", "HAZ-001", True),
        ({"hazards": (a_hazard(controlled=False),)}, {}, "hazard", "controlled", "HAZ-001", False),
        ({}, {"units": (a_unit(fingerprint=OTHER),)}, "code", "moved", "product/answer.py::answer", False),
        ({}, {"units": (a_unit(), a_unit("a.py::b"))}, "code", "added", "a.py::b", False),
        ({}, {"units": ()}, "code", "removed", "product/answer.py::answer", False),
        ({}, {"tests": (a_test(fingerprint=OTHER),)}, "test", "moved", TEST, False),
        ({}, {"tests": (a_test(outcome="failed"),)}, "test", "outcome", TEST, True),
        ({"tests": (a_test(outcome="failed"),)}, {}, "test", "outcome", TEST, False),
        ({}, {"tests": ()}, "test", "removed", TEST, True),
        ({}, {"links": (a_matrix().links[1],)}, "link", "removed", CODE_LINK, True),
        ({}, {"links": (a_link(review=SUSPECT), a_matrix().links[1])}, "link", "suspect", CODE_LINK, True),
        ({}, {"links": (a_link(review=REVIEWED), a_matrix().links[1])}, "link", "reviewed", CODE_LINK, False),
        ({}, {"findings": (a_finding(),)}, "finding", "added", "untested REQ-A-001", True),
        ({}, {"findings": (a_finding(severity="note"),)}, "finding", "added", "untested REQ-A-001", False),
        ({"findings": (a_finding(),)}, {}, "finding", "removed", "untested REQ-A-001", False),
    ],
)  # fmt: skip
def test_one_thing_that_changed_is_one_change(old, new, what, how, subject, worse):
    assert told(a_matrix(**old), a_matrix(**new)) == [(what, how, subject, worse)]


def test_a_link_that_was_suspect_already_is_not_newly_so():
    found = a_matrix(links=(a_link(review=SUSPECT),))
    assert told(found, found) == []


def test_a_changed_text_says_which_of_its_members():
    new = a_matrix(requirements=(a_requirement(fingerprint=OTHER, text="It shall do more.", criterion="More."),))
    (change,) = difference.between(a_matrix(), new).changes
    assert change.new == "text, criterion"


def test_changes_come_in_one_order():
    made = told(many(80), many(120))
    assert made == sorted(made, key=lambda one: (difference._WHATS.index(one[0]), one[2], one[1]))


def test_what_got_worse_comes_first_in_words():
    new = a_matrix(requirements=(a_requirement(fingerprint=OTHER, verdict="open"),))
    lines = difference.text(difference.between(a_matrix(), new), "plain").splitlines()
    assert (lines[2], lines[3].split()[:3]) == ("2 changes, 1 for the worse", ["!", "requirement", "verdict"])


def test_the_words_say_from_what_to_what():
    new = a_matrix(requirements=(a_requirement(verdict="open"),))
    assert "REQ-A-001: proved -> open" in difference.text(difference.between(a_matrix(), new), "plain")


def test_hostile_names_stay_text_in_markdown():
    new = a_matrix(tests=(a_test(), a_test("tests/t.py::test_x[a|b`<b>]")))
    text = difference.text(difference.between(a_matrix(), new), "markdown")
    assert "|   | added | ``tests/t.py::test_x[a\\|b`<b>]`` |  |" in text
