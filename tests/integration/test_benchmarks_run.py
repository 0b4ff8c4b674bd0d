"""The benchmarks still run against the code as it is. How fast anything is, no test says."""

import json
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks import appends, bills, capacity, floods, others, pods, report, verifying, writers
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import QUICK

SMALLEST = msgspec.structs.replace(QUICK, append_slice_s=0.1, verified_records=600)

SLOWER = msgspec.structs.replace(SMALLEST, append_slice_s=1.0)
"""Long enough for each variant to append something, on a machine that is busy with other tests."""


@pytest.fixture
def place(cluster, tmp_path) -> Place:
    return Place(folder=tmp_path, cluster=cluster)


def test_verification_is_measured_against_its_bare_hashes(place):
    rows = list(verifying.rows(place, SMALLEST))
    assert [row.ratio > 0 for row in rows] == [True] * 4


def test_appends_are_measured_with_and_without_group_commit(place):
    row = appends.row(place, SMALLEST)
    assert all(per_s > 0 for per_s in row.measured.values())


def test_a_caller_s_latency_is_measured_with_and_without_a_flood(place):
    rows = list(floods.rows(place, SMALLEST))
    assert [row.ratio > 0 and row.measured["flood: 404/s"] > 0 for row in rows] == [True]


def test_what_a_record_takes_is_measured(place):
    rows = list(capacity.rows(place, SMALLEST))
    assert [row.measured["bytes of write-ahead log a record"] > row.measured["record bytes"] for row in rows] == [
        True
    ] * 3


def test_two_services_on_one_database_are_measured_against_one(place):
    (row,) = pods.rows(place, SMALLEST)
    assert all(per_s > 0 for per_s in row.measured.values())


def test_appends_are_measured_beside_the_same_table_without_a_ledger(place):
    rows = list(writers.rows(place, SLOWER))
    assert [row.ratio > 0 for row in rows] == [True] * 2


def test_appends_are_measured_beside_a_naive_chain_of_hashes(place, monkeypatch):
    monkeypatch.setattr(others, "_environment", lambda: None)  # nothing is installed in a test
    (row,) = others.rows(place, SLOWER)
    assert row.ratio > 0


def test_the_report_says_of_each_ratio_whether_it_meets_its_target(place, tmp_path):
    rows = [
        report.Row(name="speed", configuration="alone", ratio=2.0, target=1.0),
        report.Row(name="cost", configuration="alone", ratio=2.0, target=1.0, bound="at most"),
        report.Row(name="other", configuration="alone", ratio=2.0),
    ]
    table = report.write(tmp_path, report.environment(place.maintenance_url, "test"), rows)
    assert [entry["met"] for entry in json.loads((tmp_path / "bench.json").read_bytes())["rows"]] == [True, False, None]
    assert Path(tmp_path / "bench.txt").read_text("utf-8") == table


def test_the_bill_of_materials_is_measured_beside_the_tool_that_it_starts_from(place):
    (row,) = bills.rows(place, SMALLEST)
    assert row.measured.keys() == {"cyclonedx-py s", "build s", "check s"}
