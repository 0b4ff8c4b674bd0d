"""Each line of the table of alterations, done to a ledger in memory: one class, one place, nothing else."""

import asyncio

import pytest

from audit import stretches
from tests.tampering import judged
from tests.tampering.ledger import KEY, NEXT_KEY, TALL
from tests.tampering.table import TABLE

CASES = [pytest.param(mutation, at, id=f"{mutation.name}-{at}") for mutation in TABLE for at in mutation.at]


@pytest.fixture(scope="module")
def whole():
    return asyncio.run(judged.written(TALL))


@pytest.mark.parametrize("key", [KEY, NEXT_KEY], ids=["the first key", "the newest key"])
def test_a_ledger_that_nobody_altered_is_valid(whole, key):
    made, tables = whole
    report = asyncio.run(judged.report_on(tables, made, key))
    assert (report.exit_code, report.found, report.anchored) == (0, (), TALL.size)


@pytest.mark.parametrize("mutation, at", CASES)
def test_an_alteration_has_its_one_class_and_place(whole, mutation, at):
    made, tables = whole
    report = asyncio.run(judged.report_on(judged.changed(tables, mutation, at), made, mutation.key))
    assert judged.said(report) == judged.expected(mutation, TALL, at)


@pytest.mark.parametrize("mutation, at", CASES)
def test_an_alteration_has_the_same_class_and_place_however_the_ledger_is_cut_into_stretches(
    whole, mutation, at, monkeypatch
):
    made, tables = whole
    monkeypatch.setattr(stretches, "MAX_STRETCH", 256)
    report = asyncio.run(judged.report_on(judged.changed(tables, mutation, at), made, mutation.key))
    assert judged.said(report) == judged.expected(mutation, TALL, at)


@pytest.mark.parametrize("mutation, at", [case.values for case in CASES if case.values[0].fault is not None])
def test_an_alteration_makes_the_exit_code_one(whole, mutation, at):
    made, tables = whole
    report = asyncio.run(judged.report_on(judged.changed(tables, mutation, at), made, mutation.key))
    assert report.exit_code == 1
