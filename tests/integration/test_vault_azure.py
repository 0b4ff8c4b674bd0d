"""Secrets in a vault, through the real SDK: its challenge, failures, rotation, and the bound of what is kept."""

import io
import logging
import os
import traceback
from pathlib import Path

import pytest
from azure.keyvault.secrets._shared import http_challenge_cache

from audit import note, secrets_configured
from audit.errors import IdentityUnavailable, SettingInvalid, VaultUnavailable
from audit.note import Signer
from audit.postgres.passfile import Passfile
from audit.secret_sources import FileSecret
from audit.secrets_configured import EntraLogin
from audit.settings import VaultSettings, vault_settings
from audit.vault import Vault, VaultClient, VaultSecret
from audit.vault_keys import VaultKeys
from service.adapters import secrets, telemetry, tokens
from tests.azure_fakes import VAULT_URL, azure

ORIGIN = "pacs.example.org/medai"
FIRST, SECOND = (Signer.generate(ORIGIN, bytes([number]) * 32) for number in (1, 2))
PSEUDONYM = "k1:" + "ab" * 32
NO_FILE = FileSecret(Path("/nowhere"), "nothing")


@pytest.fixture
def cloud(monkeypatch):
    """Entra and a vault with every secret in it; this process has a workload identity there."""
    http_challenge_cache.clear()
    with azure() as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        made.put("signing-key", FIRST.skey)
        made.put("pseudonym-key", PSEUDONYM)
        made.put("token-hashes", '{"format":"medai.tokens/1","tokens":[]}')
        made.put("database-passwords", "*:*:*:*:first-password\n")
        yield made
    http_challenge_cache.clear()


@pytest.fixture
def settings(cloud):
    return VaultSettings(
        url=VAULT_URL, signing_key="signing-key", signing_key_next="signing-key-next", pseudonym_key="pseudonym-key"
    )


@pytest.fixture
def client(settings):
    made = VaultClient(settings)
    yield made
    made.close()


@pytest.fixture
def environment(cloud, tmp_path):
    """As an operator writes it."""
    return {
        "MEDAI_HOME": str(tmp_path),
        "MEDAI_VAULT_URL": VAULT_URL,
        "MEDAI_VAULT_SIGNING_KEY": "signing-key",
        "MEDAI_VAULT_PSEUDONYM_KEY": "pseudonym-key",
        "MEDAI_VAULT_TOKEN_HASHES": "token-hashes",
        "MEDAI_VAULT_DATABASE_PASSWORDS": "database-passwords",
    }


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


# -- the challenge


@pytest.mark.verifies("REQ-SEC-043")
def test_a_secret_is_read_after_the_vault_has_said_who_vouches_for_its_callers(cloud, client):
    assert client.get("signing-key").body == FIRST.skey.encode()
    assert [request.split()[0] for request in cloud.requests] == ["GET", "POST", "GET"]


@pytest.mark.verifies("REQ-SEC-043")
@pytest.mark.parametrize("resource", ["https://vault.evil.example", "https://azure.net.evil.example", "https://x"])
def test_attack_a_challenge_for_another_resource_gets_no_token(cloud, client, resource):
    """`verify_challenge_resource` is on: whoever answers in the vault's place is given nothing to use elsewhere."""
    cloud.challenge_resource = resource
    with pytest.raises(VaultUnavailable, match="not one of this vault"):
        client.get("signing-key")
    assert cloud.issued == 0


@pytest.mark.verifies("REQ-SEC-043")
def test_a_vault_that_no_known_authority_vouches_for_is_not_spoken_to(cloud, client, monkeypatch, tmp_path):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(VaultUnavailable, match="no answer"):
        client.get("signing-key")
    assert cloud.requests == []


# -- at the start


@pytest.mark.verifies("REQ-SEC-043")
def test_every_secret_is_there_when_the_block_begins(environment):
    with secrets_configured.opened(environment) as held:
        assert held.signing_keys().held()[0].verifier == FIRST.verifier
        assert secrets.load(held.pseudonym_key(NO_FILE)).of("peer", "a").startswith("k1:")


