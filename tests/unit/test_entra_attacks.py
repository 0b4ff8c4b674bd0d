"""Attacks on access tokens, each by its name: none of them is taken, and what is right beside it is."""

import hmac
import json
from hashlib import sha256

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from audit import access_tokens
from audit.access_tokens import Expected
from audit.errors import TokenRefused
from tests.entra_tokens import AUDIENCE, LOGIN, NOW_S, OBJECT_ID, OTHER_TENANT, TENANT, Issuer, part

pytestmark = pytest.mark.verifies("REQ-SEC-040")

SKEW_S = 60
EXPECTED = Expected(
    issuer=f"{LOGIN}/{TENANT}/v2.0", audience=AUDIENCE, tenant=TENANT, skew_s=SKEW_S, max_token_bytes=8192
)


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture
def verify(issuer):
    """`verify(token, now_s)`: what the service makes of it."""

    def of(token, now_s=NOW_S):
        keys = {kid: key.public_key() for kid, key in issuer.keys.items()}
        return access_tokens.verify(token, keys.get, EXPECTED, now_s=now_s)

    return of


def test_the_right_token_is_taken(issuer, verify):
    found = verify(issuer.sign())
    assert (found.object_id, found.roles, found.expires_s) == (OBJECT_ID, {"medai.infer"}, NOW_S + 3600 + SKEW_S)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
def test_attack_alg_none_without_a_signature(issuer, verify, alg):
    header, claims = {"alg": alg, "typ": "JWT", "kid": issuer.newest}, issuer.claims()
    unsigned = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    for token in (f"{unsigned}.", f"{unsigned}.AAAA"):
        with pytest.raises(TokenRefused):
            verify(token)


def test_attack_key_confusion_hs256_with_the_rsa_public_key(issuer, verify):
    header = json.dumps({"alg": "HS256", "typ": "JWT", "kid": issuer.newest}).encode()
    text = f"{part(header)}.{part(json.dumps(issuer.claims()).encode())}"
    mac = hmac.digest(issuer.public_pem(), text.encode(), "sha256")
    with pytest.raises(TokenRefused, match="algorithm"):
        verify(f"{text}.{part(mac)}")


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256", "ES256", "EdDSA", "", None, ["RS256"], 256])
def test_attack_another_algorithm_than_the_issuers(issuer, verify, alg):
    token = issuer.sign_raw(json.dumps({"alg": alg, "kid": issuer.newest}).encode(), b"{}")
    with pytest.raises(TokenRefused, match="algorithm"):
        verify(token)


@pytest.mark.parametrize("audience", ["00000003-0000-0000-c000-000000000000", "", ..., [AUDIENCE], f"{AUDIENCE} "])
def test_attack_wrong_audience_of_another_service(issuer, verify, audience):
    with pytest.raises(TokenRefused, match="audience"):
        verify(issuer.sign(aud=audience))


@pytest.mark.parametrize(
    "issued_by",
    [
        f"https://sts.windows.net/{TENANT}/",
        f"{LOGIN}/{TENANT}/v2.0/",
        f"{LOGIN}/common/v2.0",
        "https://evil.example",
        ...,
    ],
)
def test_attack_wrong_issuer_of_the_token(issuer, verify, issued_by):
    with pytest.raises(TokenRefused, match="issuer"):
        verify(issuer.sign(iss=issued_by))


def test_attack_a_token_of_another_tenant(issuer, verify):
    """Signed by the same keys, as those of all tenants are."""
    other = Issuer(OTHER_TENANT)
    other.keys, other.newest = issuer.keys, issuer.newest
    with pytest.raises(TokenRefused, match="issuer"):
        verify(other.sign())
    with pytest.raises(TokenRefused, match="tenant"):
        verify(issuer.sign(tid=OTHER_TENANT))


@pytest.mark.parametrize(("late_s", "taken"), [(3599 + SKEW_S, True), (3600 + SKEW_S, False), (10**6, False)])
def test_attack_expired_token_beyond_the_skew(issuer, verify, late_s, taken):
    token = issuer.sign()
    if taken:
        assert verify(token, NOW_S + late_s).object_id == OBJECT_ID
    else:
        with pytest.raises(TokenRefused, match="expired"):
            verify(token, NOW_S + late_s)


def test_attack_not_yet_valid(issuer, verify):
    assert verify(issuer.sign(nbf=NOW_S + SKEW_S)).object_id == OBJECT_ID
    with pytest.raises(TokenRefused, match="not valid yet"):
        verify(issuer.sign(nbf=NOW_S + SKEW_S + 1))


def test_attack_issued_in_the_future(issuer, verify):
    with pytest.raises(TokenRefused, match="not valid yet"):
        verify(issuer.sign(iat=NOW_S + SKEW_S + 1))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [..., None, "1800003600", 1.8e9, True, -1, 2**60])
def test_attack_a_time_that_is_none(issuer, verify, name, value):
    with pytest.raises(TokenRefused, match=name):
        verify(issuer.sign(**{name: value}))


@pytest.mark.parametrize("header", ["jku", "x5u", "jwk", "x5c"])
def test_attack_a_key_that_the_token_brings_along(issuer, verify, header):
    """The token is signed by the attacker's key, which its header names or holds; ours is asked for by its name."""
    mine = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = {
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/chain.pem",
        "jwk": jwt.get_algorithm_by_name("RS256").to_jwk(mine.public_key(), as_dict=True),
        "x5c": ["MIIB"],
    }[header]
    with pytest.raises(TokenRefused, match="signature"):
        verify(issuer.sign(key=mine, headers={header: brought}))


