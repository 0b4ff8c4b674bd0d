"""The policy over hand-made components: each rule, and who may waive it."""

import datetime as dt

import pytest

from sbom import policy
from sbom.errors import DocumentInvalid

TODAY = dt.date(2026, 3, 1)
SHA = [{"alg": "SHA-256", "content": "a" * 64}]
TEXT = """
[licences]
allow = ["MIT", "BSD-3-Clause"]
allow_unmodified = ["LGPL-3.0-only"]
deny = ["GPL-3.0-only"]
[suppliers]
deny = ["Bad Corp"]
[support]
notice_months = 12
[[support.component]]
purl = "pkg:generic/thing"
version = "3.1"
level = "fixes"
end = "{end}"
source = "its page"
[waivers]
who = ["Ada"]
max_days = 30
"""
WAIVER = """
[[waiver]]
rule = "licence_denied"
component = "pkg:pypi/x@1"
reason = "replaced next month"
by = "Ada"
decided = 2026-02-15
until = 2026-03-01
"""


def component(licence="MIT", **other):
    made = {
        "type": "library", "name": "x", "version": "1", "purl": "pkg:pypi/x@1", "hashes": SHA,
        "licenses": [{"expression": licence}],
    }  # fmt: skip
    return made | other


def judged(*components, text=TEXT, end="2030-01", before=(), today=TODAY):
    return policy.judge(policy.parse(text.replace("{end}", end)), components, today=today, before=before)


def rules(*components, **given):
    return [each.rule for each in judged(*components, **given)]


@pytest.mark.verifies("REQ-SBM-003")
@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", []),
        ("LGPL-3.0-only", []),
        ("GPL-3.0-only", ["licence_denied"]),
        ("Apache-2.0", ["licence_review"]),
        ("MIT OR GPL-3.0-only", []),
        ("MIT AND GPL-3.0-only", ["licence_denied"]),
        ("MIT AND (BSD-3-Clause OR GPL-3.0-only)", []),
        ("(MIT AND GPL-3.0-only) OR Apache-2.0", ["licence_review"]),
        ("GPL-3.0-only WITH GCC-exception-3.1", ["licence_denied"]),
        ("Proprietary stuff", ["licence_review"]),
    ],
)
def test_of_alternatives_the_best_counts_and_of_parts_the_worst(licence, expected):
    assert rules(component(licence)) == expected


@pytest.mark.verifies("REQ-SBM-003")
def test_a_component_without_a_licence_is_named():
    assert rules(component(licenses=[])) == ["licence_unknown"]


@pytest.mark.verifies("REQ-SBM-003")
def test_a_licence_that_is_only_a_name_is_reviewed():
    assert rules(component(licenses=[{"license": {"name": "Some terms"}}])) == ["licence_review"]


@pytest.mark.verifies("REQ-SBM-003")
def test_a_name_beside_an_identifier_is_reviewed_as_well():
    said = [{"license": {"id": "MIT"}}, {"license": {"name": "Some terms"}}]
    assert rules(component(licenses=said)) == ["licence_review"]


@pytest.mark.verifies("REQ-SBM-003")
def test_a_component_without_a_package_url_needs_a_licence_as_any_other():
    assert rules({"type": "library", "name": "x", "version": "1"}) == ["licence_unknown"]


@pytest.mark.verifies("REQ-SBM-003")
def test_the_licence_of_a_package_of_the_operating_system_is_told_and_does_not_fail():
    (only,) = judged(component(licenses=[], purl="pkg:deb/debian/bash@5.2"))
    assert (only.rule, only.fails) == ("licence_of_the_system", False)


@pytest.mark.verifies("REQ-SBM-003")
def test_what_is_inside_a_component_that_ships_is_judged():
    inner = component("GPL-3.0-only")
    document = {"components": [component(components=[inner, {"type": "file", "name": "part.js"}])]}
    assert rules(*policy.required(document)) == ["licence_denied"]


def test_what_is_inside_a_component_that_does_not_ship_is_not():
    excluded = component(scope="excluded", components=[component("GPL-3.0-only")])
    assert policy.required({"components": [component(), excluded]}) == [component()]


@pytest.mark.parametrize("document", [{}, {"components": []}, {"components": [component(scope="excluded")]}])
def test_a_document_without_anything_that_ships_is_not_judged_to_be_fine(document):
    with pytest.raises(DocumentInvalid, match="lists nothing that ships"):
        policy.required(document)


