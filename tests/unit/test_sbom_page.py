"""The release page: the verdict first, every section, nothing from elsewhere, and nothing that could run."""

import re

import pytest
from msgspec.structs import replace

from sbom import report
from sbom.page import index
from sbom.vex import Judged
from tests.release_page import DAY, DIGEST, DOCUMENT, FINDING, shown, text


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


def tiles(page):
    """What was looked at: (state, name, words) of each."""
    part = re.search(r'<ul class="checks".*?</ul>', page, re.DOTALL)
    return re.findall(r'<li class="(\w+)"><a [^>]*>(.*?)</a><span>(.*?)</span>', part[0] if part else "")


def test_what_passed_is_seen_at_a_glance_as_well(page):
    assert ("clear", "Signature", "nothing against it") in tiles(page)
    assert ("against", "Vulnerabilities", "1 stands against it") in tiles(page)
    assert ("told", "Approvals", "1 signed") in tiles(page)


def test_every_section_that_a_finding_leads_to_is_there(page):
    anchors = set(re.findall(r'href="#(\w+)"', page))
    assert anchors - set(re.findall(r'id="(\w+)"', page)) == set()


def test_findings_are_counted_by_severity_open_and_closed(page):
    assert re.search(r'<span class="name">critical</span>.*?1 open, 1 closed', page, re.DOTALL)


def test_of_a_finding_without_a_score_that_is_said():
    bare = replace(shown().report, findings=(Judged(finding=replace(FINDING, cvss_tenths=None), closed_by=None,
                                                    why_open="?"),))  # fmt: skip
    assert '<span class="name">not scored</span>' in text(report=bare)


def test_what_no_feed_knows_is_said_where_the_vulnerabilities_are():
    page = text(report=replace(shown().report, unaudited={"deb": 90, "generic": 3}))
    assert "no feed knows them: 90 deb, 3 generic" in page


def test_every_component_that_ships_is_in_one_bar_of_the_licences(page):
    part = page[page.index('<h2 id="licences"') : page.index('<h2 id="support"')]
    counts = [int(each) for each in re.findall(r'<span class="count">(\d+)</span>', part)]
    assert sum(counts) == len(DOCUMENT["components"])
    assert "not known" in part


def test_each_standard_says_what_its_rules_were_written_from(page):
    assert "What the rules were written from: second hand" in page


@pytest.mark.verifies("REQ-REL-006")
def test_what_was_not_checked_says_so_and_never_none():
    unchecked = report.unchecked("no network", sbom="", release="1", today=DAY)
    page = text(report=unchecked)
    assert "Not checked." in page
    assert "none found" not in page


@pytest.mark.verifies("REQ-REL-006")
def test_without_a_matrix_it_says_so():
    assert "There is no matrix" in text(trace=None)


@pytest.mark.verifies("REQ-REL-006")
def test_without_an_approval_it_says_so():
    assert "Nobody has approved this release." in text(approvals=())


@pytest.mark.verifies("REQ-REL-006")
def test_without_an_earlier_release_it_says_so():
    assert "No earlier release was given" in text(changes=None)


@pytest.mark.verifies("REQ-REL-006")
def test_a_development_key_is_called_one():
    assert "Signed by a development key" in text(development_key=True)


def test_nothing_is_fetched_from_anywhere(page):
    assert re.findall(r'(?:src|href|action|data)="(?!#)([^"]*)"', page) == []
    assert "url(" not in page
    assert "@import" not in page


def test_nothing_is_inline_that_a_digest_could_not_admit(page):
    assert re.findall(r"\s(?:style|on[a-z]+)=", page) == []
    assert (page.count("<style>"), page.count("<script>")) == (1, 1)


def test_what_others_wrote_is_text(page):
    assert "<script>alert" not in page
    assert "Some <b>body" not in page


@pytest.mark.verifies("REQ-REL-006")
def test_the_same_evidence_gives_the_same_page(page):
    assert text() == page


@pytest.mark.verifies("REQ-REL-006")
def test_the_index_lists_every_file_with_its_digest():
    made = index([("sbom.cdx.json", 12, "a" * 64)], DIGEST, "Approved")
    assert 'href="sbom.cdx.json"' in made
    assert "a" * 64 in made
