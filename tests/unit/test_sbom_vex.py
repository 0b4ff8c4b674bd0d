"""Decisions about vulnerabilities: what closes a finding, and each thing that opens it again."""

import datetime as dt
import json

import pytest
from msgspec.structs import replace

from sbom import schema, vex
from sbom.errors import DocumentInvalid
from sbom.vulnerabilities import Finding

pytestmark = pytest.mark.verifies("REQ-SBM-006")

TODAY = dt.date(2026, 3, 1)
PURL = "pkg:pypi/some-package@1.0"
SHA = "a" * 64
FINDING = Finding(
    id="PYSEC-1", aliases=("CVE-2026-1",), summary="It is bad.", component=PURL, name="some-package", version="1.0",
    fixed_in=("2.0",), exploited=False, epss_ppm=None, cvss_tenths=75, modified="",
)  # fmt: skip
TEXT = f"""
[[statement]]
vulnerability = "CVE-2026-1"
purl = "{PURL}"
sha256 = "{SHA}"
release = "1.0.0"
state = "not_affected"
justification = "code_not_reachable"
detail = "The function is never called."
author = "Ada"
approver = "Grace"
decided = 2026-02-01
review_by = 2026-03-01
"""


def judged(finding=FINDING, *, sha256=SHA, release="1.0.0", today=TODAY, **other):
    statements = [replace(each, **other) for each in vex.parse(TEXT)]
    (only,) = vex.judge([finding], statements, hashes={PURL: sha256} if sha256 else {}, release=release, today=today)
    return only


def test_a_statement_closes_the_finding_that_it_names_by_an_alias():
    assert judged().closed_by == vex.parse(TEXT)[0]


@pytest.mark.parametrize(
    ("moved", "why"),
    [
        ({"today": dt.date(2026, 3, 2)}, "has passed"),
        ({"sha256": "b" * 64}, "another hash"),
        ({"sha256": None}, "is not known"),
        ({"release": "1.0.1"}, "decided for the release 1.0.0"),
        ({"finding": replace(FINDING, component="pkg:pypi/some-package@1.1")}, "another version"),
        ({"finding": replace(FINDING, exploited=True)}, "known to be exploited since"),
        ({"state": "exploitable"}, "decided to be exploitable"),
        ({"state": "in_triage"}, "decided to be in_triage"),
        ({"vulnerability": "CVE-2026-2"}, "nobody has decided"),
    ],
    ids=["expired", "hash", "no hash", "release", "version", "exploited", "exploitable", "in triage", "another"],
)
def test_a_finding_is_open_again_once_anything_moved(moved, why):
    only = judged(**moved)
    assert only.closed_by is None
    assert why in only.why_open


def test_what_was_decided_knowing_that_it_is_exploited_stays_decided():
    assert judged(replace(FINDING, exploited=True), exploited=True).closed_by is not None


@pytest.mark.parametrize(
    ("was", "becomes", "why"),
    [
        ('approver = "Grace"', 'approver = " ada"', "one person"),
        ('justification = "code_not_reachable"', "", "needs a justification"),
        ("review_by = 2026-03-01", "review_by = 2027-03-01", "at most 366 days"),
        ("review_by = 2026-03-01", "review_by = 2026-01-01", "not before"),
        ('state = "not_affected"', 'state = "fine"', "state"),
        ('release = "1.0.0"', "", "release"),
        ('release = "1.0.0"', 'release = "1.0.0"\nnote = "x"', "note"),
        ("[[statement]]", "[[statement", "vex:"),
    ],
)
def test_a_statement_that_could_not_be_relied_on_is_refused(was, becomes, why):
    with pytest.raises(DocumentInvalid, match=why):
        vex.parse(TEXT.replace(was, becomes))


def test_the_cyclonedx_document_is_valid_and_reads_back():
    document = vex.cyclonedx([judged()], serial="urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", timestamp=None)
    schema.require_valid(json.dumps(document).encode(), strict=True)
    (read,) = vex.imported(document)
    assert (read.vulnerability, read.component, read.state, read.justification) == (
        "PYSEC-1", PURL, "not_affected", "code_not_reachable",
    )  # fmt: skip


def test_the_openvex_document_reads_back():
    document = vex.openvex([judged()], author="us", identifier="urn:x", timestamp="2026-03-01T00:00:00Z")
    (read,) = vex.imported(document)
    assert (read.component, read.state, read.justification) == (PURL, "not_affected", "code_not_reachable")


def test_an_open_finding_is_told_to_be_under_investigation():
    document = vex.openvex([judged(sha256=None)], author="us", identifier="urn:x", timestamp="2026-03-01T00:00:00Z")
    assert document["statements"][0]["status"] == "under_investigation"


@pytest.mark.parametrize("broken", [{}, {"@context": "https://openvex.dev/ns"}, {"bomFormat": "CycloneDX"}])
def test_what_is_no_vex_is_refused_by_name(broken):
    with pytest.raises(DocumentInvalid, match="vex"):
        vex.imported(broken)


def test_our_own_statements_can_be_read(repository):
    assert isinstance(vex.parse((repository / "sbom" / "vex.toml").read_text("utf-8")), tuple)
