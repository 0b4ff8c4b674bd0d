"""The standards' rules over one hand-made document that has everything, and over copies that lack one field each."""

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbom import schema
from sbom.errors import DocumentInvalid
from sbom.fields import Document
from sbom.standards import STANDARDS, judge

REF = "pkg:pypi/thing@1.0"
COMPONENT: dict[str, Any] = {
    "type": "library",
    "bom-ref": REF,
    "name": "thing",
    "version": "1.0",
    "purl": REF,
    "supplier": {"name": "Somebody", "contact": [{"email": "somebody@example.org"}]},
    "licenses": [{"expression": "MIT"}],
    "hashes": [{"alg": "SHA-256", "content": "a" * 64}, {"alg": "SHA-512", "content": "b" * 128}],
    "properties": [
        {"name": "bsi:component:filename", "value": "thing-1.0-py3-none-any.whl"},
        {"name": "bsi:component:executable", "value": "non-executable"},
        {"name": "bsi:component:archive", "value": "archive"},
        {"name": "bsi:component:structured", "value": "structured"},
        {"name": "medai:support:level", "value": "maintained"},
        {"name": "medai:support:end", "value": "2030-01"},
    ],
}
PRODUCT: dict[str, Any] = copy.deepcopy(COMPONENT) | {
    "type": "application",
    "bom-ref": "root",
    "name": "product",
    "version": "1",
}
COMPLETE: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
    "version": 1,
    "metadata": {
        "timestamp": "2026-01-01T00:00:00Z",
        "tools": {"components": [{"type": "application", "name": "a tool"}]},
        "lifecycles": [{"phase": "build"}],
        "manufacturer": {"name": "A maker", "url": ["https://example.org"]},
        "component": PRODUCT,
    },
    "components": [COMPONENT],
    "dependencies": [{"ref": "root", "dependsOn": [REF]}, {"ref": REF}],
    "compositions": [
        {"aggregate": "complete", "dependencies": [REF]},
        {"aggregate": "complete", "dependencies": ["root"]},
    ],
}


def without(*path):
    """The complete document without the member (or list element) at `path`."""
    made = copy.deepcopy(COMPLETE)
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return made


def without_property(name):
    made = copy.deepcopy(COMPLETE)
    component: Any = made["components"][0]
    component["properties"] = [each for each in component["properties"] if each["name"] != name]
    return made


def missing(standard, document):
    return [each.field for each in judge(STANDARDS[standard], Document(document)).missing]


FIRST = ("components", 0)
LACKING = [
    ("ntia", "author of the SBOM", without("metadata", "manufacturer")),
    ("ntia", "timestamp", without("metadata", "timestamp")),
    ("ntia", "the product that it is about", without("metadata", "component")),
    ("ntia", "at least one component", COMPLETE | {"components": []}),
    ("ntia", "supplier name", without(*FIRST, "supplier")),
    ("ntia", "supplier name", without("metadata", "component", "supplier")),
    ("ntia", "component name", without(*FIRST, "name")),
    ("ntia", "version", without(*FIRST, "version")),
    ("ntia", "other unique identifier", without(*FIRST, "purl")),
    ("ntia", "dependency relationship", without("dependencies", 1)),
    ("cisa", "author of the SBOM", without("metadata", "manufacturer")),
    ("cisa", "tool name", without("metadata", "tools")),
    ("cisa", "timestamp", without("metadata", "timestamp")),
    ("cisa", "generation context", without("metadata", "lifecycles")),
    ("cisa", "the product that it is about", without("metadata", "component")),
    ("cisa", "at least one component", COMPLETE | {"components": []}),
    ("cisa", "software producer", without(*FIRST, "supplier")),
    ("cisa", "component name", without(*FIRST, "name")),
    ("cisa", "version", without(*FIRST, "version")),
    ("cisa", "software identifier", without(*FIRST, "purl")),
    ("cisa", "component hash", without(*FIRST, "hashes")),
    ("cisa", "licence", without(*FIRST, "licenses")),
    ("cisa", "dependency relationship", without("compositions", 0)),
    ("bsi", "CycloneDX 1.6 or later", {**COMPLETE, "specVersion": "1.5"}),
    ("bsi", "creator of the SBOM (e-mail or URL)", without("metadata", "manufacturer", "url")),
    ("bsi", "timestamp", without("metadata", "timestamp")),
    ("bsi", "the product that it is about", without("metadata", "component")),
    ("bsi", "at least one component", COMPLETE | {"components": []}),
    ("bsi", "no vulnerabilities in the SBOM itself", COMPLETE | {"vulnerabilities": [{"id": "CVE-1"}]}),
    ("bsi", "component creator (e-mail or URL)", without(*FIRST, "supplier", "contact")),
    ("bsi", "component name", without(*FIRST, "name")),
    ("bsi", "component version", without(*FIRST, "version")),
    ("bsi", "filename", without_property("bsi:component:filename")),
    ("bsi", "dependencies, with their completeness", without("compositions", 0)),
    ("bsi", "distribution licences (SPDX)", without(*FIRST, "licenses")),
    ("bsi", "hash of the deployable component (SHA-512)", without(*FIRST, "hashes", 1)),
    ("bsi", "executable property", without_property("bsi:component:executable")),
    ("bsi", "archive property", without_property("bsi:component:archive")),
    ("bsi", "structured property", without_property("bsi:component:structured")),
    ("fda", "level of support", without_property("medai:support:level")),
    ("fda", "end-of-support date", without_property("medai:support:end")),
    ("fda", "supplier name", without(*FIRST, "supplier")),
    ("iec62304", "at least one component", COMPLETE | {"components": []}),
    ("iec62304", "title", without(*FIRST, "name")),
    ("iec62304", "manufacturer", without(*FIRST, "supplier")),
    ("iec62304", "unique designator", without(*FIRST, "purl")),
    ("iec62304", "version", without(*FIRST, "version")),
]


