"""What an operator sees of a real service: one id in everything, traces in a collector, metrics that the page lists."""

import json
import re
import subprocess

import pytest

from audit.record import Prediction, Request
from service.adapters.tracing import ATTRIBUTES
from tests import observability as observed
from tests.system import promtool
from tests.system.collecting import collecting
from tests.system.running import eventually, serving

pytestmark = pytest.mark.system

LIMIT_S = 30.0
ASKED = "0123456789abcdef0123456789abcdef"
REFUSED = "fedcba9876543210fedcba9876543210"


@pytest.fixture(scope="module")
def collector():
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def server(tmp_path_factory, collector):
    settings = {"MEDAI_OTLP_URL": collector.url, "MEDAI_LOG_LEVEL": "debug", "MEDAI_WATCH_INTERVAL_S": "1"}
    with serving(tmp_path_factory.mktemp("observed") / "home", workers=1, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def answer(server, ct_slice):
    """A finding, asked for under an id."""
    headers = {"Content-Type": "application/dicom", "X-Correlation-ID": ASKED}
    with server.client() as client:
        return client.send("POST", "/infer", ct_slice, headers)


@pytest.fixture(scope="module")
def problem(server):
    """A refusal, asked for under another."""
    headers = {"Content-Type": "application/dicom", "X-Correlation-ID": REFUSED}
    with server.client() as client:
        return client.send("POST", "/infer", b"no image", headers)


@pytest.fixture(scope="module")
def trace(collector, answer):
    """The spans of the finding, by name."""
    assert answer.status == 200

    def spans():
        roots = [span for span in collector.named("POST /infer") if span.attributes["medai.correlation_id"] == ASKED]
        return {span.name: span for root in roots for span in tuple(collector.spans) if span.trace_id == root.trace_id}

    assert eventually(lambda: len(spans()) >= 6, LIMIT_S), spans()
    return spans()


def test_a_finding_is_traced_from_the_request_to_the_commit(trace):
    below = {
        name: next((n for n, s in trace.items() if s.span_id == span.parent_id), "") for name, span in trace.items()
    }
    assert below == {
        "POST /infer": "",
        "infer": "POST /infer",
        "decode": "infer",
        "model": "infer",
        "ledger.append": "POST /infer",
        "ledger.commit": "ledger.append",
    }


def test_the_trace_is_the_one_on_the_record(trace, server, entries_of):
    (record,) = [
        entry.record for entry in entries_of(server)
        if isinstance(entry.record, Prediction) and entry.record.correlation_id == ASKED
    ]  # fmt: skip
    root = trace["POST /infer"]
    assert record.traceparent is not None
    assert record.traceparent.split("-")[1:3] == [root.trace_id, root.span_id]


def test_the_trace_names_the_record_that_covers_the_answer(trace, answer):
    assert trace["POST /infer"].attributes["medai.ledger_index"] == answer.index


def test_no_span_of_a_real_service_holds_what_is_not_listed(trace, collector):
    assert {name for span in tuple(collector.spans) for name in span.attributes} <= ATTRIBUTES


def test_one_id_is_in_answer_problem_record_log_and_trace(server, problem, collector, entries_of):
    (record,) = [
        entry.record for entry in entries_of(server)
        if isinstance(entry.record, Request) and entry.record.correlation_id == REFUSED
    ]  # fmt: skip
    lines = [json.loads(line) for line in server.log.read_text("utf-8").splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("correlation_id") == REFUSED]
    assert eventually(
        lambda: any(span.attributes.get("medai.correlation_id") == REFUSED for span in tuple(collector.spans)), LIMIT_S
    )
    assert (problem.headers["x-correlation-id"], problem.json()["correlation_id"]) == (REFUSED, REFUSED)
    assert (record.code, line["code"]) == (problem.code, problem.code)


def _series(server):
    lines = server.internal("/metrics").body.decode().splitlines()
    return {line.split()[2] for line in lines if line.startswith("# TYPE ")}


def test_a_real_service_shows_no_metric_that_the_page_does_not_list(server, answer, problem):
    assert _series(server) <= {metric.name for metric in observed.registered()}


def test_a_real_service_shows_what_pages_are_made_of(server, answer):
    paged = {
        observed.SUFFIXES.sub("", name)
        for alert in observed.alerts() if alert["labels"]["severity"] == "page"
        for name in re.findall(r"\bmedai_[a-z_]+", alert["expr"])
    }  # fmt: skip
    only_when_it_happens = {"medai_ledger_events_total"}
    assert eventually(lambda: paged - only_when_it_happens <= _series(server), LIMIT_S)


def test_a_ready_service_says_so_in_its_metrics(server, answer):
    def standing():
        lines = server.internal("/metrics").body.decode().splitlines()
        return {line for line in lines if line.startswith(("medai_ready ", "medai_ledger_ready "))}

    assert eventually(lambda: standing() == {"medai_ledger_ready 1.0", "medai_ready 1.0"}, LIMIT_S), standing()


@pytest.mark.verifies("REQ-DEP-021")
def test_a_collector_that_is_away_costs_spans_and_no_answer(tmp_path, ct_slice):
    settings = {"MEDAI_OTLP_URL": "http://127.0.0.1:9", "MEDAI_TRACE_TIMEOUT_MS": "100"}
    with serving(tmp_path / "home", workers=1, settings=settings) as alone:
        with alone.client() as client:
            assert client.infer(ct_slice).status == 200
        unsent = re.compile(r"^medai_trace_spans_unsent_total [1-9]", re.MULTILINE)
        assert eventually(lambda: unsent.search(alone.internal("/metrics").body.decode()), LIMIT_S)
        assert alone.stop() == 0


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("promtool")
    program = promtool.found_or_skipped(folder)
    return lambda *words: subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("file", observed.RULES, ids=lambda file: file.name)
def test_prometheus_takes_the_rules(judge, file):
    done = judge("check", "rules", file)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", sorted((observed.FOLDER / "tests").glob("*.yaml")), ids=lambda file: file.name)
def test_the_rules_fire_and_stay_silent_as_their_tests_say(judge, file):
    done = judge("test", "rules", file)
    assert done.returncode == 0, done.stderr


def test_prometheus_takes_what_the_panels_ask(judge, tmp_path):
    asked = [
        {"record": f"panel:number_{at}", "expr": one.text}
        for at, one in enumerate(observed.expressions()) if ".json" in one.where
    ]  # fmt: skip
    file = tmp_path / "panels.yaml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": asked}]}))
    done = judge("check", "rules", file)
    assert done.returncode == 0, done.stderr
