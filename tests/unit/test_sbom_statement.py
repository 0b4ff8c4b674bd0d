"""Release statements and approvals: what they bind, and that they bind it."""

import json

import pytest
from msgspec.structs import replace

from sbom import releasing, statement
from sbom.errors import ReleaseInvalid
from sbom.statement import Approval, Release, Resource

SHA = "a" * 64
RELEASE = Release(
    version="1.2.3",
    commit="b" * 40,
    source="git+local",
    migrations_head="0002",
    subjects=(Resource(name="medai_flow-1.2.3-py3-none-any.whl", digest={"sha256": SHA}),),
    packages=(Resource(uri="pkg:pypi/msgspec@0.22.0", digest={"sha256": SHA}),),
    models=(Resource(name="ct-lesion-demo@1.0.0", digest={"sha256": SHA}),),
    locks=(Resource(name="requirements.lock", digest={"sha256": SHA}),),
    evidence=(Resource(name="sbom.cdx.json", digest={"sha256": SHA}, media_type="application/vnd.cyclonedx+json"),),
    builder="urn:medai-flow:builder:local",
    invocation={},
)
APPROVAL = Approval(name="Ada", time="2026-01-02T03:04:05Z", meaning="approved for release")


@pytest.mark.verifies("REQ-REL-001")
def test_a_release_is_read_back_as_it_was_written():
    assert statement.decode(statement.encode(RELEASE)) == RELEASE


@pytest.mark.verifies("REQ-REL-001")
def test_the_statement_is_in_toto_with_slsa_provenance():
    made = json.loads(statement.encode(RELEASE))
    assert (made["_type"], made["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )


@pytest.mark.verifies("REQ-REL-001")
def test_the_order_in_which_things_are_given_does_not_matter():
    two = (*RELEASE.models, Resource(name="another@1.0.0", digest={"sha256": SHA}))
    assert statement.encode(replace(RELEASE, models=two)) == statement.encode(replace(RELEASE, models=two[::-1]))


@pytest.mark.verifies("REQ-REL-001")
@pytest.mark.parametrize("member", ["subjects", "models", "locks"])
def test_a_release_that_leaves_out_what_it_must_bind_is_refused(member):
    with pytest.raises(ReleaseInvalid, match="must bind"):
        statement.encode(replace(RELEASE, **{member: ()}))


@pytest.mark.verifies("REQ-REL-001")
def test_an_approval_is_of_the_release_that_it_names():
    name = statement.digest(statement.encode(RELEASE))
    assert statement.decode_approval(statement.encode_approval(APPROVAL, name), name) == APPROVAL


@pytest.mark.verifies("REQ-REL-001")
def test_an_approval_of_another_release_is_refused():
    with pytest.raises(ReleaseInvalid, match="another release"):
        statement.decode_approval(statement.encode_approval(APPROVAL, "c" * 64), SHA)


@pytest.mark.verifies("REQ-REL-001")
@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"meaning": ""}, {"time": "yesterday"}, {"time": "2026-02-30T10:00:00Z"}]
)
def test_an_approval_without_a_name_a_time_or_a_meaning_is_refused(wrong):
    with pytest.raises(ReleaseInvalid):
        statement.encode_approval(replace(APPROVAL, **wrong), SHA)


@pytest.mark.verifies("REQ-REL-001")
def test_a_release_is_no_approval():
    with pytest.raises(ReleaseInvalid):
        statement.decode_approval(statement.encode(RELEASE), SHA)


def spelt(made):
    """JSON as a statement is spelt."""
    return json.dumps(made, sort_keys=True, separators=(",", ":")).encode()


def test_a_statement_that_is_spelt_as_it_is_spelt_here_is_read():
    payload = statement.encode(RELEASE)
    assert spelt(json.loads(payload)) == payload


@pytest.mark.verifies("REQ-REL-001")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda made: made.update(subject=[]),
        lambda made: made["predicate"]["buildDefinition"].update(resolvedDependencies=[]),
        lambda made: made["predicate"]["buildDefinition"]["resolvedDependencies"].pop(0),
        lambda made: made["predicate"]["buildDefinition"]["internalParameters"].clear(),
        lambda made: made["predicate"]["buildDefinition"]["resolvedDependencies"][1].pop("annotations"),
        lambda made: made.update(more=1),
        lambda made: made.pop("_type"),
        lambda made: made.pop("predicateType"),
        lambda made: made["subject"][0].update(more=1),
    ],
    ids=[
        "type",
        "no subject",
        "no dependencies",
        "no commit",
        "no migrations head",
        "unknown kind",
        "unknown member",
        "type left out",
        "kind left out",
        "member of a subject",
    ],
)
def test_a_statement_that_does_not_say_what_it_must_is_refused(spoil):
    made = json.loads(statement.encode(RELEASE))
    spoil(made)
    with pytest.raises(ReleaseInvalid):
        statement.decode(spelt(made))


def test_a_statement_that_is_spelt_in_another_way_is_refused():
    with pytest.raises(ReleaseInvalid, match="spelt in another way"):
        statement.decode(statement.encode(RELEASE) + b" ")


def test_an_approval_that_leaves_out_that_it_is_one_is_refused():
    made = json.loads(statement.encode_approval(APPROVAL, SHA))
    del made["predicateType"]
    with pytest.raises(ReleaseInvalid):
        statement.decode_approval(spelt(made), SHA)


@pytest.mark.verifies("REQ-REL-003")
def test_one_person_with_two_approvals_and_the_builder_count_once_and_not_at_all():
    approval = Approval(name="Grace", time="2026-03-01T10:00:00Z", meaning="Approved for release")
    given = [releasing.Approved(approval=approval, signed_by=key) for key in ("grace", "grace", "builder")]
    assert releasing.independent(given, ["builder"]) == 1
