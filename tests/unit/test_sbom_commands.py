"""The commands as a pipeline sees them: what is planted fails, each with its exit code, and nothing is a traceback."""

import copy
import json
import os
from pathlib import Path

import pytest

from sbom import cli, cli_policy, cli_vulns

pytestmark = pytest.mark.verifies("REQ-SBM-009")

ROOT = Path(__file__).resolve().parents[2]
ADVISORIES = Path(os.environ.get("MEDAI_TEST_VECTORS", "../shared/vectors")) / "pypa-advisories" / "vulns"
needs_advisories = pytest.mark.skipif(not ADVISORIES.is_dir(), reason="no advisories under MEDAI_TEST_VECTORS")
PURL = "pkg:pypi/jinja2@2.10"
DIGEST = "a" * 64
SERIAL = "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79"
JINJA = {
    "type": "library", "bom-ref": PURL, "name": "jinja2", "version": "2.10", "purl": PURL,
    "licenses": [{"expression": "BSD-3-Clause"}], "hashes": [{"alg": "SHA-256", "content": DIGEST}],
}  # fmt: skip
CLICK = {
    "type": "library", "bom-ref": "pkg:pypi/click@8.4.1", "name": "click", "version": "8.4.1",
    "purl": "pkg:pypi/click@8.4.1", "licenses": [{"expression": "BSD-3-Clause"}],
    "hashes": [{"alg": "SHA-256", "content": DIGEST}],
}  # fmt: skip
VEX = """
[[statement]]
vulnerability = "{id}"
purl = "pkg:pypi/jinja2@2.10"
sha256 = "{digest}"
release = "1"
state = "not_affected"
justification = "code_not_reachable"
detail = "no template comes from outside"
author = "Ada"
approver = "Grace"
decided = 2024-01-01
review_by = 2024-06-30
"""


@pytest.fixture
def write(tmp_path):
    def write(*components, name="sbom.json"):
        document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": SERIAL, "version": 1,
                    "metadata": {"component": {"type": "application", "name": "p", "version": "1"}},
                    "components": list(components)}  # fmt: skip
        path = tmp_path / name
        path.write_text(json.dumps(document), "utf-8")
        return str(path)

    return write


def changed(component, **other):
    return copy.deepcopy(component) | other


def vulns(document, *more, today="2024-02-20", age="7"):
    return cli_vulns.vulns(
        ["--sbom", document, "--advisories", str(ADVISORIES), "--today", today, "--max-age-days", age, *more]
    )


@needs_advisories
def test_a_planted_vulnerable_pin_fails(write, capsys):
    assert vulns(write(JINJA)) == 1
    assert "jinja2 2.10" in capsys.readouterr().out


@needs_advisories
def test_a_pin_without_a_known_vulnerability_passes(write):
    assert vulns(write(CLICK)) == 0


@needs_advisories
def test_a_feed_that_is_too_old_is_not_none_found(write, capsys):
    assert vulns(write(CLICK), today="2026-03-01") == 3
    assert "NOT CHECKED" in capsys.readouterr().err


@needs_advisories
def test_fewer_components_than_expected_are_not_none_found(write):
    assert vulns(write(CLICK), "--expect", "2") == 3


@needs_advisories
def test_a_pin_of_the_lock_that_was_not_looked_up_is_not_none_found(write, tmp_path):
    (tmp_path / "lock").write_text(f"flask==1.0 \\\n    --hash=sha256:{DIGEST}\n", "utf-8")
    assert vulns(write(CLICK), "--lock", str(tmp_path / "lock")) == 3


@needs_advisories
def test_what_was_not_checked_is_written_down_as_such(write, tmp_path):
    vulns(write(CLICK), "--json", str(tmp_path / "v.json"), today="2026-03-01")
    told = json.loads((tmp_path / "v.json").read_bytes())
    assert (told["checked"], told["findings"]) == (False, [])


@pytest.fixture
def decided(write, tmp_path):
    """The jinja2 document, and a file with a decision about every vulnerability of it."""
    document = write(JINJA)
    vulns(document, "--json", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_bytes())["findings"]
    text = "".join(VEX.format(id=each["finding"]["id"], digest=DIGEST) for each in found)
    (tmp_path / "vex.toml").write_text(text, "utf-8")
    return document, str(tmp_path / "vex.toml")


