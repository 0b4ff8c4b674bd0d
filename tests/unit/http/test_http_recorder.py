"""Nothing leaves unrecorded: whatever is asked, and however it ends, one decision record is durable first."""

import asyncio

import pytest

from audit import record as records
from audit.errors import LedgerUnavailable
from service.errors import DecodeFailed
from service.http import proofs

AUTHORISED = {"authorization": "Bearer medai_" + "t" * 43}
IMAGE = {"content-type": "image/png", **AUTHORISED}
ASKED = {
    "a finding": ("POST", "/infer", IMAGE, 200),
    "no token": ("POST", "/infer", {"content-type": "image/png"}, 401),
    "an unknown token": ("POST", "/infer", {"authorization": "Bearer nobody"}, 401),
    "a token without the scope": ("POST", "/infer", {"authorization": "Bearer no-scope"}, 403),
    "an unknown path": ("GET", "/nothing/here", {}, 404),
    "a path of the internal port": ("GET", "/metrics", {}, 404),
    "an unknown documentation file": ("GET", "/docs/nothing.js", {}, 404),
    "the wrong method": ("GET", "/infer", {}, 405),
    "a method that nobody knows": ("BREW", "/infer", {}, 405),
    "a media type that is not accepted": ("GET", "/version", {"accept": "image/gif"}, 406),
    "a declared body beyond the limit": ("POST", "/infer", {**IMAGE, "content-length": str(1 << 40)}, 413),
    "an unknown media type": ("POST", "/infer", {**AUTHORISED, "content-type": "text/plain"}, 415),
    "an unknown parameter": ("POST", "/infer?frmae=3", IMAGE, 422),
    "an invalid host": ("GET", "/version", {"host": "a/b c"}, 400),
    "health": ("GET", "/health", {}, 200),
    "version": ("GET", "/version", {}, 200),
    "a head request": ("HEAD", "/version", {}, 200),
    "an options request": ("OPTIONS", "/infer", {}, 204),
    "the documentation": ("GET", "/docs", {}, 200),
    "a documentation file": ("GET", "/docs/swagger-ui.css", {}, 200),
    "the description": ("GET", "/openapi.json", {}, 200),
}


@pytest.fixture(params=ASKED.values(), ids=list(ASKED))
def asked(request):
    return request.param


def test_every_answer_has_the_status_that_it_should(service, drive, asked):
    async def scenario():
        method, target, headers, status = asked
        answer = await service().ask(method, target, headers=headers, body=b"\x89PNG")
        assert answer.status == status, answer.body

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001")
def test_every_answer_is_committed_before_its_first_byte(service, drive, asked):
    async def scenario():
        running = service()
        method, target, headers, _ = asked
        await running.ask(method, target, headers=headers, body=b"\x89PNG")
        assert running.events.index(("committed", 0)) < running.events.index(("sent", "http.response.start"))

    drive(scenario)


@pytest.mark.verifies("REQ-LED-003")
def test_every_answer_carries_the_index_of_its_record(service, drive, asked):
    async def scenario():
        running = service()
        await running.ask("GET", "/version")
        method, target, headers, _ = asked
        answer = await running.ask(method, target, headers=headers, body=b"\x89PNG")
        assert answer.headers["ledger-index"] == "1"

    drive(scenario)


@pytest.mark.verifies("REQ-LED-003")
def test_every_request_makes_exactly_one_decision_record(service, drive, asked):
    async def scenario():
        running = service()
        method, target, headers, _ = asked
        await running.ask(method, target, headers=headers, body=b"\x89PNG")
        assert len(running.ledger.records) == 1

    drive(scenario)


def test_every_answer_carries_its_ids_and_what_browsers_are_told(service, drive, asked):
    async def scenario():
        method, target, headers, _ = asked
        answer = await service().ask(method, target, headers=headers, body=b"\x89PNG")
        expected = {"x-correlation-id", "traceparent", "x-content-type-options", "content-security-policy"}
        assert expected <= answer.headers.keys()

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-010")
def test_every_refusal_is_a_problem_with_a_code_and_the_index(service, drive, asked):
    async def scenario():
        method, target, headers, status = asked
        answer = await service().ask(method, target, headers=headers, body=b"\x89PNG")
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert {"type", "title", "status", "code", "correlation_id", "ledger_index"} <= answer.json.keys()

    drive(scenario)


def test_no_request_is_left_inside_the_ledger(service, drive, asked):
    async def scenario():
        running = service()
        method, target, headers, _ = asked
        await running.ask(method, target, headers=headers, body=b"\x89PNG")
        assert running.ledger.inside == 0

    drive(scenario)