@pytest.mark.verifies("REQ-SBM-007")
@pytest.mark.parametrize("standard", STANDARDS)
def test_a_document_that_has_everything_passes(standard):
    verdict = judge(STANDARDS[standard], Document(COMPLETE))
    assert (verdict.passed, verdict.score_ppm, verdict.missing) == (True, 1_000_000, ())


@pytest.mark.verifies("REQ-SBM-007")
def test_the_complete_document_is_valid():
    assert schema.require_valid(json.dumps(COMPLETE).encode(), strict=True) == COMPLETE


@pytest.mark.verifies("REQ-SBM-007")
@pytest.mark.parametrize(("standard", "field", "document"), LACKING, ids=lambda each: each if type(each) is str else "")
def test_a_document_that_lacks_one_field_misses_that_one(standard, field, document):
    assert missing(standard, document) == [field]


def test_every_rule_of_every_standard_has_a_document_that_breaks_it():
    tried = {(standard, field) for standard, field, _ in LACKING}
    inherited = {("fda", rule.field) for rule in STANDARDS["ntia"].rules}
    asked = {(name, rule.field) for name, standard in STANDARDS.items() for rule in standard.rules}
    assert asked - tried - inherited == set()


@pytest.mark.verifies("REQ-SBM-007")
def test_a_score_is_the_share_of_fields_that_are_there():
    verdict = judge(STANDARDS["iec62304"], Document(without(*FIRST, "version")))
    assert (verdict.asked, verdict.score_ppm) == (5, 800_000)


@pytest.mark.verifies("REQ-SBM-007")
@pytest.mark.parametrize("said", ["NOASSERTION", "unknown", " ", ""])
def test_a_word_for_nothing_is_nothing(said):
    document = copy.deepcopy(COMPLETE)
    document["components"][0]["version"] = said
    assert missing("iec62304", document) == ["version"]


@pytest.mark.verifies("REQ-SBM-007")
def test_a_component_inside_another_is_judged_as_well():
    document = copy.deepcopy(COMPLETE)
    document["components"][0]["components"] = [{"type": "library", "name": "inner"}]
    assert [each.component for each in judge(STANDARDS["ntia"], Document(document)).missing] == ["inner"] * 4


def test_a_licence_that_has_a_name_only_is_no_spdx_licence():
    document = copy.deepcopy(COMPLETE)
    document["components"][0]["licenses"] = [{"license": {"name": "Ours"}}]
    assert (missing("bsi", document), missing("cisa", document)) == (["distribution licences (SPDX)"], [])


def test_a_file_that_stands_alone_is_a_component_and_one_inside_another_is_not():
    document = copy.deepcopy(COMPLETE)
    document["components"][0]["components"] = [{"type": "file", "name": "part.js"}]
    document["components"].append({"type": "file", "name": "alone.so"})
    assert {each.component for each in judge(STANDARDS["ntia"], Document(document)).missing} == {"alone.so"}


def test_the_product_is_no_soup_of_its_own():
    document = copy.deepcopy(COMPLETE)
    document["metadata"]["component"] = {"type": "application", "name": "product"}
    assert missing("iec62304", document) == []


@pytest.mark.parametrize("standard", STANDARDS)
def test_each_verdict_says_what_of_the_standards_text_was_read(standard):
    assert judge(STANDARDS[standard], Document(COMPLETE)).read.startswith(("second hand: ", "not read: "))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ("metadata", "components", "dependencies", "compositions", "specVersion")
