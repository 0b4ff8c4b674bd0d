"""What PostgreSQL's own catalogue says of the ledger's tables: no column that nobody has thought of."""

import psycopg
import pytest

from tests.tampering import page

COLUMNS = """
    SELECT c.relname || '.' || a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'f') AND a.attnum > 0
        AND NOT a.attisdropped
"""


@pytest.fixture
def catalogue(database):
    with psycopg.connect(database.admin_url) as connection:
        return {name for (name,) in connection.execute(COLUMNS)}


def test_every_column_is_hashed_or_derivable_from_what_is(catalogue):
    assert sorted(catalogue - set(page.MEANINGS) - set(page.OPERATIONAL)) == []


def test_no_column_is_described_that_does_not_exist(catalogue):
    assert sorted((set(page.MEANINGS) | set(page.OPERATIONAL)) - catalogue) == []
