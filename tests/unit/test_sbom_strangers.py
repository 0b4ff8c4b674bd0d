"""Documents that a stranger might send: one place of a good one is changed, and every command ends with a verdict."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbom import cli, cli_policy, cli_vulns

pytestmark = pytest.mark.verifies("REQ-SBM-009")

PURL = "pkg:pypi/thing@1.0"
GOOD: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
    "metadata": {
        "timestamp": "2026-01-01T00:00:00Z",
        "component": {"type": "application", "bom-ref": "root", "name": "p", "version": "1"},
        "properties": [{"name": "medai:known-unknown", "value": "x"}],
    },
    "components": [
        {
            "type": "library", "bom-ref": PURL, "name": "thing", "version": "1.0", "purl": PURL, "scope": "required",
            "supplier": {"name": "Somebody", "contact": [{"email": "somebody@example.org"}]},
            "licenses": [{"license": {"id": "MIT"}}], "hashes": [{"alg": "SHA-256", "content": "a" * 64}],
            "properties": [{"name": "medai:bundled-in", "value": PURL}],
            "components": [{"type": "file", "name": "part.js"}],
        },
        {
            "type": "machine-learning-model", "bom-ref": "m", "name": "m", "version": "1",
            "modelCard": {"quantitativeAnalysis": {"performanceMetrics": [{"type": "AUROC", "value": "0.9"}]}},
        },
    ],
    "dependencies": [{"ref": "root", "dependsOn": [PURL]}, {"ref": PURL}],
    "compositions": [{"aggregate": "complete", "dependencies": [PURL]}],
    "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "in_triage"}, "affects": [{"ref": PURL}]}],
}  # fmt: skip


def places(value, path=()):
    """Every place below `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for name, each in inner for place in ((*path, name), *places(each, (*path, name)))]


GONE = object()
ODD = st.sampled_from(
    [GONE, GONE, None, "", "x", "NOASSERTION", "\x1b[2J", "a\ud800", "9" * 400, 0, -1, 1.5, 1e999, True, [], {}, [{}],
     [[]], {"name": "x"}, [{"name": "x"}], PURL, "GPL-3.0-only", "excluded"]
)  # fmt: skip


def changed(place, value, version):
    """The good document in a version of the format, with something else (or nothing) at `place`."""
    made: Any = copy.deepcopy(GOOD) | {"specVersion": version}
    at = made
    for step in place[:-1]:
        at = at[step]
    if value is GONE:
        del at[place[-1]]
    else:
        at[place[-1]] = copy.deepcopy(value)
    return made


strangers = st.builds(changed, st.sampled_from(places(GOOD)), ODD, st.sampled_from(("1.4", "1.5", "1.6", "1.6", "1.7")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("strangers")
    (made / "good.json").write_text(json.dumps(GOOD), "utf-8")
    (made / "osv").mkdir()
    record = {
        "id": "PYSEC-1", "modified": "2026-01-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": "PyPI", "name": "thing"}, "versions": ["1.0"]}],
    }  # fmt: skip
    (made / "osv" / "PYSEC-1.json").write_text(json.dumps(record), "utf-8")
    (made / "policy.toml").write_text('[licences]\nallow = ["MIT"]\n', "utf-8")
    return made


def verdicts(folder, document):
    """The exit code of each command; what one raises goes on."""
    (folder / "one.json").write_text(json.dumps(document), "utf-8")
    one, good = str(folder / "one.json"), str(folder / "good.json")
    day = ["--today", "2026-01-02"]
    return [
        cli.check([one]),
        cli_policy.judge([one, "--policy", str(folder / "policy.toml"), *day]),
        cli_policy.diff([good, one]),
        cli_policy.vex(["import", one, "--sbom", good, *day]),
        cli_vulns.vulns(["--sbom", one, "--advisories", str(folder / "osv"), *day]),
    ]


def test_the_good_document_comes_to_verdicts_and_no_error(folder):
    assert verdicts(folder, GOOD) == [1, 1, 0, 0, 1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=strangers)
def test_whatever_is_changed_in_one_place_every_command_ends_with_a_verdict(folder, capsys, document):
    assert set(verdicts(folder, document)) <= {0, 1, 2, 3}
    told = capsys.readouterr()
    assert [each for each in told.out + told.err if not each.isprintable() and each != "\n"] == []
