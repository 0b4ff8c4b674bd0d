"""What the commands of the ledger share: where its database is, whose key is meant, and how a command ends.

Exit codes: 0 done, or valid up to the anchor; 1 altered or broken; 2 usage or unreadable; 3 consistent but unattested.
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from audit import note, signing, verification
from audit.attestation import Served
from audit.errors import AuditError, LedgerUnavailable, SettingInvalid, Unattested, VerificationFailed
from audit.findings import Found
from audit.keyring import KeyFiles, KeyPlace
from audit.ports import Reader, Store
from audit.settings import LedgerSettings, Places, ledger_settings, places, vault_settings
from audit.verification import Report
from traceability.marks import implements

EXIT_ALTERED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNATTESTED: Final = 3


def say(line: str) -> int:
    """A line of the answer; 0, the exit code of a command that has no more to say."""
    sys.stdout.write(line + "\n")
    return 0


@implements("REQ-DEP-014")
def run(work: Callable[[], int]) -> int:
    """The command's exit code; an error of ours is one sentence on standard error, never a traceback."""
    try:
        return work()
    except VerificationFailed as error:
        return _complain(error, EXIT_ALTERED)
    except Unattested as error:
        return _complain(error, EXIT_UNATTESTED)
    except (AuditError, LedgerUnavailable) as error:
        return _complain(error, EXIT_USAGE)


@implements("REQ-DEP-014")
def _complain(error: AuditError, code: int) -> int:
    sys.stderr.write(f"medai: {error.code}: {error}\n")
    return code


def verifier_of(given: str | None) -> note.Verifier:
    """The key that was named, by its text or its file; else the public half of ours."""
    if given is None:
        return own_verifier()
    text = given
    with contextlib.suppress(OSError, ValueError, UnicodeDecodeError):
        text = Path(given).read_text(encoding="utf-8").strip()
    try:
        return note.Verifier.parse(text)
    except AuditError as error:
        raise SettingInvalid(f"--key: neither a verifier key nor a file that holds one: {error}") from error


@contextlib.contextmanager
def signing_keys() -> Iterator[KeyPlace]:
    """The log's keys, wherever the environment says that they are."""
    if not vault_settings(os.environ).signing_key:
        yield KeyFiles(places(os.environ).signing_key)
        return
    from audit import secrets_configured

    with secrets_configured.opened(os.environ) as secrets:
        yield secrets.signing_keys()


def own_verifier() -> note.Verifier:
    """The public half of the log's key that is in use here."""
    if not vault_settings(os.environ).signing_key:
        return signing.load(places(os.environ).signing_key).verifier
    with signing_keys() as keys:
        return keys.held()[0].verifier


class Database(Struct, frozen=True, kw_only=True):
    """Where the ledger's database is reached from here."""

    writer_url: str
    reader_url: str


@contextlib.contextmanager
def database(where: Places) -> Iterator[Database]:
    """The database of one's own, or the embedded one, which runs as long as somebody uses it."""
    if where.database_url is not None:
        assert where.reader_url is not None
        from audit import secrets_configured

        with secrets_configured.opened(os.environ) as secrets:
            yield Database(writer_url=secrets.url(where.database_url), reader_url=secrets.url(where.reader_url))
        return
    from audit.postgres import embedded

    if not (where.home / "postgres").is_dir():
        raise SettingInvalid(f"no ledger under {where.home}: run `make serve`, or set MEDAI_HOME or MEDAI_DATABASE_URL")
    with embedded.using(where.home) as cluster:
        meant = msgspec.structs.replace(cluster, database=where.database_name or cluster.database)
        yield Database(writer_url=meant.writer_url, reader_url=meant.reader_url)


@contextlib.asynccontextmanager
async def reading(serves: Served = "attested") -> AsyncIterator[Reader]:
    """A reader of the ledger that the environment names."""
    with database(places(os.environ)) as where:
        reader = open_reader(where.reader_url, ledger_settings(os.environ), serves)
        try:
            yield reader
        finally:
            await reader.close()


@contextlib.asynccontextmanager
async def writing() -> AsyncIterator[tuple[Store, Reader]]:
    """A store and a reader of the ledger that the environment names."""
    settings = ledger_settings(os.environ)
    with database(places(os.environ)) as where:
        store, reader = open_store(where.writer_url, settings), open_reader(where.reader_url, settings)
        try:
            yield store, reader
        finally:
            await store.close()
            await reader.close()


def open_reader(url: str, settings: LedgerSettings, serves: Served = "attested") -> Reader:
    """A reader; nothing is connected yet. The caller closes it."""
    from audit.postgres.reader import PostgresReader

    return PostgresReader(
        url,
        connect_timeout_ms=settings.connect_timeout_ms,
        statement_timeout_ms=settings.reader_statement_timeout_ms,
        connections=settings.reader_connections,
        serves=serves,
    )


async def judged_with_schema(url: str, settings: LedgerSettings, origin: str, judging: Awaitable[Report]) -> Report:
    """The report that is waited for, and what of the database's schema is not as the migrations make it.

    Where the records cannot be read for that, it is the whole report. Raises what the judging raises otherwise.
    """
    try:
        report = await judging
    except LedgerUnavailable as error:
        found = await schema_found(url, settings)
        if not any(one.altered for one in found):
            raise
        return verification.unreadable(origin, error, found)
    return verification.with_schema(report, await schema_found(url, settings))


async def schema_found(url: str, settings: LedgerSettings) -> tuple[Found, ...]:
    """What of the database's schema is not as the migrations make it."""
    from audit.postgres import catalogue
    from audit.postgres.connections import Limits

    limits = Limits(
        connections=1,
        connect_timeout_ms=settings.connect_timeout_ms,
        statement_timeout_ms=settings.reader_statement_timeout_ms,
        lock_timeout_ms=settings.reader_statement_timeout_ms,
    )
    return await catalogue.changed(url, limits)


def open_store(url: str, settings: LedgerSettings) -> Store:
    """A store; nothing is connected yet. The caller closes it."""
    from audit.postgres.store import PostgresStore

    return PostgresStore(
        url,
        connect_timeout_ms=settings.connect_timeout_ms,
        statement_timeout_ms=settings.statement_timeout_ms,
        lock_timeout_ms=settings.lock_timeout_ms,
    )