@pytest.mark.verifies("REQ-LED-002")
def test_every_request_is_refused_without_a_finding_while_the_ledger_is_away(service, drive, asked):
    async def scenario():
        running = service()
        running.ledger.down = "the database is away"
        method, target, headers, _ = asked
        answer = await running.ask(method, target, headers=headers, body=b"\x89PNG")
        assert answer.status == 503
        assert b"finding" not in answer.body

    drive(scenario)


@pytest.mark.verifies("REQ-LED-002")
def test_what_could_not_be_recorded_says_so_and_when_to_come_back(service, drive):
    async def scenario():
        running = service()
        running.ledger.down = "the database is away"
        answer = await running.ask("GET", "/version")
        assert answer.json["code"] == "ledger_unavailable"
        assert answer.headers["retry-after"] == "1"
        assert "ledger-index" not in answer.headers

    drive(scenario)


def test_what_could_not_be_recorded_is_counted_for_the_outage_record(service, drive):
    async def scenario():
        running = service()
        running.ledger.down = "the database is away"
        await running.ask("GET", "/version")
        assert running.ledger.refused_count == 1
        assert running.telemetry.unrecorded_reasons == ["ledger_unavailable"]

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001")
def test_a_finding_whose_record_fails_is_withheld(service, drive):
    async def scenario():
        running = service()
        running.ledger.fail_next = 1
        answer = await running.infer()
        assert (answer.status, answer.json["code"]) == (503, "ledger_unavailable")
        assert b"912345" not in answer.body
        assert running.ledger.records == []

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001")
def test_a_finding_whose_record_is_refused_becomes_a_recorded_failure(service, drive):
    async def scenario():
        running = service()
        running.ledger.refuse_kinds = {records.Prediction}
        answer = await running.infer()
        assert (answer.status, answer.json["code"]) == (500, "internal_error")
        assert [type(record) for record in running.ledger.records] == [records.Request]

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-010")
def test_a_failure_of_ours_tells_its_caller_nothing_of_it(service, drive):
    async def scenario():
        running = service()
        running.infer_error = RuntimeError("PATIENT-ID-4711 at /secret/path")
        answer = await running.infer()
        assert (answer.status, answer.json["code"]) == (500, "internal_error")
        assert "detail" not in answer.json
        assert running.telemetry.failures == [("handler", "RuntimeError")]

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001")
def test_a_refusal_by_the_flow_is_recorded_under_its_code(service, drive):
    async def scenario():
        running = service()
        running.infer_error = DecodeFailed("the pixel data ends early")
        answer = await running.infer()
        assert (answer.status, answer.json["detail"]) == (422, "the pixel data ends early")
        assert running.ledger.records[0].code == "decode_failed"

    drive(scenario)


def test_a_client_that_leaves_before_its_body_is_complete_is_recorded(service, drive):
    async def scenario():
        running = service()
        exchange = running.exchange("POST", "/infer", headers=IMAGE, chunks=[b"\x89PNG", None])
        task = asyncio.create_task(exchange.run())
        while exchange.read_chunks < 2:
            await asyncio.sleep(0)
        exchange.leave()
        await task
        assert [record.code for record in running.ledger.of_kind(records.Request)] == ["body_incomplete"]

    drive(scenario)


@pytest.mark.verifies("REQ-LED-005")
def test_a_client_that_leaves_during_inference_is_recorded_with_what_became_of_the_answer(service, drive):
    async def scenario():
        running = service()
        running.infer_gate = asyncio.Event()
        exchange = running.exchange("POST", "/infer", headers=IMAGE, body=b"\x89PNG")
        task = asyncio.create_task(exchange.run())
        while not running.requests:
            await asyncio.sleep(0)
        exchange.leave()
        running.infer_gate.set()
        await task
        outcome = running.ledger.of_kind(records.Outcome)[0]
        assert (outcome.of_index, outcome.outcome, outcome.bytes_sent) == (0, "client_gone", 0)
        assert type(running.ledger.records[0]) is records.Prediction

    drive(scenario)


def test_a_request_that_is_cancelled_before_it_is_decided_is_recorded(service, drive):
    async def scenario():
        running = service()
        running.infer_gate = asyncio.Event()
        task = asyncio.create_task(running.infer())
        while not running.requests:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [(record.status, record.code) for record in running.ledger.records] == [(503, "draining")]

    drive(scenario)


