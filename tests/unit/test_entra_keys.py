"""The issuer's keys and what is remembered of verified tokens: rotation, floods, an issuer that is away."""

import asyncio
import json

import pytest

from audit import entra, issuer_keys
from audit.errors import IdentityUnavailable
from audit.issuer_keys import IssuerKeys, Pace
from audit.settings import EntraSettings
from service.adapters import tokens
from service.adapters.entra_tokens import EntraTokens, scopes_of_roles
from service.adapters.token_books import BothBooks, ConfirmedBook
from service.errors import SecretsUnavailable, SettingInvalid
from tests.entra_tokens import AUDIENCE, NOW_S, OBJECT_ID, TENANT, Issuer

PACE = Pace(refresh_s=3600, interval_s=30, stale_s=86_400)


class Scene:
    """A book of tokens, its issuer, and the clock of both."""

    def __init__(self, **settings):
        self.issuer, self.clock_s, self.away, self.fetched = Issuer(), 0.0, False, 0
        self.failures: list[str] = []
        self.keys = IssuerKeys(
            self._fetch, PACE, failed=lambda where, error: self.failures.append(str(error)), now_s=lambda: self.clock_s
        )
        knobs = EntraSettings(tenant_id=TENANT, audience=AUDIENCE, **settings)
        self.book = EntraTokens(knobs, self.keys, now_us=lambda: int((NOW_S + self.clock_s) * 1_000_000))

    def _fetch(self):
        self.fetched += 1
        if self.away:
            raise IdentityUnavailable("identity: away")
        return self.issuer.jwks()


@pytest.fixture
def scene():
    made = Scene()
    made.keys.load()
    return made


@pytest.mark.verifies("REQ-SEC-042")
def test_a_role_opens_its_scope_and_the_name_is_the_object_id(scene):
    found = scene.book.principal(scene.issuer.sign(roles=["medai.infer", "medai.audit.read"]))
    assert (found.name, found.scopes) == (f"entra.{OBJECT_ID}", {"infer", "audit.read"})


@pytest.mark.verifies("REQ-SEC-042")
@pytest.mark.parametrize("roles", [[], ["infer"], ["Medai.Infer"], ["medai.everything"], ...])
def test_a_role_that_nobody_named_opens_nothing(scene, roles):
    assert scene.book.principal(scene.issuer.sign(roles=roles)).scopes == frozenset()


@pytest.mark.verifies("REQ-SEC-042")
def test_the_settings_say_what_a_role_opens():
    made = Scene(roles="Radiology.Infer = infer, Audit=audit.read")
    made.keys.load()
    found = made.book.principal(made.issuer.sign(roles=["Radiology.Infer"]))
    assert found is not None
    assert found.scopes == {"infer"}


@pytest.mark.verifies("REQ-SEC-042")
@pytest.mark.parametrize("text", ["infer", "a=root", "=infer", "a=infer,a=admin", "a=infer,,"])
def test_roles_that_cannot_be_read_are_refused(text):
    with pytest.raises(SettingInvalid, match="MEDAI_ENTRA_ROLES"):
        scopes_of_roles(text)


@pytest.mark.verifies("REQ-SEC-042")
def test_a_token_is_verified_once_and_then_known(scene, monkeypatch):
    token = scene.issuer.sign()
    assert scene.book.principal(token) is not None
    monkeypatch.setattr("audit.access_tokens.verify", None)
    assert scene.book.principal(token).name == f"entra.{OBJECT_ID}"


@pytest.mark.verifies("REQ-SEC-042")
def test_a_token_that_is_known_ends_when_it_expires(scene):
    token = scene.issuer.sign()
    assert scene.book.principal(token) is not None
    scene.clock_s = 3600 + 60
    assert scene.book.principal(token) is None


@pytest.mark.verifies("REQ-SEC-042")
def test_a_token_that_is_known_ends_when_its_key_is_withdrawn(scene):
    token = scene.issuer.sign()
    assert scene.book.principal(token) is not None
    scene.issuer.rotate("second", keep=False)
    scene.keys.load()
    assert scene.book.principal(token) is None


@pytest.mark.verifies("REQ-SEC-042")
def test_no_more_tokens_are_remembered_than_the_setting_says():
    made = Scene(max_known_tokens=3)
    made.keys.load()
    for number in range(10):
        assert made.book.principal(made.issuer.sign(iat=NOW_S - number)) is not None
    assert len(made.book._known) == 3


@pytest.mark.verifies("REQ-SEC-041")
def test_a_key_that_is_new_at_the_issuer_is_fetched_for_the_token_that_names_it(scene):
    scene.clock_s = 60
    scene.issuer.rotate("second")
    token = scene.issuer.sign()
    assert scene.book.principal(token) is None
    assert asyncio.run(scene.book.late(token)).name == f"entra.{OBJECT_ID}"


