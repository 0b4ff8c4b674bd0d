"""A service that is entrusted with nothing but an identity: every secret in a vault, callers by Entra, TLS outside.

The database is the embedded one, reached as one's own, with logins whose passwords only the vault has.
"""

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping

import psycopg
import pytest
from msgspec import Struct
from psycopg import conninfo, sql

from audit import genesis
from audit.note import Signer
from audit.postgres import embedded, migrate
from audit.postgres.embedded import Cluster
from tests.authorities import Authority
from tests.azure_fakes import VAULT_URL, FakeAzure, azure
from tests.entra_tokens import AUDIENCE, OBJECT_ID, TENANT
from tests.system.running import HOST, Server, eventually

pytestmark = pytest.mark.system

PSEUDONYM = "k7:" + "ab" * 32
STALE_S = 15


class Scene(Struct, frozen=True, kw_only=True):
    """The service, its cloud, and what a client of it trusts."""

    server: Server
    cloud: FakeAzure
    cluster: Cluster
    signer: Signer
    trusted: str
    opaque: str

    def ask(self, token: str | None, target: str = "/console/releases") -> tuple[int, Mapping[str, str], bytes]:
        """Over TLS, verified."""
        context = ssl.create_default_context(cadata=self.trusted)
        connection = http.client.HTTPSConnection(HOST, self.server.port, timeout=30, context=context)
        try:
            connection.request("GET", target, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def bearer(self, **claims: object) -> str:
        now_s = int(time.time())
        made = {"iat": now_s, "nbf": now_s, "exp": now_s + 3600, "roles": ["medai.audit.read"], **claims}
        return str(self.cloud.issuer.sign(**made))

    def records(self) -> list[dict[str, object]]:
        with psycopg.connect(self.cluster.reader_url) as connection:
            found = connection.execute("SELECT record FROM ledger.records ORDER BY idx").fetchall()
        return [json.loads(bytes(row[0])) for row in found]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("entrusted")
    authority = Authority()
    certificate, key = authority.write(folder / "tls", HOST)
    signer = Signer.generate(genesis.default_origin(), bytes(range(32)))
    with azure() as cloud, embedded.using(folder / "database") as cluster:
        migrate.upgrade(cluster.admin_url)
        cloud.put("signing-key", signer.skey)
        cloud.put("pseudonym-key", PSEUDONYM)
        cloud.put("token-hashes", '{"format":"medai.tokens/1","tokens":[]}')
        _put_passwords(cloud, cluster)
        settings = {
            **cloud.environment(),
            "MEDAI_DATABASE_URL": _without_password(cluster.writer_url),
            "MEDAI_DATABASE_READER_URL": _without_password(cluster.reader_url),
            "MEDAI_VAULT_URL": VAULT_URL,
            "MEDAI_VAULT_SIGNING_KEY": "signing-key",
            "MEDAI_VAULT_PSEUDONYM_KEY": "pseudonym-key",
            "MEDAI_VAULT_TOKEN_HASHES": "token-hashes",
            "MEDAI_VAULT_DATABASE_PASSWORDS": "database-passwords",
            "MEDAI_VAULT_REFRESH_S": "1",
            "MEDAI_VAULT_STALE_S": str(STALE_S),
            "MEDAI_ENTRA_TENANT_ID": TENANT,
            "MEDAI_ENTRA_AUDIENCE": AUDIENCE,
            "MEDAI_TLS_CERTIFICATE_FILE": str(certificate),
            "MEDAI_TLS_KEY_FILE": str(key),
            "MEDAI_LOG_LEVEL": "debug",
            "MEDAI_WATCH_INTERVAL_S": "3600",
        }
        server = Server(folder / "home", workers=1, settings=settings)
        begun = server.medai("ledger", "init")
        assert begun.returncode == 0, begun.stderr
        issued = server.medai("token", "issue", "ward-7", "--scope", "audit.read")
        assert issued.returncode == 0, issued.stderr
        try:
            server.start()
            yield Scene(
                server=server,
                cloud=cloud,
                cluster=cluster,
                signer=signer,
                trusted=authority.pem.decode(),
                opaque=issued.stdout.strip(),
            )
        finally:
            server.clean()


def _put_passwords(cloud: FakeAzure, cluster: Cluster) -> None:
    lines = [f"*:*:*:{login}:{password}\n" for login, password in cluster.secrets.passwords.items()]
    cloud.put("database-passwords", "".join(lines))


def _without_password(url: str) -> str:
    given = {name: str(value) for name, value in conninfo.conninfo_to_dict(url).items() if name != "password"}
    return conninfo.make_conninfo(**given)


def test_the_public_port_answers_over_tls(scene: Scene) -> None:
    assert scene.ask(None, "/health")[0] == 200


def test_the_log_is_signed_by_the_key_that_only_the_vault_has(scene: Scene) -> None:
    assert json.loads(scene.ask(None, "/version")[2])["ledger"]["verifier_key"] == str(scene.signer.verifier)


def test_a_bearer_of_entra_is_on_record_by_its_object_id(scene: Scene) -> None:
    status, headers, _ = scene.ask(scene.bearer(), "/tile/entries/000")
    assert status in (200, 404)
    record = scene.records()[int(headers["ledger-index"])]
    assert (record["actor"], str(record["peer"])[:3]) == (f"entra.{OBJECT_ID}", "k7:")


def test_a_bearer_without_the_role_is_refused_and_on_record(scene: Scene) -> None:
    status, headers, _ = scene.ask(scene.bearer(roles=[]))
    record = scene.records()[int(headers["ledger-index"])]
    assert (status, record["actor"], record["code"]) == (403, f"entra.{OBJECT_ID}", "forbidden")


def test_a_token_for_another_audience_is_refused(scene: Scene) -> None:
    assert scene.ask(scene.bearer(aud="another"))[0] == 401


def test_who_issued_a_token_from_a_pod_is_on_record(scene: Scene) -> None:
    found = [record for record in scene.records() if record["kind"] == "administered"]
    assert [found[0][name] for name in ("action", "actor", "vouched_by", "object")] == [
        "token_issued",
        f"entra.{OBJECT_ID}",
        "entra",
        "ward-7",
    ]


def test_without_an_identity_no_token_is_made(scene: Scene) -> None:
    before = scene.cloud.secrets["token-hashes"][-1]
    done = scene.server.medai("token", "issue", "x", "--scope", "infer", settings={"AZURE_CLIENT_ID": ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert scene.cloud.secrets["token-hashes"][-1] == before


@pytest.mark.verifies("REQ-SEC-044")
@pytest.mark.verifies("REQ-SEC-049")
def test_a_token_is_revoked_in_the_vault_on_record_and_within_seconds(scene: Scene) -> None:
    issued = scene.server.medai("token", "issue", "ward-8", "--scope", "audit.read")
    token = issued.stdout.strip()
    assert eventually(lambda: scene.ask(token)[0] == 403, 30)
    assert scene.server.medai("token", "revoke", "ward-8").returncode == 0
    assert eventually(lambda: scene.ask(token)[0] == 401, 30)
    last = [record for record in scene.records() if record["kind"] == "administered"][-1]
    assert (last["action"], last["actor"], last["object"]) == ("token_revoked", f"entra.{OBJECT_ID}", "ward-8")


def test_new_passwords_of_the_database_are_used_without_a_restart(scene: Scene) -> None:
    looks = len(scene.cloud.requests)
    with psycopg.connect(scene.cluster.admin_url, autocommit=True) as admin:
        for login in ("medai_writer", "medai_reader"):
            changed = sql.SQL("ALTER ROLE {} PASSWORD 'another-one'").format(sql.Identifier(login))
            admin.execute(changed)
            scene.cluster.secrets.passwords[login] = "another-one"
        _put_passwords(scene.cloud, scene.cluster)
        # Behind two looks into the vault the process has them; then every login of before ends.
        assert eventually(lambda: len(scene.cloud.requests) > looks + 12, 30)
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'medai_%er'")
    assert eventually(lambda: scene.ask(scene.bearer(), "/checkpoint")[0] == 200, 30)
    assert eventually(lambda: scene.server.internal("/readyz").status == 200, 30)


def test_without_the_vault_it_serves_for_a_time_and_then_nobody_until_it_is_back(scene: Scene) -> None:
    scene.cloud.away.add("hospital.vault.azure.net")
    assert scene.ask(scene.opaque)[0] == 403
    assert eventually(lambda: scene.ask(scene.opaque)[0] == 503, STALE_S + 30)
    status, headers, body = scene.ask(scene.bearer())
    assert (status, json.loads(body)["code"]) == (503, "secrets_unavailable")
    assert "retry-after" in headers
    assert scene.server.internal("/readyz").status == 503
    scene.cloud.away.clear()
    assert eventually(lambda: scene.ask(scene.opaque)[0] == 403, 30)


def test_nothing_that_it_printed_holds_a_secret(scene: Scene) -> None:
    """After all of the above, at the level that says most."""
    said = scene.server.log.read_text("utf-8", "replace")
    passwords = list(scene.cluster.secrets.passwords.values())
    planted = [scene.signer.skey, PSEUDONYM[3:], scene.opaque, *passwords, "token-1-for", "assertion-of-the-cluster"]
    assert [word for word in planted if word in said] == []
    assert "eyJ" not in said


@pytest.mark.verifies("REQ-SEC-043")
def test_without_the_vault_at_the_start_it_does_not_serve(scene: Scene) -> None:
    scene.server.stop()
    scene.cloud.away.add("hospital.vault.azure.net")
    done = scene.server.medai("serve", *scene.server.arguments())
    assert done.returncode == 2
    assert "vault_unavailable" in done.stderr
