"""docs/tamper.md says what the tests hold verification to, and says it of every column."""

import pytest

from audit.postgres.tables import metadata
from tests.tampering import page
from tests.tampering.mutation import NOTHING
from tests.tampering.table import TABLE


@pytest.fixture(scope="module")
def text(repository):
    return (repository / "docs" / "tamper.md").read_text("utf-8")


def test_the_page_has_every_line_of_the_table(text):
    assert page.alterations() in text


def test_the_page_says_what_every_column_is(text):
    assert page.columns() in text


def test_every_column_that_the_ledger_has_is_evidence_or_is_said_to_be_none():
    declared = {f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.columns}
    assert declared == set(page.MEANINGS) | set(page.OPERATIONAL)


def test_every_column_that_is_evidence_is_altered_alone_by_a_line_of_the_table():
    altered = {
        mutation.columns[0] for mutation in TABLE if len(mutation.columns) == 1 and mutation.recomputed == NOTHING
    }
    assert altered == set(page.MEANINGS)


def test_no_two_lines_of_the_table_are_about_the_same():
    names = [mutation.name for mutation in TABLE]
    assert sorted({name for name in names if names.count(name) > 1}) == []
