"""Access tokens of an issuer (JWT, RFC 7519), verified by RFC 8725: which key and which algorithm is ours to say.

The steps, in order; each refusal names its step and never repeats anything of the token:
  1. the form: three parts of base64url, at most `max_token_bytes`; header and claims are objects without duplicates
  2. the algorithm is one that we allow, whatever the header asks for (RFC 8725 section 3.1); no critical extensions
  3. the key is the issuer's own of that `kid`: `jku`, `x5u`, `jwk` and `x5c` in a header name keys and are not read
  4. the signature
  5. issuer, audience, tenant (`iss`, `aud`, `tid`); a token for somebody else is no token (section 3.8, 3.9)
  6. the time: `exp`, `nbf` and `iat`, with the skew that clocks are allowed
  7. who it is: the object id (`oid`), which within a tenant is one account's for ever and nobody's name

What is returned is true of the token as long as its key is the issuer's and its time is not over.
"""

import base64
import json
import re
from collections.abc import Callable
from typing import Any, Final, Never

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Struct

from audit.errors import TokenRefused
from traceability.marks import implements

ALGORITHMS: Final = ("RS256",)
"""What the issuer signs with. An HMAC is never among them: its key would be the public one (RFC 8725 section 2.1)."""
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KID: Final = re.compile(r"[A-Za-z0-9_+/=.-]{1,128}")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_LATEST_S: Final = 2**40  # beyond any time that is meant, and within an integer that computes

FindKey = Callable[[str], RSAPublicKey | None]
"""The issuer's key of this `kid`; None where it has none."""


class Expected(Struct, frozen=True, kw_only=True):
    """What a token has to say to be one for us."""

    issuer: str
    audience: str
    tenant: str
    skew_s: int
    max_token_bytes: int


class Claims(Struct, frozen=True, kw_only=True):
    """What a verified token says of its bearer."""

    object_id: str
    roles: frozenset[str]
    expires_s: int
    """With the skew: from then on it is refused."""


def looks_like_one(token: str) -> bool:
    """Whether `token` has the form of a JWT; an opaque token of ours never has."""
    return token.count(".") == 2


@implements("REQ-SEC-040")
def key_id(token: str, expected: Expected) -> str:
    """Which of the issuer's keys the token asks for. Raises `TokenRefused`: steps 1 and 2."""
    if len(token) > expected.max_token_bytes:
        _refuse("it is larger than is taken")
    if _FORM.fullmatch(token) is None:
        _refuse("it is not three parts of base64url")
    header = _object(token.partition(".")[0])
    if header.get("alg") not in ALGORITHMS:
        _refuse("its algorithm is not one that is allowed")
    if "crit" in header or "b64" in header:
        _refuse("it asks for extensions")
    if not isinstance(kind := header.get("typ", "JWT"), str) or kind.lower() not in _TYPES:
        _refuse("it is of another type")
    kid = header.get("kid")
    if not isinstance(kid, str) or _KID.fullmatch(kid) is None:
        _refuse("it names no key")
    return kid


@implements("REQ-SEC-040")
def verify(token: str, find_key: FindKey, expected: Expected, *, now_s: float) -> Claims:
    """What the token says. Raises `TokenRefused` at the first step that it does not pass."""
    key = find_key(key_id(token, expected))
    if key is None:
        _refuse("its key is not the issuer's")
    try:
        # Only the signature is the library's to judge here; what it then says is read below, and more strictly.
        jwt.decode_complete(token, key, algorithms=list(ALGORITHMS), options=_SIGNATURE_ALONE)
    except jwt.PyJWTError as error:
        raise TokenRefused("access token: its signature does not verify") from error
    claims = _object(token.split(".")[1])
    if claims.get("iss") != expected.issuer:
        _refuse("it is of another issuer")
    if claims.get("aud") != expected.audience:  # a list of audiences is none of this issuer's forms
        _refuse("it is for another audience")
    if claims.get("tid") != expected.tenant:
        _refuse("it is of another tenant")
    expires_s = _in_time(claims, now_s, expected.skew_s)
    object_id = claims.get("oid")
    if not isinstance(object_id, str) or _ID.fullmatch(object_id) is None:
        _refuse("it does not say whose it is")
    return Claims(object_id=object_id, roles=_roles(claims), expires_s=expires_s)


_SIGNATURE_ALONE: Final[Any] = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False,
    "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip


def _in_time(claims: dict[str, Any], now_s: float, skew_s: int) -> int:
    """When it ends, with the skew."""
    expires, begins, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    if expires + skew_s <= now_s:
        _refuse("it has expired")
    if begins - skew_s > now_s or issued - skew_s > now_s:
        _refuse("it is not valid yet")
    return expires + skew_s


def _time(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 <= value < _LATEST_S:  # type(): True is an int, too
        _refuse(f"it has no time in {name}")
    return value


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    roles = claims.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        _refuse("its roles are not a list of words")
    return frozenset(roles)


def _object(part: str) -> dict[str, Any]:
    """The JSON object in a part. A member given twice is refused: two readers could each believe another one."""
    try:
        body = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise TokenRefused("access token: a part of it is not a JSON object") from error
    if not isinstance(value, dict):
        _refuse("a part of it is not a JSON object")
    return value


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) != len(members):
        _refuse("a member is in it twice")
    return made


def _no_constant(_: str) -> Never:
    raise ValueError("NaN and infinity are not JSON")


def _refuse(why: str) -> Never:
    raise TokenRefused(f"access token: {why}")