@pytest.mark.verifies("REQ-SEC-043")
@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_vault_that_refuses_keeps_it_from_starting(cloud, environment, status):
    cloud.vault_status = status
    with pytest.raises(VaultUnavailable, match=str(status)), secrets_configured.opened(environment):
        raise AssertionError("it began")


@pytest.mark.verifies("REQ-SEC-043")
@pytest.mark.parametrize("host", ["hospital.vault.azure.net", "login.microsoftonline.com"])
def test_a_vault_or_an_issuer_that_is_away_keeps_it_from_starting(cloud, environment, host):
    cloud.away.add(host)
    with pytest.raises(VaultUnavailable), secrets_configured.opened(environment):
        raise AssertionError("it began")


@pytest.mark.verifies("REQ-SEC-043")
def test_an_identity_that_entra_refuses_keeps_it_from_starting(cloud, environment, monkeypatch, tmp_path):
    (tmp_path / "assertion").write_text("forged")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "assertion"))
    with pytest.raises(VaultUnavailable), secrets_configured.opened(environment):
        raise AssertionError("it began")


@pytest.mark.verifies("REQ-SEC-043")
def test_a_secret_that_is_not_there_keeps_it_from_starting(cloud, environment):
    del cloud.secrets["pseudonym-key"]
    with pytest.raises(SettingInvalid, match="no secret pseudonym-key"), secrets_configured.opened(environment):
        raise AssertionError("it began")


@pytest.mark.verifies("REQ-SEC-043")
def test_an_empty_secret_keeps_it_from_starting(cloud, environment):
    cloud.put("pseudonym-key", "")
    with pytest.raises(SettingInvalid, match="empty"), secrets_configured.opened(environment):
        raise AssertionError("it began")


@pytest.mark.verifies("REQ-SEC-043")
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"MEDAI_SIGNING_KEY_FILE": "/keys/signing.key"}, "one place"),
        ({"MEDAI_TOKENS_FILE": "/keys/tokens.json"}, "one place"),
        ({"MEDAI_PSEUDONYM_KEY_FILE": "/keys/pseudonym.key"}, "one place"),
        ({"MEDAI_VAULT_URL": ""}, "MEDAI_VAULT_URL"),
        ({"MEDAI_VAULT_URL": "http://hospital.vault.azure.net"}, "url"),
        ({"MEDAI_VAULT_SIGNING_KEY": "../other"}, "signing_key"),
    ],
)
def test_a_vault_that_the_settings_contradict_is_refused(environment, given, why):
    with pytest.raises(SettingInvalid, match=why):
        vault_settings({**environment, **given})


# -- rotation, and a vault that is away


@pytest.fixture
def followed(cloud, settings, client):
    """A vault of which the signing key is wanted, on a clock of the test's."""
    clock = Clock()
    made = Vault(settings, ["signing-key", "pseudonym-key"], client, failed=print, now_s=clock)
    made.look()
    return made, clock


@pytest.mark.verifies("REQ-SEC-044")
def test_another_version_is_in_use_after_the_next_look(cloud, followed):
    vault, _ = followed
    before = VaultSecret(vault, "signing-key").version()
    cloud.put("signing-key", SECOND.skey)
    vault.look()
    assert VaultSecret(vault, "signing-key").read() == SECOND.skey.encode()
    assert VaultSecret(vault, "signing-key").version() != before


@pytest.mark.verifies("REQ-SEC-044")
def test_without_the_vault_the_last_version_is_used_until_its_time_is_over(cloud, followed):
    vault, clock = followed
    cloud.away.add("hospital.vault.azure.net")
    with pytest.raises(VaultUnavailable):
        vault.look()
    clock.now_s = 3600.0
    assert VaultSecret(vault, "signing-key").read() == FIRST.skey.encode()


