"""`medai serve` and `medai migrate`: what has to be there before a worker can begin, in order.

Only this process knows the administrator's login of the embedded database; workers get the writer's and reader's.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from psycopg import conninfo

from audit import anchors, genesis, secrets_configured, signing
from audit import settings as ledger_settings
from audit.anchors import FolderAnchor
from audit.clock import SystemClock
from audit.errors import LedgerNotInitialised, SettingInvalid
from audit.home import alone
from audit.postgres import embedded, migrate
from audit.postgres.reader import PostgresReader
from audit.postgres.store import PostgresStore
from audit.settings import Places
from service import settings as service_settings
from service import supervisor
from service.adapters import certificate, secrets, tokens
from service.settings import Settings

_DISTRIBUTION: Final = "medai-flow"
_DEVELOPMENT: Final = "dev-"
"""What the names of the tokens begin with that the first start makes."""


def serve(arguments: Sequence[str]) -> int:
    """`medai serve`: runs until SIGTERM or Ctrl-C. Raises `AuditError` or `ServiceError` where it cannot begin."""
    settings = _arguments(arguments)
    _require_our_package()
    where = ledger_settings.places(os.environ)
    ledger_settings.ledger_settings(os.environ)
    certificate.of(
        settings.tls_certificate_file, settings.tls_key_file
    )  # each worker reads its own; one that none could use is said before anything begins
    with ExitStack() as resources:
        resources.enter_context(_alone(where.home))
        anchors.require_folder(where.anchors)
        # Bound first: a port that is taken is the commonest mistake, and costs nothing to find.
        public = resources.enter_context(supervisor.bind(settings.host, settings.port))
        internal = resources.enter_context(supervisor.bind(settings.host, settings.internal_port))
        urls = resources.enter_context(_database(where))
        if not ledger_settings.vault_settings(os.environ).pseudonym_key:
            secrets.create(service_settings.pseudonym_key_file(settings, where.home))
        development = _development_tokens(settings, where) if where.database_url is None else None
        plan = supervisor.Plan(
            public=public,
            internal=internal,
            workers=settings.workers,
            environment=_worker_environment(settings, urls),
            run_folder=where.home / "run",
            drain_s=settings.drain_delay_ms / 1000 + settings.drain_timeout_s,
        )
        return supervisor.Supervisor(plan).run(lambda: _announce(settings, plan, development))


def migrate_database(arguments: Sequence[str]) -> int:
    """`medai migrate`: the schema is the newest, and the service's logins may use it."""
    parser = argparse.ArgumentParser(prog="medai migrate", description="Bring the database's schema up to date.")
    parser.parse_args(arguments)
    where = ledger_settings.places(os.environ)
    if where.database_url is not None:
        assert where.admin_url is not None
        assert where.reader_url is not None
        with secrets_configured.opened(os.environ) as held:
            admin_url = held.url(where.admin_url)
            migrate.upgrade(admin_url)
            migrate.grant(admin_url, writer=_login(where.database_url), reader=_login(where.reader_url))
        print("the schema is up to date")
        return 0
    with embedded.using(where.home) as cluster:
        migrate.upgrade(cluster.admin_url)
    print("the schema is up to date")
    return 0


def _arguments(arguments: Sequence[str]) -> Settings:
    settings = service_settings.read(os.environ)
    parser = argparse.ArgumentParser(
        prog="medai serve",
        description="Serve. Without MEDAI_DATABASE_URL, a PostgreSQL of its own runs under MEDAI_HOME.",
    )
    parser.add_argument("--host", metavar="H", help=f"address to listen on (default {settings.host})")
    parser.add_argument("--port", type=int, metavar="P", help=f"public port (default {settings.port})")
    parser.add_argument(
        "--internal-port",
        type=int,
        metavar="P",
        help=f"port of /livez, /readyz, /metrics (default {settings.internal_port})",
    )
    parser.add_argument("--workers", type=int, metavar="N", help=f"worker processes (default {settings.workers})")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    return service_settings.replaced(settings, **given)