INNER = (
    "supplier",
    "licenses",
    "hashes",
    "properties",
    "authors",
    "externalReferences",
    "components",
    "contact",
    "url",
)
ODD = st.dictionaries(
    st.sampled_from((*MEMBERS, *INNER)),
    JSON | st.lists(st.dictionaries(st.sampled_from((*INNER, "name", "ref", "license", "alg")), JSON), max_size=3),
)


@pytest.mark.verifies("REQ-SBM-007")
@given(ODD)
def test_no_shape_of_a_document_makes_a_rule_fail_otherwise(document):
    for standard in STANDARDS.values():
        verdict = judge(standard, Document(document))
        assert 0 <= verdict.score_ppm <= 1_000_000


@pytest.mark.verifies("REQ-SBM-007")
@given(JSON | ODD, st.sampled_from(("1.4", "1.5", "1.6", "1.7", "2.0")))
def test_whatever_a_document_is_it_is_judged_or_refused_and_nothing_else_goes_wrong(value, version):
    document = {"bomFormat": "CycloneDX", "specVersion": version, "version": 1}
    document |= value if isinstance(value, dict) else {"components": value}
    with contextlib.suppress(DocumentInvalid):
        made = schema.require_valid(json.dumps(document).encode(), strict=False)
        for standard in STANDARDS.values():
            judge(standard, Document(made))


@pytest.mark.verifies("REQ-SBM-007")
@pytest.mark.parametrize("version", ["1.4", "1.5", "1.6", "1.7"])
def test_a_strangers_document_of_each_version_is_judged(version):
    stranger = {"bomFormat": "CycloneDX", "specVersion": version, "version": 1,
                "components": [{"type": "library", "name": "x", "author": "Somebody"}]}  # fmt: skip
    assert "supplier name" not in missing("ntia", schema.require_valid(json.dumps(stranger).encode(), strict=True))


@pytest.mark.verifies("REQ-SBM-007")
@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "not JSON"),
        (b"[]", "/bomFormat"),
        (b'{"bomFormat":"SPDX"}', "/bomFormat"),
        (b'{"bomFormat":"CycloneDX","specVersion":"1.3"}', "/specVersion"),
        (
            b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"cake","name":"x"}]}',
            "/components/0/type",
        ),
        (b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":{}}', "/components"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'<?xml version="1.0"?><bom/>', "it is XML"),
        (b'{"bomFormat":"CycloneDX","specVersion":"1.6","version":NaN}', "NaN is no number"),
        (
            b'{"bomFormat":"CycloneDX","specVersion":"1.6","vulnerabilities":[{"ratings":[{"score":1e999}]}]}',
            "not JSON",
        ),
        (
            b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":[],"components":[]}',
            "'components' is given twice",
        ),
        (b'{"bomFormat":"CycloneDX","specVersion":"1.6","$schema":"\\ud800"}', "surrogate"),
        (
            b'{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"licenses":[{"license":{"id":"NOPE"}}]}}',
            "/metadata/licenses/0/license/id",
        ),
        (
            b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":['
            + b'{"type":"library","name":"x","components":[' * 250
            + b"]}" * 250
            + b"]}",
            "nested too deeply",
        ),
    ],
)
def test_a_broken_document_is_refused_with_the_place(content, place):
    with pytest.raises(DocumentInvalid, match=place):
        schema.require_valid(content, strict=False)


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\u202e"])
def test_what_would_steer_a_terminal_is_shown_as_its_escape(name):
    assert schema.plain(f"{name} \u00fc") == name.encode("unicode_escape").decode() + " \u00fc"


def test_no_more_of_a_file_is_read_than_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "MAX_BYTES", 10)
    (tmp_path / "large").write_bytes(b" " * 100)
    with pytest.raises(DocumentInvalid, match="11 bytes, at most 10"):
        schema.read(tmp_path / "large")


@pytest.mark.verifies("REQ-SBM-007")
def test_an_address_that_is_none_is_refused_with_the_place():
    document = copy.deepcopy(COMPLETE)
    document["components"][0]["externalReferences"] = [{"type": "website", "url": "not an address"}]
    with pytest.raises(DocumentInvalid, match="/components/0/externalReferences/0/url"):
        schema.require_valid(json.dumps(document).encode(), strict=False)


HOSTS, PATHS = st.text("az09.-~%@[]: \u00e4", max_size=8), st.text("aZ0@:%/?#[]{}|=&+ \u00e4", max_size=16)


@given(st.builds("{}://{}{}".format, st.sampled_from(("http", "a+b", "1x", "")), HOSTS, PATHS))
def test_what_passes_the_quick_look_at_an_address_passes_the_full_grammar(text):
    from rfc3987_syntax import is_valid_syntax

    if schema.is_plain_address(text):
        assert is_valid_syntax("iri_reference", text)