@pytest.mark.verifies("REQ-SEC-044")
def test_without_the_vault_for_too_long_no_version_is_used(followed):
    vault, clock = followed
    clock.now_s = 3600.5
    assert vault.stale()
    with pytest.raises(VaultUnavailable, match="MEDAI_VAULT_STALE_S"):
        VaultSecret(vault, "signing-key").read()


@pytest.mark.verifies("REQ-SEC-044")
def test_a_vault_that_shows_a_part_confirms_nothing(cloud, followed):
    vault, clock = followed
    del cloud.secrets["pseudonym-key"]
    clock.now_s = 3000.0
    with pytest.raises(SettingInvalid):
        vault.look()
    clock.now_s = 3700.0
    assert vault.stale()


@pytest.mark.verifies("REQ-SEC-044")
def test_a_rotation_of_the_signing_key_is_prepared_and_ended_in_the_vault(cloud, followed, settings, client):
    vault = Vault(settings, ["signing-key", "signing-key-next"], client, failed=print)
    cloud.put("signing-key-next", FIRST.skey)  # outside of a rotation both are one
    vault.look()
    keys = VaultKeys(vault, "signing-key", "signing-key-next")
    made = keys.prepare(ORIGIN)
    assert [signer.verifier for signer in keys.held()] == [FIRST.verifier, made.verifier]
    assert keys.prepare(ORIGIN).verifier == made.verifier
    assert keys.signer(made.verifier) is not None
    keys.install()
    assert [signer.verifier for signer in keys.held()] == [made.verifier]
    assert note.Signer.parse(cloud.secrets["signing-key"][-1]).verifier == made.verifier


@pytest.mark.verifies("REQ-SEC-044")
def test_a_token_is_issued_and_revoked_in_the_vault(environment):
    with secrets_configured.opened(environment) as held:
        source = held.token_hashes(NO_FILE)
        place = tokens.VaultPlace(source, held.put_token_hashes)
        token = tokens.issue(place, "ward-7", ["infer"], now_us=0)
    with secrets_configured.opened(environment) as held:
        source = held.token_hashes(NO_FILE)
        found = tokens.TokenFile(source, now_us=lambda: 1, failed=print).principal(token)
        assert found is not None
        assert found.name == "ward-7"
        tokens.revoke(tokens.VaultPlace(source, held.put_token_hashes), "ward-7")
    with secrets_configured.opened(environment) as held:
        assert tokens.listed(held.token_hashes(NO_FILE)) == ()


# -- the key of pseudonyms


class Changing:
    """A source that a test changes."""

    where = "vault secret pseudonym-key"

    def __init__(self, body):
        self.body = body

    def version(self):
        return self.body

    def read(self):
        return self.body


@pytest.mark.verifies("REQ-SEC-046")
def test_another_key_of_pseudonyms_is_used_without_a_restart():
    source = Changing(PSEUDONYM.encode())
    used = secrets.CurrentPseudonyms(source, failed=lambda where, error: None)
    source.body = b"k2:" + b"cd" * 32
    used.look()
    assert used.of("peer", "a").startswith("k2:")


@pytest.mark.verifies("REQ-SEC-046")
@pytest.mark.parametrize("body", [b"k1:" + b"cd" * 32, b"nonsense", b"", b"\xff"])
def test_other_bytes_under_a_name_that_was_used_change_nothing_and_are_told(body):
    told = []
    source = Changing(PSEUDONYM.encode())
    used = secrets.CurrentPseudonyms(source, failed=lambda where, error: told.append(where))
    before, source.body = used.of("peer", "a"), body
    used.look()
    assert (used.of("peer", "a"), told) == (before, ["pseudonym key"])


# -- the database's passwords


@pytest.mark.verifies("REQ-SEC-045")
def test_the_password_is_in_memory_and_not_in_the_address(environment):
    with secrets_configured.opened(environment) as held:
        url = held.url("postgresql://writer@db.example/medai")
        path = url.split("passfile=")[1].split()[0]
        assert "first-password" not in url
        with open(path) as file:
            assert file.read() == "*:*:*:*:first-password\n"
        assert os.stat(path).st_mode & 0o7777 == 0o600
        assert not os.get_inheritable(int(path.rsplit("/", 1)[1]))


