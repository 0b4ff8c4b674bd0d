"""Who runs a command, asked of Entra through the real SDK; and the issuer's keys over real HTTPS."""

import asyncio
import os
import pwd
import time

import pytest

from audit import administering, genesis, issuer_keys, operators, own_records
from audit.clock import SystemClock
from audit.errors import IdentityUnavailable, LedgerNotInitialised, LedgerUnavailable, TokenRefused
from audit.operators import Operator
from audit.record import Administered, decode
from tests.azure_fakes import azure
from tests.entra_tokens import AUDIENCE, LOGIN, OBJECT_ID, OTHER_TENANT, TENANT
from tests.ledger_fakes import World

GIVEN = {"MEDAI_ENTRA_TENANT_ID": TENANT, "MEDAI_ENTRA_AUDIENCE": AUDIENCE}
KEYS = f"{LOGIN}/{TENANT}/discovery/v2.0/keys"


@pytest.fixture
def cloud(monkeypatch):
    with azure() as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made


def _now_us():
    return int(time.time() * 1_000_000)


@pytest.mark.verifies("REQ-SEC-049")
def test_in_a_pod_it_is_the_workload_identity_that_entra_vouches_for(cloud):
    assert operators.current(GIVEN, _now_us) == Operator(name=f"entra.{OBJECT_ID}", vouched_by="entra")


@pytest.mark.verifies("REQ-SEC-049")
@pytest.mark.parametrize("claims", [{"aud": "other"}, {"tid": OTHER_TENANT}, {"exp": 1}])
def test_a_token_that_would_not_be_taken_of_a_caller_is_not_of_a_command_either(cloud, claims):
    cloud.claims = claims
    with pytest.raises(TokenRefused):
        operators.current(GIVEN, _now_us)


@pytest.mark.verifies("REQ-SEC-049")
def test_where_entra_is_away_nobody_is_taken_for_anybody(cloud):
    cloud.away.add("login.microsoftonline.com")
    with pytest.raises(IdentityUnavailable):
        operators.current(GIVEN, _now_us)


@pytest.mark.verifies("REQ-SEC-049")
def test_without_entra_it_is_the_systems_user_whatever_the_environment_says(monkeypatch):
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    expected = f"system.{pwd.getpwuid(os.geteuid()).pw_name}"
    assert operators.current({}, _now_us) == Operator(name=expected, vouched_by="system")


@pytest.mark.verifies("REQ-SEC-049")
def test_a_user_without_a_name_is_named_by_its_number(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 10_001)
    assert operators.current({}, _now_us).name == "system.uid-10001"


@pytest.mark.verifies("REQ-SEC-041")
def test_the_keys_are_fetched_over_https(cloud):
    assert set(issuer_keys.parse(issuer_keys.over_https(KEYS, timeout_ms=5000)())) == {"first"}


@pytest.mark.verifies("REQ-SEC-041")
def test_keys_from_whom_no_known_authority_vouches_for_are_not_taken(cloud, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(IdentityUnavailable):
        issuer_keys.over_https(KEYS, timeout_ms=5000)()


@pytest.mark.verifies("REQ-SEC-041")
@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "https://hospital.vault.azure.net/keys"}, {}),
        (500, {}, {}),
        (200, {}, {"keys": "x" * 300_000}),
    ],
    ids=["redirect", "failure", "oversized"],
)
def test_another_answer_than_a_key_set_is_none(cloud, monkeypatch, answer):
    monkeypatch.setattr(cloud, "_login", lambda path, body: answer)
    with pytest.raises(IdentityUnavailable):
        issuer_keys.over_https(KEYS, timeout_ms=5000)()
    assert not [request for request in cloud.requests if "vault" in request]


# -- what is on record before it is done


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def _note(world):
    who = Operator(name=f"entra.{OBJECT_ID}", vouched_by="entra")
    return await administering.noted(world.store, world.reader, SystemClock(), who, "token_revoked", "ward-7")


@pytest.mark.verifies("REQ-SEC-049")
def test_it_is_noted_who_does_what_to_which_token(world):
    async def scenario():
        await genesis.initialise(world.store, world.reader, world.signer, SystemClock())
        return decode((await world.reader.record(await _note(world))).body)

    entry = asyncio.run(scenario())
    assert isinstance(entry, Administered)
    assert (entry.action, entry.actor, entry.object) == ("token_revoked", f"entra.{OBJECT_ID}", "ward-7")


@pytest.mark.verifies("REQ-SEC-049")
@pytest.mark.parametrize("failure", ["before", "after"])
def test_an_append_whose_fate_is_unknown_is_one_record_in_the_end(world, failure):
    async def scenario():
        await genesis.initialise(world.store, world.reader, world.signer, SystemClock())
        world.database.failures.append(failure)
        return await _note(world), (await world.reader.head()).size

    assert asyncio.run(scenario()) == (1, 2)


@pytest.mark.verifies("REQ-SEC-049")
def test_where_nothing_can_be_recorded_the_command_is_told_so(world):
    async def scenario():
        await genesis.initialise(world.store, world.reader, world.signer, SystemClock())
        world.database.failures.extend(["before"] * 9)
        await _note(world)

    with pytest.raises(LedgerUnavailable):
        asyncio.run(scenario())


@pytest.mark.verifies("REQ-SEC-049")
def test_a_running_ledger_signs_what_a_command_has_noted(world):
    async def scenario():
        ledger = await world.begin()
        index = await _note(world)
        await ledger.append(own_records.outage("11111111-2222-4333-8444-555555555555", 1))
        await ledger.close()
        signed = await world.reader.signed()
        return index, signed

    index, signed = asyncio.run(scenario())
    assert signed is not None
    assert signed[0] > index


@pytest.mark.verifies("REQ-SEC-049")
def test_without_a_ledger_nothing_is_noted(world):
    with pytest.raises(LedgerNotInitialised):
        asyncio.run(_note(world))
