"""Images for the tests of the whole system, a model that takes any of them, and how the ledger is read there."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from audit import record
from audit.postgres import embedded
from audit.postgres.reader import PostgresReader
from audit.record import Record
from tests.image_corpus import BUNDLED
from tests.system import broad_models
from tests.system.running import Server, serving


class Entry(Struct, frozen=True, kw_only=True):
    """One record as the database has it."""

    index: int
    event_id: str
    body: bytes
    record: Record


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if Path("/proc/self/stat").exists():
        return
    for item in items:
        if "tests/system/" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason="processes are looked for in /proc, which is not here"))


@pytest.fixture(scope="session")
def ct_slice() -> bytes:
    """A real CT slice, as pydicom bundles it."""
    return (BUNDLED / "test_files" / "CT_small.dcm").read_bytes()


@pytest.fixture(scope="session")
def broad_folder(tmp_path_factory) -> Path:
    return broad_models.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A server with two workers for a whole file of tests, with the shipped model."""
    # Every refusal singly, however many tests of a minute are refused something.
    settings = {"MEDAI_REFUSALS_PER_MINUTE": "1000000", "MEDAI_REFUSALS_PER_MINUTE_TOTAL": "1000000"}
    with serving(tmp_path_factory.mktemp("served") / "home", settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def entries_of() -> Callable[[Server], list[Entry]]:
    """`entries_of(server)`: every record of its embedded database, in order."""
    return _entries_of


def _entries_of(server: Server) -> list[Entry]:
    cluster = embedded.running(server.home)
    assert cluster is not None, "the embedded PostgreSQL does not run"
    return entries_at(cluster.reader_url)


def entries_at(reader_url: str) -> list[Entry]:
    """Every record of the database at that URL, in order."""
    return asyncio.run(_entries(reader_url))


async def _entries(reader_url: str) -> list[Entry]:
    reader = PostgresReader(reader_url)
    try:
        stored = [one async for one in reader.records(0, (await reader.head()).size)]
    finally:
        await reader.close()
    return [
        Entry(index=one.index, event_id=str(one.event_id), body=one.body, record=record.decode(one.body))
        for one in stored
    ]
