from collections.abc import AsyncIterator

import pytest
from msgspec import Struct

from audit.memory import MemoryDatabase, MemoryReader, MemoryStore
from audit.ports import Reader, Store
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore


class Ledger(Struct, kw_only=True):
    """A writer and a reader of the same, empty ledger."""

    store: Store
    reader: Reader


@pytest.fixture(params=["memory", "postgres"])
async def ledger(request) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        shared = MemoryDatabase()
        yield Ledger(store=MemoryStore(shared), reader=MemoryReader(shared))
        return
    database = request.getfixturevalue("database")
    both = Ledger(store=PostgresStore(database.writer_url), reader=PostgresReader(database.reader_url))
    yield both
    await both.store.close()
    await both.reader.close()


@pytest.fixture
async def begun(ledger, entries) -> Ledger:
    """The ledger with its record 0."""
    await ledger.store.append(0, *entries.sent(entries.genesis()))
    return ledger
