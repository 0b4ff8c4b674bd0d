"""Advisories against components: the schema's evaluation, ranks, and scores of the published examples."""

import os
from pathlib import Path

import pytest
import yaml

from sbom import vulnerabilities
from sbom.errors import DocumentInvalid
from sbom.vulnerabilities import Audited, Feeds, cvss3, hit, match

ADVISORIES = Path(os.environ.get("MEDAI_TEST_VECTORS", "../shared/vectors")) / "pypa-advisories" / "vulns"


def advisory(**other):
    made = {
        "id": "PYSEC-1",
        "modified": "2026-01-01T00:00:00Z",
        "aliases": ["CVE-2026-1"],
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "Some.Package"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
            }
        ],
    }
    return made | other


def component(version="1.0", name="some-package"):
    return Audited(ref=f"pkg:pypi/{name}@{version}", name=name, version=version)


def affected(*events, **other):
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}], **other}


@pytest.mark.verifies("REQ-SBM-005")
@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.0", "hit"),
        ("2.0rc1", "hit"),
        ("2.0", "clear"),
        ("2.0.post1", "clear"),
        ("0.0.1.dev1", "hit"),
        ("?", "unordered"),
    ],
)
def test_a_version_before_the_fix_is_hit_and_one_from_it_on_is_not(version, expected):
    assert hit(version, affected({"introduced": "0"}, {"fixed": "2.0"})) == expected


@pytest.mark.verifies("REQ-SBM-005")
@pytest.mark.parametrize(
    ("version", "expected"), [("1.9", "clear"), ("2.0", "hit"), ("2.5", "hit"), ("2.5.1", "clear")]
)
def test_the_last_affected_version_is_hit_and_the_next_is_not(version, expected):
    assert hit(version, affected({"last_affected": "2.5"}, {"introduced": "2.0"})) == expected


@pytest.mark.verifies("REQ-SBM-005")
@pytest.mark.parametrize(("version", "expected"), [("1.5", "hit"), ("2.5", "clear"), ("3.5", "hit"), ("4.0", "clear")])
def test_what_was_fixed_may_be_introduced_again(version, expected):
    events = ({"fixed": "4.0"}, {"introduced": "3.0"}, {"fixed": "2.0"}, {"introduced": "0"})
    assert hit(version, affected(*events)) == expected


@pytest.mark.verifies("REQ-SBM-005")
def test_a_version_that_is_listed_is_hit_whatever_the_ranges_say():
    assert hit("9.9", {"versions": ["9.9"], "ranges": []}) == "hit"


@pytest.mark.verifies("REQ-SBM-005")
def test_ranges_of_commits_say_nothing_of_a_package():
    assert hit("1.0", {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}) == "clear"


@pytest.mark.verifies("REQ-SBM-005")
def test_names_are_compared_as_the_package_index_spells_them():
    assert [each.id for each in match([component()], [advisory()], Feeds())] == ["PYSEC-1"]


@pytest.mark.verifies("REQ-SBM-005")
def test_a_withdrawn_advisory_is_no_finding():
    assert match([component()], [advisory(withdrawn="2026-02-01T00:00:00Z")], Feeds()) == ()


@pytest.mark.verifies("REQ-SBM-005")
def test_a_package_of_another_ecosystem_is_another_package():
    other = advisory(affected=[{"package": {"ecosystem": "npm", "name": "some-package"}, "versions": ["1.0"]}])
    assert match([component()], [other], Feeds()) == ()


@pytest.mark.verifies("REQ-SBM-005")
def test_two_ids_of_one_vulnerability_are_one_finding():
    twin = advisory(id="GHSA-1", aliases=["CVE-2026-1"])
    assert len(match([component()], [advisory(), twin], Feeds())) == 1


@pytest.mark.verifies("REQ-SBM-005")
def test_the_exploited_come_before_the_likely_and_those_before_the_severe():
    severe = advisory(
        id="C", aliases=[], severity=[{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}]
    )
    found = match(
        [component()],
        [
            severe,
            advisory(id="B", aliases=["CVE-B"]),
            advisory(id="A", aliases=["CVE-A"]),
            advisory(id="D", aliases=[]),
        ],
        Feeds(exploited=frozenset({"CVE-A"}), epss_ppm={"CVE-B": 100}),
    )
    assert [each.id for each in found] == ["A", "B", "C", "D"]


@pytest.mark.verifies("REQ-SBM-005")
@pytest.mark.parametrize(
    ("vector", "tenths"),
    [
        # FIRST, CVSS v3.1 examples: CVE-2013-1937, CVE-2013-0375, CVE-2014-3566, CVE-2014-0160, CVE-2015-1098
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 64),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 31),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 75),
        ("CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 78),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0),
        ("CVSS:3.1/AV:N", None),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", None),
    ],
)
def test_base_scores_are_those_of_the_published_examples(vector, tenths):
    assert cvss3(vector) == tenths


@pytest.mark.verifies("REQ-SBM-005")
@pytest.mark.parametrize("broken", [{"affected": [{}]}, {"affected": [{"package": {"ecosystem": "PyPI"}}]}])
def test_a_record_that_names_no_package_is_refused_by_its_id(broken):
    with pytest.raises(DocumentInvalid, match="PYSEC-1"):
        match([component()], [advisory(**broken)], Feeds())


PACKAGE = {"ecosystem": "PyPI", "name": "some-package"}


@pytest.mark.parametrize(
    "entry",
    [
        {"versions": 1},
        {"ranges": [1]},
        {"ranges": [{"type": "ECOSYSTEM", "events": [1]}]},
        {"versions": ["1.0"], "severity": [1]},
    ],
)
def test_a_record_of_another_shape_is_refused_by_its_id_and_not_passed_over(entry):
    with pytest.raises(DocumentInvalid, match="PYSEC-1"):
        match([component()], [advisory(affected=[entry | {"package": PACKAGE}])], Feeds())


@pytest.mark.verifies("REQ-SBM-005")
@pytest.mark.skipif(not ADVISORIES.is_dir(), reason="no third-party advisories: set MEDAI_TEST_VECTORS")
def test_the_python_community_s_own_advisories_hit_the_old_jinja_and_not_the_fixed_one():
    records = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(ADVISORIES.rglob("*.yaml"))]
    found = match([component("2.10", "jinja2"), component("2.10.1", "jinja2")], records, Feeds())
    sandbox = [each.version for each in found if "CVE-2019-10906" in each.aliases]
    assert sandbox == ["2.10"]


def test_the_ecosystem_is_the_one_that_pip_installs_from():
    assert vulnerabilities.ECOSYSTEM == "PyPI"
