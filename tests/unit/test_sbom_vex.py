"""Decisions about vulnerabilities: what closes a finding, and each thing that opens it again."""

import datetime as dt
import json
from typing import get_args

import pytest
from msgspec.structs import replace

from sbom import exchange, schema, vex
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


def test_what_is_decided_for_a_day_to_come_closes_nothing_before_it():
    only = judged(decided=dt.date(2026, 3, 2), review_by=dt.date(2027, 3, 2))
    assert (only.closed_by, only.why_open) == (None, "decided on 2026-03-02, which is yet to come")


def test_of_two_decisions_about_one_file_the_later_one_counts():
    (earlier,) = vex.parse(TEXT)
    later = replace(earlier, state="exploitable", justification=None, decided=dt.date(2026, 2, 20))
    (only,) = vex.judge([FINDING], [later, earlier], hashes={PURL: SHA}, release="1.0.0", today=TODAY)
    assert (only.closed_by, only.stands, only.why_open) == (None, later, "decided to be exploitable")


def test_a_later_decision_about_another_release_does_not_count_here():
    (earlier,) = vex.parse(TEXT)
    later = replace(earlier, state="exploitable", justification=None, decided=dt.date(2026, 2, 20), release="2.0.0")
    (only,) = vex.judge([FINDING], [earlier, later], hashes={PURL: SHA}, release="1.0.0", today=TODAY)
    assert only.closed_by == earlier


def test_a_decision_whose_review_is_overdue_does_not_stand():
    assert judged(state="exploitable", today=dt.date(2026, 3, 2)).stands is None


SERIAL = "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79"


def exported(**other):
    return exchange.cyclonedx([judged(**other)], serial=SERIAL, timestamp=None)


def openvex(**other):
    return exchange.openvex([judged(**other)], author="us", identifier="urn:x", timestamp="2026-03-01T00:00:00Z")


@pytest.mark.parametrize("state", get_args(vex.State))
@pytest.mark.parametrize("justification", [None, *get_args(vex.Justification)])
def test_every_decision_reads_back_from_cyclonedx_as_it_was(state, justification):
    document = exported(state=state, justification=justification)
    schema.require_valid(json.dumps(document).encode(), strict=True)
    (read,) = exchange.imported(document)
    assert (read.vulnerability, read.component, read.state, read.justification, read.detail) == (
        "PYSEC-1", PURL, state, justification, "The function is never called.",
    )  # fmt: skip


def test_the_cyclonedx_document_says_who_decided_and_until_when():
    told = {each["name"]: each["value"] for each in exported()["vulnerabilities"][0]["properties"]}
    assert told == {
        "medai:vex:author": "Ada", "medai:vex:approver": "Grace", "medai:vex:decided": "2026-02-01",
        "medai:vex:review-by": "2026-03-01", "medai:vex:release": "1.0.0", "medai:vex:sha256": SHA,
    }  # fmt: skip


def test_what_can_be_exploited_is_told_to_be_and_not_to_be_in_triage():
    assert exported(state="exploitable")["vulnerabilities"][0]["analysis"]["state"] == "exploitable"


def test_without_a_serial_number_the_reference_is_the_components_own():
    document = exchange.cyclonedx([judged()], serial="", timestamp=None)
    assert document["vulnerabilities"][0]["affects"] == [{"ref": PURL}]
    assert exchange.imported(document)[0].component == PURL


@pytest.mark.parametrize("state", get_args(vex.State))
@pytest.mark.parametrize("justification", [None, *get_args(vex.Justification)])
def test_what_openvex_carries_of_a_decision_closes_or_does_not_as_it_did(state, justification):
    (read,) = exchange.imported(openvex(state=state, justification=justification))
    assert (read.component, read.state in vex.CLOSING) == (PURL, state in vex.CLOSING)


@pytest.mark.parametrize("state", get_args(vex.State))
@pytest.mark.parametrize("justification", [None, *get_args(vex.Justification)])
def test_a_second_way_through_openvex_changes_nothing_more(state, justification):
    first = openvex(state=state, justification=justification)
    (read,) = exchange.imported(first)
    again = openvex(state=read.state, justification=read.justification)
    assert exchange.imported(again)[0].state == read.state
    assert exchange.imported(again)[0].justification == read.justification


@pytest.mark.parametrize("state", get_args(vex.State))
def test_each_openvex_statement_has_what_its_status_asks_for(state):
    (said,) = openvex(state=state, justification=None)["statements"]
    asked = {"not_affected": "impact_statement", "affected": "action_statement"}.get(said["status"], "status_notes")
    assert said[asked] != ""


def test_no_justification_is_made_up_for_openvex():
    assert "justification" not in openvex(state="false_positive", justification=None)["statements"][0]


def test_an_open_finding_is_told_to_be_under_investigation():
    assert openvex(sha256=None)["statements"][0]["status"] == "under_investigation"


def test_a_part_of_an_openvex_product_is_what_is_affected():
    document = openvex()
    document["statements"][0]["products"] = [{"@id": "pkg:oci/image", "subcomponents": [{"@id": PURL}]}]
    assert [each.component for each in exchange.imported(document)] == [PURL]


OPENVEX = {"@context": "https://openvex.dev/ns/v0.2.0"}


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        ({}, "vex: neither"),
        (OPENVEX, "/statements: expected"),
        ({"bomFormat": "CycloneDX"}, "/vulnerabilities: expected"),
        (OPENVEX | {"statements": [None]}, "/statements/0: "),
        (OPENVEX | {"statements": [{"status": "fine", "vulnerability": "x"}]}, "/statements/0: OpenVEX has no status"),
        (
            OPENVEX | {"statements": [{"status": "not_affected", "justification": "x", "vulnerability": "x"}]},
            "/statements/0: OpenVEX has no justification",
        ),
        ({"bomFormat": "CycloneDX", "vulnerabilities": [{"id": "x"}]}, "/vulnerabilities/0: x has no state"),
    ],
)
def test_what_is_no_vex_is_refused_with_the_place(broken, place):
    with pytest.raises(DocumentInvalid, match=place):
        exchange.imported(broken)


def test_a_proposal_cannot_be_used_until_two_people_have_signed_it():
    (read,) = exchange.imported(openvex())
    text = exchange.proposal(read, sha256=SHA, release="1.0.0", today=TODAY)
    with pytest.raises(DocumentInvalid, match="length >= 1"):
        vex.parse(text)


def test_a_proposal_that_two_people_have_signed_is_a_statement():
    (read,) = exchange.imported(openvex())
    text = exchange.proposal(
        replace(read, detail='a "quoted" \x1b line\nand more'), sha256=SHA, release="1.0.0", today=TODAY
    )
    signed = text.replace('author = ""', 'author = "Ada"').replace('approver = ""', 'approver = "Grace"')
    (statement,) = vex.parse(signed)
    assert (statement.purl, statement.detail) == (PURL, 'a "quoted" \x1b line\nand more')


def test_our_own_statements_can_be_read(repository):
    assert isinstance(vex.parse((repository / "sbom" / "vex.toml").read_text("utf-8")), tuple)
