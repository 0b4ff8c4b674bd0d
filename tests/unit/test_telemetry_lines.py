"""Logs and metrics: an allow-list of fields, and nothing that names anybody."""

import io
import json
import logging
import os
import subprocess
import sys

import pytest
import structlog

from service.adapters import telemetry

ASKED = "0" * 32

ALIKE = 4
"""Lines of one kind in a minute."""


@pytest.fixture
def lines():
    """Configures logging into memory; what was written, line by line."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    telemetry.configure("info", stream, alike_per_minute=ALIKE)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def test_a_line_is_json_with_its_time_and_level(lines):
    structlog.get_logger().info("started", worker=1)
    line = lines()[0]
    assert (line["event"], line["level"], line["worker"]) == ("started", "info", 1)
    assert "timestamp" in line


@pytest.mark.verifies("REQ-SEC-009")
def test_a_field_that_is_not_allowed_is_dropped(lines):
    structlog.get_logger().info("asked", patient_name="DOE^JOHN", authorization="Bearer medai_x", status=200)
    assert lines()[0].keys() == {"event", "level", "timestamp", "status"}


@pytest.mark.verifies("REQ-SEC-009")
def test_what_a_library_logs_is_its_name_and_loudness_alone(lines):
    logging.getLogger("some.library").warning("bad value for %s", "DOE^JOHN")  # an imaging library's is silent
    line = lines()[0]
    assert (line["logger"], line["level"]) == ("some.library", "warning")
    assert "DOE" not in json.dumps(line)


def test_a_librarys_exception_is_named_and_not_quoted(lines):
    try:
        raise ValueError("DOE^JOHN")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("failed")
    assert lines()[0]["error"] == "ValueError"
    assert "DOE" not in json.dumps(lines())


@pytest.mark.verifies("REQ-SEC-009")
def test_an_error_of_ours_is_its_class_and_place_and_never_its_message(lines):
    try:
        raise ValueError("DOE^JOHN")
    except ValueError as error:
        telemetry.Telemetry().failed("handler", error)
    line = lines()[0]
    assert (line["where"], line["error"]) == ("handler", "ValueError")
    assert line["message"].startswith("test_telemetry_lines.py:")
    assert "DOE" not in json.dumps(line)


def test_an_error_of_ours_names_the_request_that_met_it(lines):
    telemetry.Telemetry().failed("handler", ValueError(), correlation_id=ASKED)
    assert lines()[0]["correlation_id"] == ASKED


def test_an_answer_s_line_names_its_request(lines):
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(10))
    telemetry.Telemetry().answered("POST", "/infer", 503, "overloaded", 0.01, correlation_id=ASKED)
    assert (lines()[0]["correlation_id"], lines()[0]["code"]) == (ASKED, "overloaded")


@pytest.mark.verifies("REQ-SEC-031")
def test_what_a_library_says_again_and_again_is_bounded(lines):
    for _ in range(5 * ALIKE):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert len(lines()) == ALIKE


def test_lines_below_the_level_are_not_written(lines):
    structlog.get_logger().debug("answered", status=200)
    assert lines() == []


@pytest.mark.verifies("REQ-DEP-007")
def test_metrics_count_answers_by_route_template_and_status():
    metrics = telemetry.Telemetry()
    metrics.answered("POST", "/infer", 200, None, 0.01, correlation_id=ASKED)
    assert b'medai_requests_total{method="POST",route="/infer",status="200"} 1.0' in metrics.exposition()


@pytest.mark.verifies("REQ-DEP-007")
def test_metrics_count_refusals_by_their_code():
    metrics = telemetry.Telemetry()
    metrics.answered("POST", "/infer", 401, "unauthenticated", 0.01, correlation_id=ASKED)
    assert b'medai_refusals_total{code="unauthenticated"} 1.0' in metrics.exposition()


def test_metrics_show_batches_and_commits_of_the_ledger():
    metrics = telemetry.Telemetry()
    metrics.flushed(records=3, commit_us=1500)
    exposed = metrics.exposition()
    assert b"medai_ledger_batch_records_sum 3.0" in exposed
    assert b"medai_ledger_commit_seconds_sum 0.0015" in exposed


def test_metrics_show_inference_and_queue():
    metrics = telemetry.Telemetry()
    metrics.inferred("phantom", "positive", 0.02)
    metrics.waiting(3, 2)
    exposed = metrics.exposition()
    assert b'medai_inference_seconds_count{model="phantom"} 1.0' in exposed
    assert b"medai_admitted 3.0" in exposed


@pytest.mark.verifies("REQ-DEP-022")
def test_metrics_show_how_the_worker_stands():
    metrics = telemetry.Telemetry()
    metrics.standing(ready=False, ledger_ready=True, ledger_size=7)
    exposed = metrics.exposition()
    assert all(line in exposed for line in (b"medai_ready 0.0", b"medai_ledger_ready 1.0", b"medai_ledger_size 7.0"))


def test_metrics_count_spans_that_did_not_arrive():
    metrics = telemetry.Telemetry()
    metrics.unsent(3)
    assert b"medai_trace_spans_unsent_total 3.0" in metrics.exposition()


@pytest.mark.verifies("REQ-DEP-007")
def test_metrics_count_what_is_not_recorded_by_reason():
    metrics = telemetry.Telemetry()
    metrics.unrecorded("ledger_unavailable")
    assert b'medai_unrecorded_total{reason="ledger_unavailable"} 1.0' in metrics.exposition()


def test_any_worker_answers_for_all_of_them(tmp_path):
    count = (
        "from service.adapters.telemetry import Telemetry\n"
        "metrics = Telemetry()\n"
        "metrics.answered('POST', '/infer', 200, None, 0.01, correlation_id='0' * 32)\n"
        "print(metrics.exposition().decode())"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", count], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert 'medai_requests_total{method="POST",route="/infer",status="200"} 2.0' in outputs[1]
