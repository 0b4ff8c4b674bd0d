"""Ids are taken only in forms that cannot carry anything of a patient; whatever else came is replaced."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import record as records
from service.http import correlation

NOW_US = 1_800_000_000_123_456
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.verifies("REQ-SEC-008")
@pytest.mark.parametrize(
    "given_id",
    [
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ],
)
def test_a_well_formed_correlation_id_is_taken(given_id):
    assert correlation.correlation_id(given_id.encode(), NOW_US) == given_id


@pytest.mark.verifies("REQ-SEC-008")
@pytest.mark.parametrize(
    "given_id",
    [
        b"",
        b"DOE^JOHN^19700101",
        b"01890a5d-ac96-774b-bcce-b302099a8057 ",
        b"01890a5d-ac96-774b-bcce-b302099a8057\n",
        b"81ARZ3NDEKTSV4RRFFQ69G5FAV",
        b"01ARZ3NDEKTSV4RRFFQ69G5FAU",
        b"4bf92f3577b34da6a3ce929d0e0e473",
        b"\xff" * 32,
    ],
)
def test_anything_else_is_replaced_by_a_new_uuid(given_id):
    assert UUID(correlation.correlation_id(given_id, NOW_US)).version == 7


def test_a_uuid_of_version_seven_begins_with_its_milliseconds():
    made = correlation.uuid7(NOW_US)
    assert made.int >> 80 == NOW_US // 1000


def test_two_ids_of_one_moment_differ():
    assert correlation.uuid7(NOW_US) != correlation.uuid7(NOW_US)


@pytest.mark.verifies("REQ-SEC-008")
def test_a_well_formed_traceparent_is_taken():
    assert correlation.traceparent(TRACE.encode()) == TRACE


@pytest.mark.verifies("REQ-SEC-008")
@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    ],
)
def test_any_other_traceparent_is_replaced_by_one_that_is_well_formed(header):
    made = correlation.traceparent(header)
    assert correlation.traceparent(made.encode()) == made


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_whatever_comes_the_ids_fit_a_record(correlation_header, traceparent_header):
    record = records.Request(
        format=records.FORMAT,
        event_id=records.new_event_id(),
        recorded_at_us=NOW_US,
        request_id=records.new_event_id(),
        correlation_id=correlation.correlation_id(correlation_header, NOW_US),
        traceparent=correlation.traceparent(traceparent_header),
        method="GET",
        route="/infer",
        status=200,
        peer="k1:" + "a" * 64,
        release=None,
    )
    assert records.decode(records.encode(record)) == record


@pytest.mark.verifies("REQ-SEC-008")
def test_the_callers_ids_come_back_and_are_on_record(service, drive):
    async def scenario():
        running = service()
        headers = {"x-correlation-id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "traceparent": TRACE}
        answer = await running.ask("GET", "/version", headers=headers)
        assert answer.headers["x-correlation-id"] == "01ARZ3NDEKTSV4RRFFQ69G5FAV"
        assert answer.headers["traceparent"] == TRACE
        assert running.ledger.records[0].correlation_id == "01ARZ3NDEKTSV4RRFFQ69G5FAV"

    drive(scenario)
