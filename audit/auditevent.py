"""Records as FHIR R4 AuditEvents in the patterns of IHE Basic Audit Log Patterns (BALP), and BALP's rules as a check.

A prediction is a Create: a finding that was not there before, of a patient where one is named. Every other request is
the REST interaction of its method. Between a Create and a Read client and server change their roles: what is created
comes from the client (Source, DCM 110153) to the server (Destination, DCM 110152), what is read goes the other way.
BALP's profiles are for what succeeded; a refusal has the same members, its outcome, and claims no profile.

Everything that names a person or a machine is the record's pseudonym. The record itself is named in the data entity by
its index and leaf hash, so that whoever has the event can ask the ledger for the proof.

Sources: HL7 FHIR R4 (4.0.1) AuditEvent; IHE ITI BALP, profiles Create, PatientCreate, Read, PatientRead, Update,
Delete; DICOM PS3.16 CID 400 (audit event ids) and CID 402 (role ids). Pure.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from audit.record import Administered, Prediction, Record, Request
from traceability.marks import implements

Resource = dict[str, Any]

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
EVENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
SOURCE_TYPE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
BALP: Final = "https://profiles.ihe.net/ITI/BALP"
REQUEST_ID: Final = f"{BALP}/CodeSystem/BasicAuditEntityType"
SOURCE_ROLE: Final = ("110153", "Source Role ID")
DESTINATION_ROLE: Final = ("110152", "Destination Role ID")

# Method -> interaction, AuditEvent.action, BALP's profile, whether the client is the source, what the user is.
_INTERACTIONS: Final[dict[str, tuple[str, str, str, bool, tuple[str, str]]]] = {
    "POST": ("create", "C", "Create", True, ("AUT", "author (originator)")),
    "PUT": ("update", "U", "Update", True, ("AUT", "author (originator)")),
    "PATCH": ("patch", "U", "Update", True, ("AUT", "author (originator)")),
    "DELETE": ("delete", "D", "Delete", True, ("CST", "custodian")),
    "GET": ("read", "R", "Read", False, ("IRCP", "information recipient")),
    "HEAD": ("read", "R", "Read", False, ("IRCP", "information recipient")),
}
_OTHER: Final = ("operation", "E", "", True, ("IRCP", "information recipient"))
_READS: Final = frozenset({"read", "vread"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@implements("REQ-LOG-007")
def event(index: int, leaf_hash: bytes, record: Record, *, origin: str) -> Resource:
    """The AuditEvent of one record of the log `origin`."""
    kind = str(msgspec.to_builtins(record)["kind"])
    made: Resource = {
        "resourceType": "AuditEvent",
        "id": f"medai-{index}",
        "recorded": _instant(record.recorded_at_us),
        "source": {
            "site": origin,
            "observer": {"identifier": {"system": "urn:medai-flow:log", "value": origin}},
            "type": [_coding(SOURCE_TYPE, "4", "Application Server")],
        },
    }
    if isinstance(record, Request | Prediction):
        return {**made, **_request(index, leaf_hash, record, origin)}
    return {**made, **_of_the_application(index, leaf_hash, kind, origin, record)}


@implements("REQ-LOG-007")
def faults(resource: Mapping[str, Any]) -> Iterator[str]:
    """What of AuditEvent's and BALP's rules `resource` breaks: nothing for a good one.

    FHIR's own required members always; BALP's where the event is of type `rest`. Validators that look at types alone
    let an action "Z" and an event without an agent pass.
    """
    if resource.get("resourceType") != "AuditEvent":
        yield "resourceType is not AuditEvent"
        return
    for member in ("type", "recorded", "agent", "source"):
        if not resource.get(member):
            yield f"{member} is missing"
    if "observer" not in resource.get("source", {}):
        yield "source.observer is missing"
    if resource.get("action") not in (None, "C", "R", "U", "D", "E"):
        yield "action is none of C, R, U, D, E"
    if resource.get("outcome") not in (None, "0", "4", "8", "12"):
        yield "outcome is none of 0, 4, 8, 12"
    for agent in resource.get("agent", ()):
        if not isinstance(agent.get("requestor"), bool):
            yield "an agent does not say whether it asked"
    if resource.get("type", {}).get("code") == "rest":
        yield from _balp_faults(resource)


def _balp_faults(resource: Mapping[str, Any]) -> Iterator[str]:
    interactions = [each["code"] for each in resource.get("subtype", ()) if each.get("system") == INTERACTION]
    if len(interactions) != 1:
        yield "there is not exactly one interaction among the subtypes"
        return
    expected = next((each for each in _INTERACTIONS.values() if each[0] == interactions[0]), _OTHER)
    if resource.get("action") != expected[1]:
        yield f"the action of {interactions[0]} is {expected[1]}"
    if "outcome" not in resource:
        yield "outcome is missing"
    client, server = (SOURCE_ROLE, DESTINATION_ROLE) if expected[3] else (DESTINATION_ROLE, SOURCE_ROLE)
    for name, role in (("client", client), ("server", server)):
        agents = _agents(resource, DCM, role[0])
        if len(agents) != 1:
            yield f"there is not exactly one {name}, {role[0]} in {interactions[0]}"
        elif "who" not in agents[0] or "network" not in agents[0]:
            yield f"the {name} has no who or no network"
    for user in _agents(resource, PARTICIPATION, None):
        if user.get("requestor") is not True or "who" not in user or "network" in user:
            yield "the user is who asked, named, and no machine"
    objects = [each for each in resource.get("entity", ()) if _is(each, ENTITY_TYPE, "2")]
    if len(objects) != 1 or "what" not in objects[0] or not _is_role(objects[0], ("3", "4", "20")):
        yield "there is not exactly one data entity with what and role"
    patients = [each for each in resource.get("entity", ()) if _is(each, ENTITY_TYPE, "1")]
    profiled = [each.rsplit("BasicAudit.", 1)[-1] for each in resource.get("meta", {}).get("profile", ())]
    if any(each.startswith("Patient") for each in profiled) != bool(patients):
        yield "the profile and the patient do not belong to each other"
    for patient in patients:
        if not _is_role(patient, ("1",)) or patient.get("what", {}).get("type") != "Patient":
            yield "the patient is no patient"
    if profiled and resource.get("outcome") != "0":
        yield "a profile for what succeeded, of what did not"


def _request(index: int, leaf_hash: bytes, record: Request | Prediction, origin: str) -> Resource:
    interaction, action, profile, client_is_source, user = _INTERACTIONS.get(record.method, _OTHER)
    client, server = (SOURCE_ROLE, DESTINATION_ROLE) if client_is_source else (DESTINATION_ROLE, SOURCE_ROLE)
    patient = record.subject.patient if isinstance(record, Prediction) and record.subject is not None else None
    outcome = _outcome(record.status)
    agents: list[Resource] = [
        {
            "type": _concept(DCM, *client),
            "who": {"identifier": _pseudonym(record.peer)},
            "requestor": record.actor is None,
            "network": {"address": record.peer},
        },
        {
            "type": _concept(DCM, *server),
            "who": {"identifier": {"system": "urn:medai-flow:log", "value": origin}},
            "requestor": False,
            "network": {"address": record.route, "type": "5"},
        },
    ]
    if record.actor is not None:
        agents.append(
            {
                "type": _concept(PARTICIPATION, *user),
                "who": {"identifier": {"system": "urn:medai-flow:token", "value": record.actor}},
                "name": record.actor,
                "requestor": True,
            }
        )
    entities = [_transaction(record.request_id), _data(index, leaf_hash, origin, _details(record))]
    if patient is not None:
        entities.append(_patient(patient))
    made: Resource = {
        "type": _coding(EVENT_TYPE, "rest", "RESTful Operation"),
        "subtype": [_coding(INTERACTION, interaction, interaction)],
        "action": action,
        "outcome": outcome,
        "agent": agents,
        "entity": entities,
    }
    if outcome != "0" and isinstance(record, Request) and record.code is not None:
        made["outcomeDesc"] = record.code
    if outcome == "0" and profile:
        name = f"Patient{profile}" if patient is not None else profile
        made["meta"] = {"profile": [f"{BALP}/StructureDefinition/IHE.BasicAudit.{name}"]}
    return made


def _of_the_application(index: int, leaf_hash: bytes, kind: str, origin: str, record: Record) -> Resource:
    """What no request brought about: the application started, stopped, lost its ledger, changed its key; or somebody
    administers it by a command."""
    subtypes = {"service_started": ("110120", "Application Start"), "service_stopped": ("110121", "Application Stop")}
    made: Resource = {
        "type": _coding(DCM, "110100", "Application Activity"),
        "action": "E",
        "outcome": "8" if kind == "outage" else "0",
        "agent": [
            {
                "type": _concept(DCM, "110150", "Application"),
                "who": {"identifier": {"system": "urn:medai-flow:log", "value": origin}},
                "requestor": False,
            }
        ],
        "entity": [_data(index, leaf_hash, origin, (("kind", kind),))],
    }
    if kind in subtypes:
        made["subtype"] = [_coding(DCM, *subtypes[kind])]
    if isinstance(record, Administered):
        who = {"identifier": {"system": "urn:medai-flow:actor", "value": record.actor}}
        made["agent"].append({"who": who, "requestor": True})
        made["entity"][0]["detail"].append({"type": "action", "valueString": record.action})
    return made


def _details(record: Request | Prediction) -> Sequence[tuple[str, str]]:
    made = [("route", record.route), ("method", record.method), ("status", str(record.status))]
    made.append(("correlation-id", record.correlation_id))
    if record.release is not None:
        made.append(("release", record.release))
    if isinstance(record, Prediction):
        made += [
            ("model", f"{record.model.name}@{record.model.version}"),
            ("model-sha256", record.model.sha256),
            ("decision", record.finding.decision),
            ("input-sha256", record.input.sha256),
            ("answer-sha256", record.answer_sha256),
        ]
    return made


def _data(index: int, leaf_hash: bytes, origin: str, details: Sequence[tuple[str, str]]) -> Resource:
    return {
        "what": {"identifier": {"system": "urn:medai-flow:record", "value": f"{origin}#{index}"}},
        "type": _coding(ENTITY_TYPE, "2", "System Object"),
        "role": _coding(OBJECT_ROLE, "4", "Domain Resource"),
        "detail": [
            {"type": "ledger-index", "valueString": str(index)},
            {"type": "leaf-hash", "valueBase64Binary": base64.b64encode(leaf_hash).decode()},
            *({"type": name, "valueString": value} for name, value in details),
        ],
    }


def _patient(pseudonym: str) -> Resource:
    return {
        "what": {"type": "Patient", "identifier": _pseudonym(pseudonym)},
        "type": _coding(ENTITY_TYPE, "1", "Person"),
        "role": _coding(OBJECT_ROLE, "1", "Patient"),
    }


def _transaction(request_id: str) -> Resource:
    return {
        "what": {"identifier": {"value": request_id}},
        "type": _coding(REQUEST_ID, "XrequestId", "transport specific unique identifier"),
    }


def _pseudonym(pseudonym: str) -> Resource:
    """`KEY:HEX` as an identifier in the system of its key."""
    key, _, value = pseudonym.partition(":")
    return {"system": f"urn:medai-flow:pseudonym:{key}", "value": value}


def _outcome(status: int) -> str:
    """R4's audit-event-outcome: success, minor failure (the caller's), serious failure (ours)."""
    return "0" if status < 400 else "4" if status < 500 else "8"


def _instant(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _coding(system: str, code: str, display: str) -> Resource:
    return {"system": system, "code": code, "display": display}


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [_coding(system, code, display)]}


def _agents(resource: Mapping[str, Any], system: str, code: str | None) -> list[Mapping[str, Any]]:
    return [
        each
        for each in resource.get("agent", ())
        if any(
            coding.get("system") == system and code in (None, coding.get("code"))
            for coding in each.get("type", {}).get("coding", ())
        )
    ]


def _is(entity: Mapping[str, Any], system: str, code: str) -> bool:
    kind = entity.get("type", {})
    return bool(kind.get("system") == system and kind.get("code") == code)


def _is_role(entity: Mapping[str, Any], codes: Sequence[str]) -> bool:
    role = entity.get("role", {})
    return role.get("system") == OBJECT_ROLE and role.get("code") in codes
