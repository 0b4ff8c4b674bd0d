"""Two bills of materials side by side: each kind of change, and the laws of the comparison."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbom.difference import Difference, diff, opposite

pytestmark = pytest.mark.verifies("REQ-SBM-008")

ROOT = {"component": {"bom-ref": "root"}}


def document(*components, needs=None, vulnerabilities=()):
    edges = {"root": [each["bom-ref"] for each in components], **(needs or {})}
    return {
        "metadata": ROOT,
        "components": list(components),
        "dependencies": [{"ref": ref, "dependsOn": list(on)} for ref, on in edges.items()],
        "vulnerabilities": list(vulnerabilities),
    }


def package(version="1.0", name="x", **other):
    purl = f"pkg:pypi/{name}@{version}"
    return {"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl} | other


def sha(letter):
    return [{"alg": "SHA-256", "content": letter * 64}]


def model(value):
    return {
        "bom-ref": "m", "type": "machine-learning-model", "name": "m", "version": "1",
        "modelCard": {"quantitativeAnalysis": {"performanceMetrics": [{"type": "AUROC", "value": value}]}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [package()], ("added", None, "1.0")),
        ([package()], [], ("removed", "1.0", None)),
        ([package("1.9")], [package("1.10")], ("up", "1.9", "1.10")),
        ([package("2.0")], [package("2.0rc1")], ("down", "2.0", "2.0rc1")),
        ([package("old")], [package("new")], ("other_version", "old", "new")),
        ([package(hashes=sha("a"))], [package(hashes=sha("b"))], ("same_version_other_hash", "a" * 64, "b" * 64)),
        (
            [package(licenses=[{"expression": "MIT"}])],
            [package(licenses=[{"license": {"id": "ISC"}}])],
            ("licence", "MIT", "ISC"),
        ),
        ([package(supplier={"name": "a"})], [package()], ("supplier", "a", None)),
        ([package(scope="excluded")], [package()], ("scope", "excluded", "required")),
        ([model("0.9")], [model("0.8")], ("model_metric", "0.9", "0.8")),
    ],
    ids=["added", "removed", "up", "down", "other", "hash", "licence", "supplier", "scope", "metric"],
)
def test_each_kind_of_change_is_told_once(old, new, expected):
    (only,) = diff(document(*old), document(*new))
    assert (only.change, only.old, only.new) == expected


def test_a_dependency_that_came_closer_is_told():
    x, y = package(name="x"), package(name="y")
    far = document(x, y, needs={"root": [x["bom-ref"]], x["bom-ref"]: [y["bom-ref"]]})
    near = document(x, y, needs={x["bom-ref"]: [y["bom-ref"]]})
    assert diff(far, near) == (Difference(component="pkg:pypi/y", change="depth", old="2", new="1"),)


def test_a_vulnerability_that_came_is_told():
    hit = [{"id": "CVE-1", "affects": [{"ref": "urn:cdx:x/1#pkg:pypi/x@1.0"}]}]
    (only,) = diff(document(package()), document(package(), vulnerabilities=hit))
    assert (only.change, only.what, only.component) == ("vulnerability_new", "CVE-1", "pkg:pypi/x")


def test_two_versions_side_by_side_are_two_components():
    (only,) = diff(document(package("1.0"), package("2.0")), document(package("1.0"), package("2.1")))
    assert (only.change, only.old, only.new) == ("up", "2.0", "2.1")


components = st.builds(
    package,
    version=st.sampled_from(["1.0", "1.0.0", "1.1", "2.0rc1", "weird", "5"]),
    name=st.sampled_from("abc"),
    hashes=st.sampled_from([sha("a"), sha("b"), []]),
    licenses=st.sampled_from([[{"expression": "MIT"}], [{"license": {"name": "?"}}], []]),
    scope=st.sampled_from(["required", "excluded"]),
)
documents = st.lists(components, max_size=6, unique_by=lambda each: each["bom-ref"]).map(lambda each: document(*each))


@given(documents)
def test_a_document_differs_in_nothing_from_itself(one):
    assert diff(one, one) == ()


@given(documents, documents)
def test_the_way_back_is_the_way_there_with_everything_turned_round(one, other):
    assert {opposite(each) for each in diff(one, other)} == set(diff(other, one))
