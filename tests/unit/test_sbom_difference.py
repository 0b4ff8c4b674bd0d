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


def sha(letter, algorithm="SHA-256"):
    return [{"alg": algorithm, "content": letter * 64}]


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
        ([package(hashes=sha("a"))], [package()], ("hash", "SHA-256", None)),
        ([package(hashes=sha("a", "SHA-1"))], [package(hashes=sha("a"))], ("hash", "SHA-1", "SHA-256")),
    ],
    ids=["added", "removed", "up", "down", "other", "hash", "licence", "supplier", "scope", "metric", "gone", "unlike"],
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


def test_another_version_of_the_product_is_told():
    old, new = ({"metadata": {"component": {"name": "p", "version": each}}} for each in ("1.0", "1.1"))
    assert diff(old, new) == (Difference(component="product:p", change="up", old="1.0", new="1.1"),)


def test_a_property_without_a_value_is_no_fault():
    stranger = {"components": [{"type": "library", "name": "x", "properties": [{"name": "medai:bundled-in"}]}]}
    assert [each.change for each in diff({}, stranger)] == ["added"]


def whole(found, edges, hits, version):
    """A document of these, in which some need others and some are hit."""
    refs = [each["bom-ref"] for each in found]
    needs = {refs[a % len(refs)]: [refs[b % len(refs)]] for a, b in edges} if refs else {}
    product = {"bom-ref": "root", "name": "p", "version": version}
    hit = [{"id": name, "affects": [{"ref": f"urn:cdx:x/1#{refs[at % len(refs)]}"}]} for name, at in hits if refs]
    return document(*found[:2], needs=needs, vulnerabilities=hit) | {
        "components": found, "metadata": {"component": product}
    }  # fmt: skip


components = st.builds(
    package,
    version=st.sampled_from(["1.0", "1.0.0", "1.1", "2.0rc1", "weird", "5"]),
    name=st.sampled_from("abc"),
    hashes=st.sampled_from([sha("a"), sha("b"), sha("a", "SHA-1"), []]),
    supplier=st.sampled_from([{"name": "a"}, {"name": "b"}, {}]),
    components=st.sampled_from([[], [{"bom-ref": "in", "type": "library", "name": "inner", "version": "1"}]]),
    licenses=st.sampled_from([[{"expression": "MIT"}], [{"license": {"name": "?"}}], []]),
    scope=st.sampled_from(["required", "excluded"]),
)
models = st.sampled_from(["0.9", "0.8"]).map(model)
documents = st.builds(
    whole,
    st.lists(components | models, max_size=6, unique_by=lambda each: each["bom-ref"]),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6),
    st.lists(st.tuples(st.sampled_from(["CVE-1", "CVE-2"]), st.integers(0, 5)), max_size=3),
    st.sampled_from(["1", "2"]),
)


@given(documents)
def test_a_document_differs_in_nothing_from_itself(one):
    assert diff(one, one) == ()


@given(documents, documents)
def test_the_way_back_is_the_way_there_with_everything_turned_round(one, other):
    assert {opposite(each) for each in diff(one, other)} == set(diff(other, one))
