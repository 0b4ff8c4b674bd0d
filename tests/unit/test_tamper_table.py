"""Each line of the table of alterations, done to a ledger in memory: one class, one place, nothing else."""

import asyncio
from typing import Any

import pytest

from audit import stretches
from tests.tampering import judged
from tests.tampering.ledger import KEY, NEXT_KEY, TALL
from tests.tampering.table import TABLE

pytestmark = pytest.mark.verifies("REQ-AUD-013", "REQ-AUD-012")

CASES = [pytest.param(mutation, at, id=f"{mutation.name}-{at}") for mutation in TABLE for at in mutation.at]


@pytest.fixture(scope="module")
def whole():
    return asyncio.run(judged.written(TALL))


@pytest.mark.parametrize("key", [KEY, NEXT_KEY], ids=["the first key", "the newest key"])
def test_a_ledger_that_nobody_altered_is_valid(whole, key):
    made, tables = whole
    report = asyncio.run(judged.report_on(tables, made, key))
    assert (report.exit_code, report.found, report.anchored) == (0, (), TALL.size)


def _mutation(case: Any) -> Any:
    return case.values[0]


LAST_CASES = [case for case in CASES if case.values[1] == _mutation(case).at[-1]]


@pytest.mark.parametrize("mutation, at", CASES)
def test_an_alteration_has_its_one_class_and_place(whole, mutation, at):
    made, tables = whole
    report = asyncio.run(judged.report_on(judged.changed(tables, mutation, at), made, mutation.key))
    assert judged.said(report, altered=mutation.altered) == judged.expected(mutation, TALL, at)


@pytest.mark.parametrize("mutation, at", LAST_CASES)
def test_an_alteration_has_the_same_class_and_place_however_the_ledger_is_cut_into_stretches(
    whole, mutation, at, monkeypatch
):
    made, tables = whole
    monkeypatch.setattr(stretches, "MAX_STRETCH", 256)
    report = asyncio.run(judged.report_on(judged.changed(tables, mutation, at), made, mutation.key))
    assert judged.said(report, altered=mutation.altered) == judged.expected(mutation, TALL, at)


@pytest.mark.parametrize("fault", sorted({mutation.fault for mutation in TABLE if mutation.altered}))
def test_an_alteration_of_any_class_makes_the_exit_code_one(whole, fault):
    made, tables = whole
    mutation = next(mutation for mutation in TABLE if mutation.fault == fault)
    report = asyncio.run(judged.report_on(judged.changed(tables, mutation, mutation.at[0]), made, mutation.key))
    assert report.exit_code == 1


def test_a_published_checkpoint_that_is_missing_is_told_and_is_no_alteration(whole):
    made, tables = whole
    mutation = next(mutation for mutation in TABLE if not mutation.altered)
    report = asyncio.run(judged.report_on(judged.changed(tables, mutation, mutation.at[0]), made))
    assert (report.exit_code, "kept outside" in report.words) == (0, True)