@pytest.mark.verifies("REQ-SEC-045")
@pytest.mark.parametrize("url", ["postgresql://writer:x@db/medai", "postgresql://writer@db/medai?passfile=/x"])
def test_a_password_in_two_places_is_refused_without_repeating_it(environment, url):
    with secrets_configured.opened(environment) as held, pytest.raises(SettingInvalid, match="one place"):
        held.url(url)


@pytest.mark.verifies("REQ-SEC-045")
def test_the_password_is_a_token_of_entra_and_a_new_one_before_it_expires(cloud):
    from audit.azure_identity import Identity

    cloud.token_seconds = 301  # the SDK asks for another one 300 seconds before the end
    with Passfile() as passfile, Identity() as identity:
        login = EntraLogin(identity, passfile, print)
        login.renew()
        with open(passfile.path) as file:
            assert file.read() == "*:*:*:*:token-1-for-ossrdbms-aad.database.windows.net\n"
        cloud.away.add("login.microsoftonline.com")
        login.renew()
        with open(passfile.path) as file:
            assert "token-1" in file.read()


@pytest.mark.verifies("REQ-SEC-045")
def test_an_identity_that_is_not_to_be_had_keeps_the_database_from_being_asked(cloud, tmp_path):
    cloud.away.add("login.microsoftonline.com")
    given = {
        "MEDAI_HOME": str(tmp_path),
        "MEDAI_ENTRA_TENANT_ID": "11111111-2222-4333-8444-555555555555",
        "MEDAI_ENTRA_AUDIENCE": "x",
        "MEDAI_ENTRA_DATABASE": "yes",
    }
    with pytest.raises(IdentityUnavailable), secrets_configured.opened(given):
        raise AssertionError("it began")


# -- what is said


@pytest.mark.verifies("REQ-SEC-043")
@pytest.mark.parametrize(
    "broken", ["away", "status", "challenge", "assertion", "nonsense", "missing", "nothing"], ids=lambda name: name
)
def test_no_log_line_and_no_error_holds_a_secret(cloud, environment, monkeypatch, tmp_path, broken):
    """Everything that is secret here is planted as a word, and looked for in all that is written."""
    lines = io.StringIO()
    telemetry.configure("debug", lines, alike_per_minute=1000)
    monkeypatch.setattr(logging.getLogger("azure"), "level", logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("urllib3"), "level", logging.DEBUG)
    _break(cloud, broken, monkeypatch, tmp_path)
    said = ""
    try:
        with secrets_configured.opened(
            environment, lambda where, error: telemetry.Telemetry().failed(where, error)
        ) as held:
            held.signing_keys().held()
            said = repr(held.pseudonym_key(NO_FILE))
            said += repr(held.__dict__["_vault"].held("signing-key"))
    except (SettingInvalid, VaultUnavailable) as error:
        said = "".join(traceback.format_exception(error))
    planted = [
        FIRST.skey,
        FIRST.skey[-20:],
        PSEUDONYM[3:],
        "first-password",
        "assertion-of-the-cluster",
        "token-1-for",
        "forged",
    ]
    assert [word for word in planted if word in said + lines.getvalue()] == []


def _break(cloud, how, monkeypatch, tmp_path):
    if how == "away":
        cloud.away.add("hospital.vault.azure.net")
    elif how == "status":
        cloud.vault_status = 403
    elif how == "challenge":
        cloud.challenge_resource = "https://x.example"
    elif how == "assertion":
        (tmp_path / "assertion").write_text("forged")
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "assertion"))
    elif how == "nonsense":
        cloud.put("signing-key", FIRST.skey[:-3])
    elif how == "missing":
        del cloud.secrets["pseudonym-key"]
