"""The release page: the verdict first, every section, nothing from elsewhere, and nothing that could run."""

import re

import pytest

from sbom import report
from sbom.page import index
from tests.release_page import DAY, DIGEST, text

pytestmark = pytest.mark.verifies("REQ-REL-006")


@pytest.fixture(scope="module")
def page():
    return text()


def test_the_verdict_comes_before_everything_else(page):
    body = page.partition("<body>")[2]
    assert 0 < body.index("Do not release") < body.index("1 vulnerability is open") < body.index("<h2")


@pytest.mark.parametrize(
    "said",
    [
        DIGEST,
        "same version other hash",
        "PYSEC-1",
        "91.2 %",
        "9.8",
        "nobody has decided about it",
        "Ada, approved by Grace, review by 2026-09-01",
        "GPL-3.0-only",
        "1 within 12 months",
        "its own page",
        "CISA minimum elements",
        "the base image was not named",
        "not for people",
        "AUROC",
        "1 of 2 hazards controlled",
        "REQ-1 and <code>a.py::f</code>: code moved since Ada reviewed it",
        "REQ-2 has no test",
        "Approved for release",
        "medai release verify",
        "53,000 records",
    ],
)
def test_each_thing_that_a_decision_needs_is_there(page, said):
    assert said in page


def test_what_was_not_checked_says_so_and_never_none():
    unchecked = report.unchecked("no network", sbom="", release="1", today=DAY)
    page = text(report=unchecked)
    assert "Not checked." in page
    assert "none found" not in page


def test_without_a_matrix_it_says_so():
    assert "There is no matrix" in text(trace=None)


def test_without_an_approval_it_says_so():
    assert "Nobody has approved this release." in text(approvals=())


def test_without_an_earlier_release_it_says_so():
    assert "No earlier release was given" in text(changes=None)


def test_a_development_key_is_called_one():
    assert "Signed by a development key" in text(development_key=True)


def test_nothing_is_fetched_from_anywhere(page):
    assert re.findall(r'(?:src|href|action|data)="(?!#|trace\.html)([^"]*)"', page) == []
    assert "url(" not in page
    assert "@import" not in page


def test_nothing_is_inline_that_a_digest_could_not_admit(page):
    assert re.findall(r"\s(?:style|on[a-z]+)=", page) == []
    assert (page.count("<style>"), page.count("<script>")) == (1, 1)


def test_what_others_wrote_is_text(page):
    assert "<script>alert" not in page
    assert "Some <b>body" not in page


def test_the_same_evidence_gives_the_same_page(page):
    assert text() == page


def test_the_index_lists_every_file_with_its_digest():
    made = index([("sbom.cdx.json", 12, "a" * 64)], DIGEST, "Approved")
    assert 'href="sbom.cdx.json"' in made
    assert "a" * 64 in made