@needs_advisories
def test_what_was_decided_closes_what_was_found(decided):
    document, statements = decided
    assert vulns(document, "--vex", statements) == 0


@needs_advisories
def test_a_decision_whose_review_is_overdue_fails(decided):
    document, statements = decided
    assert vulns(document, "--vex", statements, today="2024-07-01", age="1000") == 1


@needs_advisories
def test_a_decision_about_another_file_fails(decided, write):
    other = write(changed(JINJA, hashes=[{"alg": "SHA-256", "content": "b" * 64}]), name="other.json")
    assert vulns(other, "--vex", decided[1]) == 1


@needs_advisories
def test_decisions_go_out_as_cyclonedx_and_openvex_and_come_back_as_proposals(decided, tmp_path, capsys):
    document, statements = decided
    vulns(document, "--vex", statements, "--json", str(tmp_path / "v.json"))
    for form in ("cyclonedx", "openvex"):
        out = str(tmp_path / form)
        arguments = ["export", str(tmp_path / "v.json"), "--sbom", document, "--format", form, "--author", "Ada"]
        assert cli_policy.vex([*arguments, "-o", out]) == 0
        capsys.readouterr()
        assert cli_policy.vex(["import", out]) == 0
        assert f"{PURL}  not_affected" in capsys.readouterr().out


def policy(*arguments):
    return cli_policy.judge([*arguments, "--policy", str(ROOT / "sbom/policy.toml"), "--today", "2026-03-01"])


def test_what_the_policy_allows_passes(write):
    assert policy(write(CLICK)) == 0


@pytest.mark.parametrize(
    ("other", "rule"),
    [
        ({"licenses": [{"expression": "GPL-3.0-only"}]}, "licence_denied"),
        ({"licenses": [{"expression": "EUPL-1.2"}]}, "licence_review"),
        ({"licenses": []}, "licence_unknown"),
        ({"hashes": []}, "not_hashed"),
        ({"properties": [{"name": "medai:pinned", "value": "false"}]}, "not_pinned"),
    ],
)
def test_what_the_policy_does_not_allow_fails(write, capsys, other, rule):
    assert policy(write(changed(CLICK, **other))) == 1
    assert f"FAILS: {rule}" in capsys.readouterr().out


def test_a_wheel_that_was_swapped_under_its_version_fails(write, capsys):
    other = changed(CLICK, hashes=[{"alg": "SHA-256", "content": "b" * 64}])
    assert policy(write(other), "--before", write(CLICK, name="before.json")) == 1
    assert "same_version_other_hash" in capsys.readouterr().out


@pytest.mark.parametrize(("old", "new", "code"), [((CLICK,), (CLICK,), 0), ((CLICK,), (CLICK, JINJA), 1)])
def test_a_difference_has_an_exit_code(write, old, new, code):
    assert cli_policy.diff([write(*old, name="old.json"), write(*new, name="new.json")]) == code


def test_a_difference_is_written_as_json(write, tmp_path):
    out = tmp_path / "diff.json"
    cli_policy.diff([write(name="old.json"), write(CLICK, name="new.json"), "--json", str(out)])
    assert [each["change"] for each in json.loads(out.read_bytes())] == ["added"]


def test_a_document_with_a_missing_field_is_found_incomplete(write):
    assert cli.check([write(CLICK), "--standard", "ntia"]) == 1


@pytest.mark.parametrize(
    "command",
    [
        lambda path: cli.check([path]),
        policy,
        lambda path: cli_policy.diff([path, path]),
        lambda path: cli_policy.vex(["import", path]),
        lambda path: cli_vulns.vulns(["--sbom", path, "--advisories", path]),
    ],
    ids=["check", "policy", "diff", "vex", "vulns"],
)
@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"\xff", b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":3}']
)
def test_a_file_that_is_broken_is_a_sentence_and_exit_code_two(tmp_path, capsys, command, content):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    assert command(str(path)) == 2
    assert capsys.readouterr().err.startswith("medai: ")
