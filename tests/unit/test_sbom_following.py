"""From a release's digest to its components, its matrix and its tests, as far as the files are those that it binds."""

import json
from hashlib import sha256

import pytest
from msgspec.structs import replace

from sbom import following
from sbom.statement import Release, Resource

pytestmark = pytest.mark.verifies("REQ-REL-001")

SBOM = {
    "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
    "components": [
        {"type": "library", "name": "numpy", "version": "2"},
        {"type": "library", "name": "pytest", "version": "9", "scope": "excluded"},
        {"type": "machine-learning-model", "name": "m", "version": "1", "description": "finds \x1b things"},
    ],
}  # fmt: skip
FILES = {
    "sbom.cdx.json": json.dumps(SBOM),
    "trace.json": json.dumps({"summary": {"requirements": 7, "hazards": 3, "hazards_controlled": 2, "failing": 1}}),
    "tests.json": json.dumps({"complete": False, "started_at": "2026-03-01T00:00:00Z",
                              "nodes": [{"outcome": "passed"}, {"outcome": "failed"}, {"outcome": "passed"}]}),
    "vulnerabilities.json": json.dumps({"format": "medai.vulnerabilities/1", "checked": False, "why_not": "too old",
                                        "sbom": "", "release": "1", "today": "2026-03-01", "audited": 0, "feeds": [],
                                        "findings": [], "open": 0}),
}  # fmt: skip


def release(**digests):
    evidence = {name: sha256(text.encode()).hexdigest() for name, text in FILES.items()} | digests
    return Release(
        version="1", commit="c", source="git+local", migrations_head="h", subjects=(), packages=(), models=(), locks=(),
        evidence=tuple(Resource(name=name, digest={"sha256": digest}) for name, digest in evidence.items()),
        builder="b", invocation={},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def told(folder, made=None):
    return "\n".join(following.thread(made or release(), folder))


@pytest.mark.parametrize(
    "words",
    [
        "2 that ship (1 library, 1 machine-learning-model)",
        "model m 1: finds \\x1b things",
        "7 requirements, 2 of 3 hazards controlled, 1 findings that fail",
        "1 failed, 2 passed (a part of the suite, 2026-03-01T00:00:00Z)",
        "NOT CHECKED: too old",
    ],
)
def test_the_thread_leads_to_components_matrix_tests_and_vulnerabilities(folder, words):
    assert words in told(folder)


def test_a_file_that_is_another_one_is_not_read(folder):
    (folder / "trace.json").write_text('{"summary": {"requirements": 999}}', "utf-8")
    assert "trace.json: the file" in told(folder)
    assert "999" not in told(folder)


def test_a_file_that_is_not_there_is_named_with_what_to_do(folder):
    (folder / "tests.json").unlink()
    assert "tests.json: cannot be read" in told(folder)
    assert "--evidence" in told(folder)


def test_what_the_release_does_not_bind_is_named(folder):
    bare = replace(release(), evidence=())
    assert told(folder, bare) == (
        "not bound by this release: sbom.cdx.json, tests.json, trace.json, vulnerabilities.json"
    )


def test_a_bound_file_that_cannot_be_understood_is_told(folder):
    (folder / "trace.json").write_text("[]", "utf-8")
    assert "cannot be understood" in told(folder, release(**{"trace.json": sha256(b"[]").hexdigest()}))