@pytest.mark.verifies("REQ-SBM-003")
def test_what_no_lock_pins_is_named():
    assert rules(component(properties=[{"name": "medai:pinned", "value": "false"}])) == ["not_pinned"]


@pytest.mark.verifies("REQ-SBM-003")
def test_what_has_no_digest_is_named():
    assert rules(component(hashes=[])) == ["not_hashed"]


@pytest.mark.verifies("REQ-SBM-003")
@pytest.mark.parametrize(
    "other",
    [
        {"supplier": {"name": "Bad Corp"}},
        {"supplier": {"name": " bad  CORP"}},
        {"manufacturer": {"name": "Bad Corp"}},
        {"authors": [{"name": "Bad Corp"}]},
        {"publisher": "Bad Corp"},
        {"author": "Bad Corp", "supplier": {"name": "Good Corp"}},
    ],
)
def test_a_denied_supplier_is_named_wherever_the_document_says_it_and_however_it_is_spelt(other):
    assert rules(component(**other)) == ["supplier_denied"]


@pytest.mark.verifies("REQ-SBM-003")
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("2026-02", ["support_ended"]),
        ("2026-03", ["support_ends_soon"]),
        ("2027-03", ["support_ends_soon"]),
        ("2027-04", []),
    ],
)
def test_support_that_ended_fails_and_support_that_ends_soon_is_told(end, expected):
    assert rules(component(purl="pkg:generic/thing@3.1.4", version="3.1.4"), end=end) == expected


@pytest.mark.verifies("REQ-SBM-003")
def test_support_of_another_version_says_nothing():
    assert rules(component(purl="pkg:generic/thing@3.10", version="3.10"), end="2020-01") == []


@pytest.mark.verifies("REQ-SBM-003")
def test_only_what_ends_soon_does_not_fail():
    (soon,) = judged(component(purl="pkg:generic/thing@3.1", version="3.1"), end="2026-04")
    assert not soon.fails


@pytest.mark.verifies("REQ-SBM-003")
def test_another_file_under_the_same_version_is_an_alarm():
    before = component(hashes=[{"alg": "SHA-256", "content": "b" * 64}])
    assert rules(component(), before=[before]) == ["same_version_other_hash"]


@pytest.mark.verifies("REQ-SBM-003")
def test_the_same_file_under_the_same_version_is_none():
    assert rules(component(), before=[component()]) == []


@pytest.mark.verifies("REQ-SBM-003")
def test_a_waiver_of_somebody_who_may_waives_the_finding_that_it_names():
    (only,) = judged(component("GPL-3.0-only"), text=TEXT + WAIVER)
    assert (only.waived, only.fails) == ("Ada", False)


@pytest.mark.verifies("REQ-SBM-003")
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('by = "Ada"', 'by = "Mallory"'),
        ("until = 2026-03-01", "until = 2026-02-28"),
        ("until = 2026-03-01", "until = 2026-12-01"),
        ("decided = 2026-02-15\nuntil = 2026-03-01", "decided = 2026-03-02\nuntil = 2026-03-10"),
    ],
    ids=["who", "ended", "too long", "to come"],
)
def test_a_waiver_that_does_not_count_is_a_finding_besides(was, becomes):
    found = judged(component("GPL-3.0-only"), text=TEXT + WAIVER.replace(was, becomes))
    assert [(each.rule, each.fails) for each in found] == [("licence_denied", True), ("waiver_refused", True)]


@pytest.mark.verifies("REQ-SBM-003")
def test_a_waiver_of_another_component_waives_nothing():
    found = judged(component("GPL-3.0-only"), text=TEXT + WAIVER.replace("x@1", "x@2"))
    assert [each.fails for each in found] == [True]


@pytest.mark.verifies("REQ-SBM-003")
@pytest.mark.parametrize(
    "broken", ["[licences]\nallow = 1", "[more]", "[licences]\nallow = ['MIT']\ndeny = ['MIT']", "["]
)
def test_a_policy_that_cannot_be_read_is_refused_by_name(broken):
    with pytest.raises(DocumentInvalid, match="policy"):
        policy.parse(broken)


@pytest.mark.verifies("REQ-SBM-003")
def test_our_own_policy_can_be_read_and_names_nobody_who_may_waive(repository):
    assert policy.parse((repository / "sbom" / "policy.toml").read_text("utf-8")).waivers.who == ()