@pytest.mark.verifies("REQ-SEC-041")
def test_attack_a_flood_of_unknown_keys_fetches_once(scene):
    scene.clock_s = 60

    async def flood():
        names = [scene.issuer.sign(headers={"kid": f"invented-{number}"}) for number in range(40)]
        return await asyncio.gather(*(scene.book.late(token) for token in names * 25))

    assert set(asyncio.run(flood())) == {None}
    assert scene.fetched == 2  # the start's, and one for all of them


@pytest.mark.verifies("REQ-SEC-041")
def test_attack_a_flood_that_goes_on_fetches_once_in_each_interval(scene):
    token = scene.issuer.sign(headers={"kid": "invented"})
    for second in range(30, 330):
        scene.clock_s = second
        asyncio.run(scene.book.late(token))
    assert scene.fetched == 1 + 10


@pytest.mark.verifies("REQ-SEC-041")
def test_without_the_issuer_the_last_keys_are_used_and_the_failure_is_told(scene):
    scene.away, scene.clock_s = True, 3600
    assert scene.keys.due()
    asyncio.run(scene.keys.look_again())
    assert scene.book.principal(scene.issuer.sign(exp=NOW_S + 90_000)) is not None
    assert scene.failures == ["identity: away"]


@pytest.mark.verifies("REQ-SEC-041")
def test_without_the_issuer_for_too_long_nobody_is_let_in_not_even_who_was_before(scene):
    token = scene.issuer.sign(exp=NOW_S + 900_000)
    assert scene.book.principal(token) is not None
    scene.away, scene.clock_s = True, 86_401
    assert scene.book.principal(token) is None


@pytest.mark.verifies("REQ-SEC-041")
def test_without_the_issuer_at_the_start_nothing_begins():
    made = Scene()
    made.away = True

    async def begin():
        async with made.book.looking():
            raise AssertionError("it began")

    with pytest.raises(IdentityUnavailable):
        asyncio.run(begin())


@pytest.mark.verifies("REQ-SEC-041")
def test_an_issuer_that_serves_nonsense_is_one_that_is_away(scene):
    scene.issuer.jwks = lambda: b"<html>maintenance</html>"
    with pytest.raises(IdentityUnavailable, match="no set of keys"):
        scene.keys.load()
    assert scene.book.principal(scene.issuer.sign()) is not None


@pytest.mark.verifies("REQ-SEC-041")
@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ([], "no RSA key"),
        ([{"kid": "a", "kty": "oct", "k": "AAAA"}], "no RSA key"),
        ([{"kid": "a", "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}], "no RSA key"),
        ([{"kid": "a", "kty": "RSA", "use": "sig", "n": "AQAB", "e": "AQAB"}], "no RSA key"),
        ([{"kid": "a", "kty": "RSA", "n": "!", "e": "AQAB"}], "no set of keys"),
    ],
)
def test_a_key_set_without_a_key_that_can_be_used_is_refused(keys, why):
    with pytest.raises(IdentityUnavailable, match=why):
        issuer_keys.parse(json.dumps({"keys": keys}).encode())


@pytest.mark.verifies("REQ-SEC-041")
def test_a_key_set_with_a_name_twice_is_refused():
    keys = json.loads(Issuer().jwks())["keys"]
    with pytest.raises(IdentityUnavailable, match="twice"):
        issuer_keys.parse(json.dumps({"keys": keys * 2}).encode())


@pytest.mark.verifies("REQ-SEC-042")
def test_opaque_tokens_and_entras_are_taken_beside_each_other(scene, tmp_path):
    path = tmp_path / "tokens.json"
    token = tokens.issue(tokens.FilePlace(path), "ward-7", ["infer"], now_us=0)
    opaque = tokens.TokenFile(tokens.file_of(path), now_us=lambda: 0, failed=print)
    both = BothBooks(opaque, scene.book)
    found = [both.principal(one) for one in (token, scene.issuer.sign())]
    assert [one and one.name for one in found] == ["ward-7", f"entra.{OBJECT_ID}"]


@pytest.mark.verifies("REQ-SEC-003")
def test_attack_an_opaque_token_that_bears_the_name_of_an_entra_account(tmp_path):
    with pytest.raises(SettingInvalid):
        tokens.issue(tokens.FilePlace(tmp_path / "t.json"), entra.actor(OBJECT_ID), ["infer"], now_us=0)


@pytest.mark.verifies("REQ-SEC-044")
def test_a_book_over_secrets_that_are_too_old_is_closed_to_everybody(scene):
    stale: list[int] = []
    book = ConfirmedBook(scene.book, lambda: bool(stale))
    token = scene.issuer.sign()
    assert book.principal(token) is not None
    stale.append(1)
    with pytest.raises(SecretsUnavailable):
        book.principal(token)
