"""FHIR AuditEvents: what each record becomes, and that BALP's rules notice every departure from them."""

import copy

import pytest
from msgspec.structs import replace

from audit import record
from audit.auditevent import event, faults

pytestmark = pytest.mark.verifies("REQ-LOG-007")

LEAF = bytes(range(32))
PATIENT = f"k1:{'a' * 64}"


def request(**other):
    made = record.Request(
        format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=1_790_000_000_123_456,
        request_id=record.new_event_id(), correlation_id=record.new_event_id(), method="GET", route="/audit/records",
        status=200, actor="auditor", peer=f"k1:{'b' * 64}", release=None,
    )  # fmt: skip
    return replace(made, **other)


def of(entry):
    return event(7, LEAF, entry, origin="log.example/a")


def roles(resource):
    return [
        (each["type"]["coding"][0]["code"], each["requestor"])
        for each in resource["agent"]
    ]  # fmt: skip


@pytest.fixture
def of_a_patient(prediction):
    return replace(prediction, subject=record.Subject(patient=PATIENT))


def test_a_prediction_of_a_patient_is_a_patient_create(of_a_patient):
    made = of(of_a_patient)
    assert (made["action"], made["meta"]["profile"]) == (
        "C",
        ["https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientCreate"],
    )


def test_what_is_created_comes_from_the_client(prediction):
    assert roles(of(prediction)) == [("110153", False), ("110152", False), ("AUT", True)]


def test_what_is_read_goes_to_the_client():
    assert roles(of(request())) == [("110152", False), ("110153", False), ("IRCP", True)]


def test_without_a_token_the_client_itself_asked():
    assert roles(of(request(actor=None, status=401))) == [("110152", True), ("110153", False)]


def test_the_patient_is_named_by_the_pseudonym_in_the_system_of_its_key(of_a_patient):
    (patient,) = [each for each in of(of_a_patient)["entity"] if each["type"]["code"] == "1"]
    assert patient["what"]["identifier"] == {"system": "urn:medai-flow:pseudonym:k1", "value": "a" * 64}


def test_the_record_is_named_by_index_and_leaf_hash():
    (data,) = [each for each in of(request())["entity"] if each["type"]["code"] == "2"]
    assert data["detail"][:2] == [
        {"type": "ledger-index", "valueString": "7"},
        {"type": "leaf-hash", "valueBase64Binary": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
    ]


@pytest.mark.parametrize(("status", "outcome"), [(200, "0"), (403, "4"), (429, "4"), (500, "8"), (503, "8")])
def test_the_outcome_is_the_status_seen_from_the_caller(status, outcome):
    assert of(request(status=status))["outcome"] == outcome


def test_a_refusal_claims_no_profile_and_says_why():
    made = of(request(status=403, code="forbidden"))
    assert (made.get("meta"), made["outcomeDesc"]) == (None, "forbidden")


def test_the_moment_is_told_to_the_microsecond():
    assert of(request())["recorded"] == "2026-09-21T14:13:20.123456Z"


def test_the_start_of_the_service_is_an_application_activity():
    made = of(
        record.ServiceStarted(
            format=record.FORMAT,
            event_id=record.new_event_id(),
            recorded_at_us=1,
            process_id=record.new_event_id(),
            version="1",
            commit="unknown",
            release=None,
            models=(),
        )
    )
    assert (made["type"]["code"], made["subtype"][0]["code"]) == ("110100", "110120")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("actor", ["auditor", None])
def test_every_request_keeps_to_the_rules(method, status, actor):
    assert list(faults(of(request(method=method, status=status, actor=actor)))) == []


def test_a_prediction_keeps_to_the_rules(of_a_patient, prediction):
    assert [list(faults(of(each))) for each in (of_a_patient, prediction)] == [[], []]


def drop(name):
    return lambda made: made.pop(name)


def agent(nth, **changes):
    return lambda made: made["agent"][nth].update(changes)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made.update(resourceType="Patient"),
        lambda made: made.update(action="Z"),
        lambda made: made.update(action="R"),
        lambda made: made.update(agent=[]),
        lambda made: made.update(outcome="1"),
        drop("outcome"),
        drop("type"),
        drop("recorded"),
        drop("source"),
        drop("subtype"),
        lambda made: made["source"].pop("observer"),
        lambda made: made["subtype"].append(dict(made["subtype"][0], code="read")),
        lambda made: made["agent"].pop(0),
        lambda made: made["agent"].pop(1),
        lambda made: made["agent"][0].pop("who"),
        lambda made: made["agent"][1].pop("network"),
        lambda made: made["agent"][0].pop("requestor"),
        agent(2, requestor=False),
        agent(2, network={"address": "x"}),
        lambda made: made["agent"][0]["type"]["coding"][0].update(code="110152"),
        lambda made: made["entity"].pop(1),
        lambda made: made["entity"][1].pop("role"),
        lambda made: made["entity"].pop(2),
        lambda made: made["entity"][2]["what"].update(type="Device"),
        lambda made: made["meta"].update(profile=["https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.Create"]),
        lambda made: made.update(outcome="4"),
    ],
)  # fmt: skip
def test_every_departure_from_the_rules_is_found(of_a_patient, spoil):
    made = copy.deepcopy(of(of_a_patient))
    spoil(made)
    assert list(faults(made)) != []