@pytest.mark.parametrize("header", ["jku", "x5u"])
def test_what_a_header_names_is_not_looked_at_in_a_right_token_either(issuer, verify, header):
    assert verify(issuer.sign(headers={header: "https://evil.example/keys"})).object_id == OBJECT_ID


def test_attack_an_unknown_key(issuer, verify):
    mine = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(TokenRefused, match="not the issuer's"):
        verify(issuer.sign(kid="invented", key=mine))


@pytest.mark.parametrize("kid", [..., None, 7, "", "x" * 129, "../../etc/passwd\x00", "' OR 1=1 --"])
def test_attack_a_key_name_that_is_none(issuer, verify, kid):
    header = {"alg": "RS256", "typ": "JWT", "kid": kid}
    header = {name: value for name, value in header.items() if value is not ...}
    with pytest.raises(TokenRefused):
        verify(issuer.sign_raw(json.dumps(header).encode(), json.dumps(issuer.claims()).encode()))


def test_attack_an_oversized_token(issuer, verify):
    with pytest.raises(TokenRefused, match="larger"):
        verify(issuer.sign(groups=["x" * 40] * 300))


def test_a_token_as_large_as_is_taken_is_taken(issuer, verify):
    token = issuer.sign(note="x" * 5300)
    assert 7500 < len(token) <= 8192
    assert verify(token).object_id == OBJECT_ID


@pytest.mark.parametrize("twice", ["aud", "tid", "oid", "exp", "roles"])
def test_attack_duplicate_claims_in_a_token(issuer, verify, twice):
    claims = json.dumps(issuer.claims())
    doubled = claims[:-1] + f', "{twice}": {json.dumps(issuer.claims()[twice])}}}'
    header = json.dumps({"alg": "RS256", "typ": "JWT", "kid": issuer.newest}).encode()
    with pytest.raises(TokenRefused, match="twice"):
        verify(issuer.sign_raw(header, doubled.encode()))


def test_attack_a_header_member_twice(issuer, verify):
    header = f'{{"alg": "none", "alg": "RS256", "kid": "{issuer.newest}"}}'
    with pytest.raises(TokenRefused, match="twice"):
        verify(issuer.sign_raw(header.encode(), json.dumps(issuer.claims()).encode()))


@pytest.mark.parametrize("extension", [{"crit": ["exp"], "exp": 1}, {"b64": False, "crit": ["b64"]}, {"b64": False}])
def test_attack_critical_extensions_in_the_header(issuer, verify, extension):
    with pytest.raises(TokenRefused, match="extensions"):
        verify(issuer.sign_raw(json.dumps({"alg": "RS256", "kid": issuer.newest} | extension).encode(), b"{}"))


@pytest.mark.parametrize("kind", ["at+jwt", "JWT", "jwt"])
def test_the_types_of_access_tokens_are_taken(issuer, verify, kind):
    assert verify(issuer.sign(headers={"typ": kind})).object_id == OBJECT_ID


@pytest.mark.parametrize("kind", ["dpop+jwt", "secevent+jwt", "logout+jwt", 1])
def test_attack_a_token_of_another_type(issuer, verify, kind):
    token = issuer.sign_raw(json.dumps({"alg": "RS256", "kid": issuer.newest, "typ": kind}).encode(), b"{}")
    with pytest.raises(TokenRefused, match="type"):
        verify(token)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_attack_one_letter_changed_in_each_part(issuer, verify, at):
    parts = issuer.sign().split(".")
    parts[at] = ("A" if parts[at][10] != "A" else "B").join((parts[at][:10], parts[at][11:]))
    with pytest.raises(TokenRefused):
        verify(".".join(parts))


@pytest.mark.parametrize("name", ["oid"])
@pytest.mark.parametrize("value", [..., None, "ward-7", OBJECT_ID.upper(), "", 7, f"{OBJECT_ID}\n"])
def test_attack_a_bearer_who_is_nobody(issuer, verify, name, value):
    with pytest.raises(TokenRefused, match="whose"):
        verify(issuer.sign(**{name: value}))


@pytest.mark.parametrize("roles", ["medai.admin", {"medai.admin": 1}, [1], [None], None])
def test_attack_roles_that_are_no_list_of_words(issuer, verify, roles):
    with pytest.raises(TokenRefused, match="roles"):
        verify(issuer.sign(roles=roles))


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b'{"a":NaN}', b"[" * 2000])
def test_attack_a_part_that_is_no_object(issuer, verify, body):
    header = json.dumps({"alg": "RS256", "kid": issuer.newest}).encode()
    for token in (issuer.sign_raw(body, b"{}"), issuer.sign_raw(header, body)):
        with pytest.raises(TokenRefused):
            verify(token)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "a.b.c\n", "é.é.é", "a..c", "====.b.c"])
def test_attack_what_is_no_token_at_all(verify, token):
    with pytest.raises(TokenRefused):
        verify(token)


def test_a_refusal_says_nothing_of_the_token(issuer, verify):
    token = issuer.sign(aud="secret-audience", oid="99999999-aaaa-4bbb-8ccc-dddddddddddd")
    with pytest.raises(TokenRefused) as raised:
        verify(token)
    said = repr(raised.value)
    assert not any(word in said for word in (*token.split("."), "secret-audience", "99999999", sha256(b"").hexdigest()))
