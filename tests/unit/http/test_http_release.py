"""What is let out once the record is durable, and what is done where it cannot be made: to the last byte."""

import pytest

from audit import record as records

STREAMED = [
    {"type": "http.response.start", "status": 201, "headers": [(b"x-made", b"here")]},
    {"type": "http.response.body", "body": b"first, ", "more_body": True},
    {"type": "http.response.body", "more_body": True},
    {"type": "http.response.body", "body": b"last"},
]


def sends(running, messages):
    """The service, with an application that sends `messages` and does nothing else."""

    async def application(scope, receive, send):
        for message in messages:
            await send(message)

    running.application.asgi.app = application
    return running


@pytest.mark.verifies("REQ-LED-001")
def test_behind_its_record_an_answer_leaves_as_it_was_made(service, drive):
    async def scenario():
        exchange = sends(service(), STREAMED).exchange("POST", "/infer")
        await exchange.run()
        start, *bodies = exchange.sent
        assert (start["status"], (b"x-made", b"here") in start["headers"]) == (201, True)
        assert [(body["body"], body["more_body"]) for body in bodies] == [
            (b"first, ", True),
            (b"", True),
            (b"last", False),
        ]

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001")
def test_an_answer_without_headers_or_body_leaves_with_none(service, drive):
    async def scenario():
        sparse = [{"type": "http.response.start", "status": 204}, {"type": "http.response.body"}]
        exchange = sends(service(), sparse).exchange("POST", "/infer")
        await exchange.run()
        assert [message["type"] for message in exchange.sent] == ["http.response.start", "http.response.body"]
        assert exchange.sent[1] == {"type": "http.response.body", "body": b"", "more_body": False}

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001", "REQ-LED-002")
def test_an_answer_whose_record_fails_leaves_nothing_of_itself(service, drive):
    async def scenario():
        running = sends(service(), STREAMED)
        running.ledger.fail_next = 1
        answer = await running.ask("POST", "/infer")
        assert (answer.status, answer.json["code"]) == (503, "ledger_unavailable")
        assert b"first" not in answer.body
        assert b"last" not in answer.body
        assert "x-made" not in answer.headers

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001", "REQ-LED-002")
def test_a_record_that_fails_is_told_and_counted_once(service, drive):
    async def scenario():
        running = service()
        running.ledger.fail_next = 1
        await running.ask("GET", "/version")
        assert running.telemetry.failures == [("ledger", "LedgerUnavailable")]
        assert running.telemetry.unrecorded_reasons == ["ledger_unavailable"]
        assert running.ledger.refused_count == 1

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001", "REQ-LED-002")
def test_a_record_that_is_refused_is_told_and_counted_as_such(service, drive):
    async def scenario():
        running = service()
        running.ledger.refuse_kinds = {records.Window, records.Request}
        answer = await running.ask("GET", "/nothing/here")
        assert (answer.status, answer.json["code"]) == (503, "ledger_unavailable")
        assert running.telemetry.failures == [("ledger", "RecordRefused")]
        assert running.telemetry.unrecorded_reasons == ["record_refused"]
        assert running.ledger.refused_count == 1

    drive(scenario)


@pytest.mark.verifies("REQ-LED-002")
def test_each_request_while_the_ledger_is_away_is_counted_for_the_outage(service, drive):
    async def scenario():
        running = service()
        running.ledger.down = "the database is away"
        for _ in range(3):
            answer = await running.infer()
            assert (answer.status, answer.json["code"]) == (503, "ledger_unavailable")
            assert answer.headers["retry-after"] == str(running.policy.retry_after_s)
        assert running.ledger.refused_count == 3
        assert running.telemetry.unrecorded_reasons == ["ledger_unavailable"] * 3

    drive(scenario)
