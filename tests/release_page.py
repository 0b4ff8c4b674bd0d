"""A release page with something in every section, of made-up evidence: for tests that look at it."""

import datetime as dt
from typing import Any

from sbom import page
from sbom.difference import Difference
from sbom.fields import Document
from sbom.gate import Evidence, judge
from sbom.policy import parse
from sbom.releasing import Approved
from sbom.report import Report
from sbom.standards import STANDARDS
from sbom.standards import judge as judged_by
from sbom.statement import Approval, Release, Resource
from sbom.vex import Judged, Statement
from sbom.vulnerabilities import Feed, Finding

DAY = dt.date(2026, 3, 1)
DIGEST = "d" * 64
PURL = "pkg:pypi/thing@1.0"
POLICY = parse(
    """
[licences]
allow = ["MIT"]
deny = ["GPL-3.0-only"]
[[support.component]]
purl = "pkg:pypi/thing"
version = "1"
level = "maintained"
end = "2026-09"
source = "its own page"
"""
)
FINDING = Finding(
    id="PYSEC-1", aliases=("CVE-2026-1",), summary="<script>alert(1)</script> & a hole", component=PURL, name="thing",
    version="1.0", fixed_in=("1.1",), exploited=True, epss_ppm=912_300, cvss_tenths=98, modified="",
)  # fmt: skip
DECIDED = Statement(
    vulnerability="PYSEC-2", purl=PURL, sha256="a" * 64, release="1", state="not_affected",
    justification="code_not_reachable", detail="nothing calls it", author="Ada", approver="Grace",
    decided=DAY, review_by=dt.date(2026, 9, 1),
)  # fmt: skip
DOCUMENT: dict[str, Any] = {
    "metadata": {
        "component": {"type": "application", "name": "medai-flow", "version": "1"},
        "properties": [{"name": "medai:known-unknown", "value": "the base image was not named"}],
    },
    "components": [
        {"type": "library", "name": "thing", "version": "1.0", "purl": PURL, "licenses": [{"expression": "MIT"}],
         "hashes": [{"alg": "SHA-256", "content": "a" * 64}], "supplier": {"name": "Some <b>body"}},
        {"type": "library", "name": "other", "version": "2.0", "purl": "pkg:pypi/other@2.0",
         "licenses": [{"expression": "GPL-3.0-only"}]},
        {"type": "machine-learning-model", "name": "model", "version": "1", "description": "finds things",
         "hashes": [{"alg": "SHA-256", "content": "b" * 64}],
         "modelCard": {"considerations": {"useCases": ["to show"], "technicalLimitations": ["not for people"]},
                       "quantitativeAnalysis": {"performanceMetrics": [{"type": "AUROC", "value": "0.99",
                                                                        "slice": "test"}]}}},
    ],
}  # fmt: skip
TRACE: dict[str, Any] = {
    "summary": {"requirements": 3, "hazards": 2, "hazards_controlled": 1, "tests": 9, "failing": 1, "reviews_open": 1,
                "verdicts": {"proved": 2, "below": 1},
                "classes": [{"safety_class": "C", "requirements": 3, "proved": 2}]},
    "links": [{"requirement": "REQ-1", "target": "a.py::f",
               "review": {"status": "suspect", "moved": ["code"], "reviewer": "Ada"}}],
    "findings": [{"severity": "fail", "file": "a.py", "line": 3, "text": "REQ-2 has no test"}],
}  # fmt: skip
RELEASE = Release(
    version="1", commit="c" * 40, source="git+local", migrations_head="0002", subjects=(), packages=(), models=(),
    locks=(Resource(name="requirements.lock", digest={"sha256": "e" * 64}),), evidence=(), builder="b", invocation={},
)  # fmt: skip
CHANGES = (
    Difference(component="pkg:pypi/thing", change="up", old="0.9", new="1.0"),
    Difference(component="pkg:pypi/swapped", change="same_version_other_hash", what="SHA-256", old="1", new="2"),
)


def shown(**other):
    """The page's arguments: everything that can be bad is, one of each."""
    report = Report(
        checked=True, sbom="", release="1", today=DAY, audited=2, feeds=(Feed(name="osv", date=DAY, records=53_000),),
        findings=(
            Judged(finding=FINDING, closed_by=None, why_open="nobody has decided about it"),
            Judged(finding=FINDING, closed_by=DECIDED, why_open=None),
        ),
        open=1,
    )  # fmt: skip
    verdicts = [judged_by(standard, Document(DOCUMENT)) for standard in STANDARDS.values()]
    evidence = Evidence(
        report=report, today=DAY, breaches=(), verdicts=verdicts, altered=(), trace=TRACE, signed_by=("k" * 64,),
        development_key="no", approvals=1,
    )  # fmt: skip
    approval = Approval(name="Grace", time="2026-03-01T10:00:00Z", meaning="Approved for release")
    made: dict[str, Any] = {
        "gate": judge(evidence), "release": RELEASE, "digest": DIGEST, "signed_by": ("k" * 64,),
        "development_key": False, "approvals": (Approved(approval=approval, signed_by="f" * 64),),
        "document": DOCUMENT, "policy": POLICY, "report": report, "verdicts": verdicts, "changes": CHANGES,
        "trace": TRACE, "today": DAY,
    }  # fmt: skip
    return page.Shown(**(made | other))


def text(**other):
    return page.render(shown(**other))
