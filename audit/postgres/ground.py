"""The databases of one PostgreSQL server, for a recovery: implements `audit.recovering.Ground`."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from audit.errors import SettingInvalid
from audit.ports import Reader, Store
from audit.postgres import closing, credentials, migrate
from audit.postgres.embedded import Cluster
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.settings import LedgerSettings, Places


class Urls(Struct, frozen=True, kw_only=True):
    """The three logins. They hold passwords."""

    admin: str
    writer: str
    reader: str


class ServerGround:
    """`use` is told which database is the one in use from now on."""

    def __init__(self, urls: Urls, settings: LedgerSettings, use: Callable[[str], None]) -> None:
        self._urls, self._settings, self._use = urls, settings, use
        for url in (urls.writer, urls.reader):
            if not closing.login_of(url):
                raise SettingInvalid("MEDAI_DATABASE_URL and MEDAI_DATABASE_READER_URL must name a user")

    @property
    def database(self) -> str:
        """The one that the settings name now."""
        return closing.name_of(self._urls.writer)

    def free_name(self) -> str:
        """NAME_2 of NAME, or the next number that no database has."""
        stem, _, number = self.database.rpartition("_")
        if not stem or not number.isdigit():
            stem, number = self.database, "1"
        following = int(number) + 1
        while closing.exists(self._urls.admin, f"{stem}_{following}"):
            following += 1
        return f"{stem}_{following}"

    def make_readable(self) -> None:
        """The database in use has a schema that this program reads: an old copy may have an older one, or none."""
        migrate.upgrade(self._urls.admin)

    def close_log(self, name: str, successor: str) -> None:
        closing.close(closing.named(self._urls.admin, name), successor)

    def prepare(self, name: str) -> None:
        """The database `name` is there, its schema is the newest, and the service's logins may use it."""
        closing.create(self._urls.admin, name)
        url = closing.named(self._urls.admin, name)
        migrate.upgrade(url)
        migrate.grant(url, writer=closing.login_of(self._urls.writer), reader=closing.login_of(self._urls.reader))

    def use(self, name: str) -> None:
        self._use(name)

    def reader(self, name: str) -> Reader:
        return PostgresReader(
            closing.named(self._urls.reader, name),
            connect_timeout_ms=self._settings.connect_timeout_ms,
            statement_timeout_ms=self._settings.reader_statement_timeout_ms,
            connections=self._settings.reader_connections,
        )

    def store(self, name: str) -> Store:
        return PostgresStore(
            closing.named(self._urls.writer, name),
            connect_timeout_ms=self._settings.connect_timeout_ms,
            statement_timeout_ms=self._settings.statement_timeout_ms,
            lock_timeout_ms=self._settings.lock_timeout_ms,
        )


def embedded_ground(cluster: Cluster, home: Path, settings: LedgerSettings) -> ServerGround:
    """That of the embedded server, which runs."""
    urls = Urls(admin=cluster.admin_url, writer=cluster.writer_url, reader=cluster.reader_url)
    return ServerGround(urls, settings, lambda name: credentials.use_database(home.resolve(), name))


def own_ground(where: Places, settings: LedgerSettings) -> ServerGround:
    """That of a server of one's own, whose database in use is for the settings to name."""
    if where.database_url is None or where.reader_url is None or where.admin_url is None:
        raise SettingInvalid("MEDAI_DATABASE_URL: no database is named")
    urls = Urls(admin=where.admin_url, writer=where.database_url, reader=where.reader_url)
    return ServerGround(urls, settings, lambda name: None)
