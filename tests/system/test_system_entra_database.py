"""The migration as a cluster runs it: a login without a password, whose identity's token is all that it logs in with.

The database is the embedded one. It knows no token of Entra: what the identity is given next is its role's password.
"""

from collections.abc import Iterator

import psycopg
import pytest
from msgspec import Struct
from psycopg import conninfo, sql

from audit.postgres import embedded, logins, migrate
from audit.postgres.embedded import Cluster
from tests.azure_fakes import FakeAzure, azure
from tests.system.running import Server

pytestmark = [pytest.mark.system, pytest.mark.verifies("REQ-SEC-045")]

LOGIN = "migration"
SCOPE_HOST = "ossrdbms-aad.database.windows.net"


class Scene(Struct, frozen=True, kw_only=True):
    """A database with nothing in it, and a command line that has an identity."""

    server: Server
    cloud: FakeAzure
    cluster: Cluster

    def url(self, login: str) -> str:
        return conninfo.make_conninfo(host=self.cluster.secrets.socket_folder, dbname=self.cluster.database, user=login)

    def expect_next_token(self) -> None:
        """Whoever logs in as the migration's role has to bring the token that the identity is given next."""
        word = f"token-{self.cloud.issued + 1}-for-{SCOPE_HOST}"
        with psycopg.connect(self.cluster.admin_url, autocommit=True) as admin:
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(LOGIN), sql.Literal(word)))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("entra-database")
    with azure() as cloud, embedded.using(folder / "database") as cluster:
        with psycopg.connect(cluster.admin_url, autocommit=True) as admin:
            name, database = sql.Identifier(LOGIN), sql.Identifier(cluster.database)
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(name))
            admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, name))
            admin.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(name))
            for role in logins.ROLES:  # as on a server of its own: the migration makes them
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        server = Server(folder / "home", workers=1)
        made = Scene(server=server, cloud=cloud, cluster=cluster)
        server.settings = {
            **cloud.environment(),
            "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential",
            "MEDAI_ENTRA_DATABASE": "yes",
            "MEDAI_DATABASE_URL": made.url(logins.WRITER),
            "MEDAI_DATABASE_READER_URL": made.url(logins.READER),
            "MEDAI_DATABASE_ADMIN_URL": made.url(LOGIN),
        }
        try:
            yield made
        finally:
            server.clean()


def test_without_its_identity_the_migration_does_nothing(scene: Scene) -> None:
    scene.expect_next_token()
    done = scene.server.medai("migrate", settings={"AZURE_CLIENT_ID": ""})
    assert (done.returncode, "identity_unavailable" in done.stderr) == (2, True)
    assert migrate.current(scene.cluster.admin_url) is None


def test_a_token_that_is_not_the_roles_own_migrates_nothing(scene: Scene) -> None:
    scene.expect_next_token()
    scene.cloud.issued += 1
    done = scene.server.medai("migrate")
    assert (done.returncode, "token-" in done.stderr) == (2, False)
    assert migrate.current(scene.cluster.admin_url) is None


def test_the_migration_logs_in_with_nothing_but_its_identitys_token(scene: Scene) -> None:
    scene.expect_next_token()
    done = scene.server.medai("migrate")
    assert (done.returncode, done.stdout) == (0, "the schema is up to date\n"), done.stderr
    assert migrate.current(scene.cluster.admin_url) == migrate.head()


def test_writer_and_reader_have_their_roles_and_the_migration_administers_no_server(scene: Scene) -> None:
    """After the migration; with no right but those that deploy/README.md gives its login."""
    asked = "SELECT pg_has_role(%s, %s, 'USAGE')"
    with psycopg.connect(scene.cluster.admin_url) as admin:
        found = [
            admin.execute(asked, pair).fetchone()
            for pair in ((logins.WRITER, "ledger_writer"), (logins.READER, "ledger_reader"))
        ]
        rights = admin.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = %s", [LOGIN]).fetchone()
    assert (found, rights) == ([(True,), (True,)], (False, False))
