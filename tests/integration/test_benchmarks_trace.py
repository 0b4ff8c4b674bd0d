"""The measurements of the matrix still run against the code as it is. How fast anything is, no test says."""

import msgspec
import pytest

from tests.benchmarks import trace_set, tracing
from tests.benchmarks.place import Place
from tests.benchmarks.sizes import QUICK
from traceability.survey import survey

SMALLEST = msgspec.structs.replace(QUICK, traced=20)


@pytest.fixture
def place(cluster, tmp_path) -> Place:
    return Place(folder=tmp_path, cluster=cluster)


def test_contexts_and_growth_are_measured_where_strictdoc_cannot_be_had(place, monkeypatch):
    monkeypatch.setattr(tracing, "_installed", lambda: None)
    assert [row.ratio > 0 for row in tracing.rows(place, SMALLEST)] == [True, True]


def test_evidence_that_is_written_for_a_large_set_proves_what_a_run_would_prove(tmp_path):
    trace_set.ours(tmp_path, 40)
    trace_set.evidence(tmp_path, 40)
    found = survey(tmp_path)
    assert ({row.level for row in found.requirements}, found.summary.failing) == ({2}, 0)