@pytest.mark.verifies("REQ-LED-005")
def test_a_request_that_is_cancelled_during_its_append_has_one_decision_and_its_outcome(service, drive):
    async def scenario():
        running = service()
        running.ledger.gate = asyncio.Event()
        task = asyncio.create_task(running.infer())
        await running.ledger.appending.wait()
        task.cancel()
        await asyncio.sleep(0)
        running.ledger.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [type(record) for record in running.ledger.records] == [records.Prediction, records.Outcome]
        assert running.ledger.records[1].outcome == "answer_cut"

    drive(scenario)


@pytest.mark.verifies("REQ-LED-005")
def test_a_finding_that_cannot_be_sent_after_its_record_is_on_record_as_replaced(service, drive, monkeypatch):
    def broken(answer, proven):
        raise RuntimeError("the answer cannot be encoded")

    async def scenario():
        monkeypatch.setattr(proofs, "proved", broken)
        running = service()
        answer = await running.infer()
        assert (answer.status, answer.headers["ledger-index"]) == (500, "0")
        outcome = running.ledger.of_kind(records.Outcome)[0]
        assert (outcome.of_index, outcome.outcome) == (0, "answer_replaced")

    drive(scenario)


def test_an_outcome_that_cannot_be_recorded_is_counted(service, drive):
    async def scenario():
        running = service()
        exchange = running.exchange("POST", "/infer", headers=IMAGE, body=b"\x89PNG")

        async def leave_and_lose(record):
            proven = await append(record)
            exchange.leave()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            running.ledger.down = "the database is away"
            return proven

        append, running.ledger.append = running.ledger.append, leave_and_lose
        await exchange.run()
        assert running.telemetry.unrecorded_reasons == ["outcome"]

    drive(scenario)


@pytest.mark.verifies("REQ-LED-001", "REQ-LED-002")
def test_a_ledger_that_fails_without_having_been_unready_is_answered_alike(service, drive):
    async def scenario():
        running = service()
        running.ledger.fail_next = 1
        answer = await running.ask("GET", "/version")
        assert (answer.status, answer.json["code"]) == (503, LedgerUnavailable.code)

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-007")
def test_nothing_of_a_patient_is_in_any_record(service, drive):
    async def scenario():
        running = service()
        await running.infer()
        body = records.encode(running.ledger.records[0])
        assert b"4711" not in body
        assert running.ledger.records[0].subject.patient.startswith("test:")

    drive(scenario)


@pytest.mark.verifies("REQ-SEC-007")
def test_a_record_names_the_route_and_never_the_path_or_query(service, drive):
    async def scenario():
        running = service()
        await running.ask("GET", "/patients/DOE^JOHN?name=DOE")
        await running.ask("GET", "/docs/DOE^JOHN")
        assert [record.route for record in running.ledger.records] == ["<unmatched>", "/docs/{name}"]

    drive(scenario)


def test_a_method_of_the_callers_invention_is_recorded_as_other(service, drive):
    async def scenario():
        running = service()
        await running.ask("DOE", "/infer")
        assert running.ledger.records[0].method == "OTHER"

    drive(scenario)


def test_the_caller_is_recorded_by_the_name_of_the_token_also_where_it_is_refused(service, drive):
    async def scenario():
        running = service()
        await running.infer(token="no-scope")
        assert running.ledger.records[0].actor == "reader"

    drive(scenario)


def test_a_head_request_has_the_headers_of_get_and_no_body(service, drive):
    async def scenario():
        running = service()
        got = await running.ask("GET", "/version")
        head = await running.ask("HEAD", "/version")
        assert head.headers["content-length"] == got.headers["content-length"]
        assert head.body == b""
        assert running.ledger.records[1].method == "HEAD"

    drive(scenario)


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/version", "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/version", "GET, HEAD, OPTIONS"),
        ("GET", "/infer", "OPTIONS, POST"),
    ],
)
def test_the_methods_that_a_path_takes_are_named(service, drive, method, target, allowed):
    async def scenario():
        answer = await service().ask(method, target)
        assert answer.headers["allow"] == allowed

    drive(scenario)


def test_the_recorder_is_idle_when_nothing_is_under_way(service, drive):
    async def scenario():
        running = service()
        running.infer_gate = asyncio.Event()
        task = asyncio.create_task(running.infer())
        while not running.requests:
            await asyncio.sleep(0)
        assert not running.application.asgi.idle.is_set()
        running.infer_gate.set()
        await task
        assert running.application.asgi.idle.is_set()

    drive(scenario)
