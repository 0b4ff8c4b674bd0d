"""In production a database over a network is one whose certificate is verified, or nothing is sent to it."""

import pytest

from audit import command, secrets_configured
from audit.errors import SettingInvalid
from audit.postgres import verified
from audit.settings import places

URL = "postgresql://writer@db.example/medai"


@pytest.fixture(autouse=True)
def nothing_of_the_environment(monkeypatch):
    for name in ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGSSLROOTCERT", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.verifies("REQ-SEC-047")
@pytest.mark.parametrize(
    "url",
    [
        f"{URL}?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        f"{URL}?sslmode=verify-full&sslrootcert=system",
        "postgresql:///medai?host=/run/postgresql",
        "postgresql://writer@/medai",
        "host=/run/postgresql dbname=medai",
    ],
)
def test_a_verified_server_or_this_machines_socket_is_taken(url):
    assert verified.require("MEDAI_DATABASE_URL", url) is None


@pytest.mark.verifies("REQ-SEC-047")
@pytest.mark.parametrize(
    "url",
    [
        URL,
        *(
            f"{URL}?sslmode={mode}&sslrootcert=/etc/ca.pem"
            for mode in ("disable", "allow", "prefer", "require", "verify-ca")
        ),
        f"{URL}?sslmode=verify-full",
        "postgresql://writer@127.0.0.1/medai",
        "postgresql://writer@localhost/medai",
        "host=/run/postgresql,db.example dbname=medai",
        "host=/run/postgresql hostaddr=192.0.2.1 dbname=medai",
        "service=medai",
    ],
)
def test_everything_weaker_is_refused(url):
    with pytest.raises(SettingInvalid, match="MEDAI_DATABASE_URL"):
        verified.require("MEDAI_DATABASE_URL", url)


@pytest.mark.verifies("REQ-SEC-047")
def test_attack_the_environment_names_the_host_that_the_address_does_not(monkeypatch):
    monkeypatch.setenv("PGHOST", "db.example")
    with pytest.raises(SettingInvalid):
        verified.require("MEDAI_DATABASE_URL", "dbname=medai")


@pytest.mark.verifies("REQ-SEC-047")
def test_what_the_address_says_counts_before_the_environment(monkeypatch):
    monkeypatch.setenv("PGSSLMODE", "disable")
    assert verified.require("X", f"{URL}?sslmode=verify-full&sslrootcert=/etc/ca.pem") is None


@pytest.mark.verifies("REQ-SEC-047")
def test_the_environment_may_say_it_for_every_address(monkeypatch):
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", "/etc/ca.pem")
    assert verified.require("X", URL) is None


@pytest.mark.verifies("REQ-SEC-047")
@pytest.mark.parametrize("url", ["postgresql://writer:hunter2@db.example/medai", "postgresql://writer:hunter2@[db"])
def test_a_refusal_does_not_repeat_a_password(url):
    with pytest.raises(SettingInvalid) as raised:
        verified.require("MEDAI_DATABASE_URL", url)
    assert "hunter2" not in str(raised.value)


@pytest.mark.verifies("REQ-SEC-047")
@pytest.mark.parametrize("variable", ["MEDAI_DATABASE_URL", "MEDAI_DATABASE_READER_URL", "MEDAI_DATABASE_ADMIN_URL"])
def test_each_of_the_addresses_is_held_to_it(variable):
    with (
        pytest.raises(SettingInvalid, match=variable),
        secrets_configured.opened({"MEDAI_ENVIRONMENT": "production", variable: URL}),
    ):
        raise AssertionError("it began")


@pytest.mark.verifies("REQ-SEC-047")
def test_a_command_is_held_to_it_as_the_service_is(monkeypatch):
    monkeypatch.setenv("MEDAI_ENVIRONMENT", "production")
    monkeypatch.setenv("MEDAI_DATABASE_URL", URL)
    with pytest.raises(SettingInvalid, match="verify-full"), command.database(places({"MEDAI_DATABASE_URL": URL})):
        raise AssertionError("it began")


def test_outside_of_production_nobody_is():
    with secrets_configured.opened({"MEDAI_DATABASE_URL": URL}) as held:
        assert held.url(URL) == URL
