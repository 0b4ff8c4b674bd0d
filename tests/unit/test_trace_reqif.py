"""The ReqIF export is read by StrictDoc's parser and valid under OMG's schema, whatever is in the matrix."""

import contextlib
from importlib.resources import files

import pytest
import xmlschema
from reqif.parser import ReqIFParser  # type: ignore[import-untyped]  # it carries no types

from tests.trace_matrices import TEST, a_hazard, a_link, a_matrix, a_requirement, a_test, a_unit, many
from traceability import reqif_export, rows
from traceability.requirements import Source

pytestmark = pytest.mark.verifies("REQ-TRC-011")

HOSTILE = "a <b> & \"c\" 'd'\n\ttab \x00\x0b\ud800 ]]> <!-- é 漢"


@pytest.fixture(scope="module")
def schema():
    """OMG's schema, as StrictDoc's package carries it; what it imports is found from the package's own folder."""
    folder = str(files("reqif").joinpath(".."))
    with contextlib.chdir(folder):
        return xmlschema.XMLSchema("reqif/reqif_schema/reqif.xsd", base_url=folder, allow="local")


def read(found):
    return ReqIFParser.parse_from_string(reqif_export.text(found)).core_content.req_if_content


def objects(content):
    """By foreign id: the values of each object by the long names of its attributes."""
    names = {}
    for kind in content.spec_types:
        for attribute in getattr(kind, "attribute_definitions", None) or []:
            names[attribute.identifier] = attribute.long_name
    made = [{names[one.definition_ref]: one.value for one in each.attributes} for each in content.spec_objects]
    return {each["ReqIF.ForeignID"]: each for each in made}


def enumerated(content, values):
    chosen = {
        value.identifier: value.long_name for kind in content.data_types for value in getattr(kind, "values", ()) or ()
    }
    return [chosen[value] for value in values]


FULL = a_matrix(
    requirements=(
        a_requirement(), a_requirement("REQ-A-002", parent="REQ-A-001", level=None, demanded=None),
        a_requirement("REQ-A-003", parent="REQ-A-002", title=HOSTILE, text=HOSTILE, criterion=HOSTILE, why=HOSTILE,
                      sources=(Source(clause=HOSTILE),)),
        a_requirement("REQ-A-004", parent="REQ-GONE"),
    ),
    hazards=(a_hazard(controls=("REQ-A-001", "REQ-GONE")), a_hazard("HAZ-002", title=HOSTILE, controls=())),
    units=(a_unit(), a_unit(f"a.py::{HOSTILE}")), tests=(a_test(), a_test("t.py::test_x", outcome="failed")),
    links=(
        a_link(), a_link(target=TEST, kind="test"), a_link("REQ-GONE"), a_link(target="gone.py::gone"),
        a_link("REQ-A-002", kind="exception", level=None, reason=HOSTILE),
        a_link("REQ-A-002", kind="todo", level=None, reason="later"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("found", [a_matrix(), FULL, many(30), a_matrix(requirements=(), hazards=(), links=())])
def test_the_export_is_valid_under_the_schema(schema, found):
    assert [error.reason for error in schema.iter_errors(reqif_export.text(found))] == []


def test_everything_that_the_matrix_has_is_an_object_of_the_export():
    assert set(objects(read(FULL))) == {
        "REQ-A-001", "REQ-A-002", "REQ-A-003", "REQ-A-004", "HAZ-001", "HAZ-002", "product/answer.py::answer",
        f"a.py::{HOSTILE}".replace("\x00", "\ufffd").replace("\x0b", "\ufffd").replace("\ud800", "\ufffd"), TEST,
        "t.py::test_x",
    }  # fmt: skip


def test_a_requirement_is_read_back_as_it_was():
    content = read(a_matrix())
    told = objects(content)["REQ-A-001"]
    assert (told["ReqIF.Name"], told["Level"], told["Sources"], told["Written in"]) == (
        "It answers", "L2", "need: NEED-1; hazard: HAZ-001", "requirements/a.toml:3",
    )  # fmt: skip
    assert "The service shall answer." in told["ReqIF.Text"]
    assert enumerated(content, told["Safety class"] + told["Verdict"] + told["Verification"]) == ["B", "proved", "test"]


def test_awkward_characters_are_read_back_but_for_those_that_no_xml_can_hold():
    told = objects(read(FULL))["REQ-A-003"]
    assert told["ReqIF.Name"] == HOSTILE.replace("\x00", "\ufffd").replace("\x0b", "\ufffd").replace("\ud800", "\ufffd")


def relations(content):
    names = {kind.identifier: kind.long_name for kind in content.spec_types}
    foreign = {one.identifier: one.long_name for one in content.spec_objects}
    return {(names[one.relation_type_ref], foreign[one.source], foreign[one.target]) for one in content.spec_relations}


def test_who_controls_implements_and_verifies_what_is_in_the_relations():
    assert relations(read(a_matrix())) == {
        ("controls", "REQ-A-001", "HAZ-001"),
        ("implementation", "product/answer.py::answer", "REQ-A-001"),
        ("test", TEST, "REQ-A-001"),
    }


def test_relations_lead_to_what_is_there_alone():
    assert relations(read(FULL)) == relations(read(a_matrix())) | {
        ("is child of", "REQ-A-002", "REQ-A-001"),
        ("is child of", "REQ-A-003", "REQ-A-002"),
        ("exception", "product/answer.py::answer", "REQ-A-002"),
        ("todo", "product/answer.py::answer", "REQ-A-002"),
    }


def places(content, name):
    foreign = {one.identifier: one.long_name for one in content.spec_objects}
    (chosen,) = [one for one in content.specifications if one.long_name == name]

    def below(children):
        return {foreign[each.spec_object]: below(each.children) for each in children or ()}

    return below(chosen.children)


def test_requirements_stand_below_their_parents():
    assert places(read(FULL), "Requirements") == {"REQ-A-001": {"REQ-A-002": {"REQ-A-003": {}}}, "REQ-A-004": {}}


def test_hazards_code_and_tests_have_documents_of_their_own():
    content = read(a_matrix())
    assert (places(content, "Hazards"), places(content, "Code and tests")) == (
        {"HAZ-001": {}}, {"product/answer.py::answer": {}, TEST: {}},
    )  # fmt: skip


def test_the_same_matrix_gives_the_same_bytes():
    assert reqif_export.text(many(50)) == reqif_export.text(many(50))


def test_an_identifier_does_not_depend_on_what_else_is_there():
    one, more = read(a_matrix()), read(FULL)
    first = {each.long_name: each.identifier for each in one.spec_objects}
    assert first.items() <= {each.long_name: each.identifier for each in more.spec_objects}.items()


def test_without_a_time_the_export_says_the_earliest():
    evidence = rows.Evidence(started_at="", complete=True, coverage=rows.Coverage(available=True), environment={},
                             tests_run=0, duration_us=0)  # fmt: skip
    assert {one.last_change for one in read(a_matrix(evidence=evidence)).spec_objects} == {"1970-01-01T00:00:00Z"}