def _require_our_package() -> None:
    """`service` is also a distribution on PyPI: another one's modules among ours would be served unnoticed."""
    owners = set(packages_distributions().get("service", ()))
    if owners != {_DISTRIBUTION}:
        raise SettingInvalid(
            f"the package `service` belongs to {', '.join(sorted(owners)) or 'nobody'}; expected {_DISTRIBUTION} "
            "alone: install into an environment of its own"
        )


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One `medai serve` a home; a crash of this process frees the lock."""
    with alone(home, "another `medai serve` runs here; stop it, or set MEDAI_HOME") as lock:
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")  # for `make clean`, which asks the process itself whether it is us
        lock.flush()
        yield


@contextmanager
def _database(where: Places) -> Iterator[Mapping[str, str]]:
    """The database that workers write to, ready for them: one's own as it is, or the embedded one."""
    if where.database_url is not None:
        assert where.reader_url is not None
        with secrets_configured.opened(os.environ) as held:
            asyncio.run(_require_ledger(held.url(where.database_url), held.url(where.reader_url)))
        # As they were given: each worker logs in by itself.
        yield {"MEDAI_DATABASE_URL": where.database_url, "MEDAI_DATABASE_READER_URL": where.reader_url}
        return
    print("medai: starting the embedded PostgreSQL", file=sys.stderr, flush=True)
    with embedded.using(where.home) as cluster:
        migrate.upgrade(cluster.admin_url)
        asyncio.run(_begin_ledger(cluster.writer_url, cluster.reader_url, where))
        yield {"MEDAI_DATABASE_URL": cluster.writer_url, "MEDAI_DATABASE_READER_URL": cluster.reader_url}


async def _require_ledger(writer_url: str, reader_url: str) -> None:
    """The database answers and has a record 0; it is never migrated or begun behind its owner's back."""
    store, reader = PostgresStore(writer_url), PostgresReader(reader_url)
    try:
        await store.ready()
        if (await reader.head()).size == 0:
            raise LedgerNotInitialised("ledger: no record 0 in this database; run `medai ledger init`")
    finally:
        await store.close()
        await reader.close()


async def _begin_ledger(writer_url: str, reader_url: str, where: Places) -> None:
    """The embedded ledger has a key and a record 0. A crash between the two leaves a key that the next start uses."""
    store, reader = PostgresStore(writer_url), PostgresReader(reader_url)
    try:
        if (await reader.head()).size > 0:
            return
        if where.signing_key.exists():
            signer = signing.load(where.signing_key)
        else:
            signer = signing.create(where.signing_key, genesis.default_origin())
        await genesis.initialise(store, reader, signer, SystemClock(), FolderAnchor(where.anchors, (signer.verifier,)))
    finally:
        await store.close()
        await reader.close()


def _development_tokens(settings: Settings, where: Places) -> Path:
    """A token for each scope in MEDAI_HOME/tokens/SCOPE, made at the first start alone."""
    folder = where.home / "tokens"
    path = service_settings.tokens_file(settings, where.home)
    if path.exists():
        return folder
    folder.mkdir(mode=0o700, exist_ok=True)
    for scope in tokens.SCOPES:
        token = tokens.issue(tokens.FilePlace(path), f"{_DEVELOPMENT}{scope}", [scope], now_us=SystemClock().now_us())
        handle = os.open(folder / scope, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token + "\n")
    return folder


def _worker_environment(settings: Settings, urls: Mapping[str, str]) -> Mapping[str, str]:
    """What the command line changed counts for workers as well; the administrator's login is none of theirs."""
    inherited = {name: value for name, value in os.environ.items() if name != "MEDAI_DATABASE_ADMIN_URL"}
    chosen = {"MEDAI_HOST": settings.host, "MEDAI_WORKERS": str(settings.workers)}
    if settings.commit == "unknown":
        chosen["MEDAI_COMMIT"] = _checked_out() or "unknown"
    return {**inherited, **chosen, **urls}


def _checked_out() -> str | None:
    """The commit of the source tree that this runs from; None where it is not a checkout."""
    folder = Path(__file__).resolve().parent.parent / ".git"
    try:
        head = (folder / "HEAD").read_text("ascii").strip()
        if not head.startswith("ref: "):
            return head
        loose = folder / head.removeprefix("ref: ")
        if loose.exists():
            return loose.read_text("ascii").strip()
        packed = (folder / "packed-refs").read_text("ascii").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(" " + head.removeprefix("ref: "))), None)
    except (OSError, UnicodeDecodeError):
        return None


def _announce(settings: Settings, plan: supervisor.Plan, development: Path | None) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    port, internal_port = plan.public.getsockname()[1], plan.internal.getsockname()[1]
    scheme = "https" if settings.tls_certificate_file else "http"
    lines = [
        f"documentation  {scheme}://{host}:{port}/docs",
        f"service        {scheme}://{host}:{port}",
        f"internal       http://{host}:{internal_port}  (/livez /readyz /metrics)",
    ]
    if development is not None:
        lines.append(f"tokens         {development}/SCOPE  (for development)")
    print("\n".join(lines), flush=True)


def _login(url: str) -> str:
    """The user that a connection URL logs in as."""
    user = conninfo.conninfo_to_dict(url).get("user")
    if not user:
        raise SettingInvalid("MEDAI_DATABASE_URL and MEDAI_DATABASE_READER_URL must name a user")
    return str(user)
