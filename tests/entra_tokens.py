"""A local issuer: keys, tokens as Microsoft Entra makes them, and tokens as attackers do."""

import base64
import json

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TENANT = "11111111-2222-4333-8444-555555555555"
OTHER_TENANT = "99999999-2222-4333-8444-555555555555"
AUDIENCE = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
OBJECT_ID = "01234567-89ab-4cde-8f01-23456789abcd"
NOW_S = 1_800_000_000
LOGIN = "https://login.microsoftonline.com"


class Issuer:
    """One tenant's issuer. `keys` are those that it serves; `sign` uses the newest unless told otherwise."""

    def __init__(self, tenant=TENANT, authority=LOGIN):
        self.tenant, self.authority = tenant, authority
        self.keys = {}
        self.rotate("first")

    def rotate(self, kid, *, keep=True):
        if not keep:
            self.keys.clear()
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.newest = kid

    def jwks(self):
        """The key set (RFC 7517) as bytes."""
        return json.dumps({"keys": [_jwk(kid, key.public_key()) for kid, key in self.keys.items()]}).encode()

    def claims(self, **changes):
        made = {
            "iss": f"{self.authority}/{self.tenant}/v2.0",
            "aud": AUDIENCE,
            "tid": self.tenant,
            "oid": OBJECT_ID,
            "sub": OBJECT_ID,
            "roles": ["medai.infer"],
            "ver": "2.0",
            "iat": NOW_S - 60,
            "nbf": NOW_S - 60,
            "exp": NOW_S + 3600,
        }
        return {name: value for name, value in (made | changes).items() if value is not ...}

    def sign(self, *, kid=None, headers=None, key=None, **changes):
        kid = kid or self.newest
        return jwt.encode(
            self.claims(**changes), key or self.keys[kid], algorithm="RS256", headers={"kid": kid, **(headers or {})}
        )

    def sign_raw(self, header, payload):
        """Whatever bytes, signed by the newest key."""
        text = f"{part(header)}.{part(payload)}"
        signature = jwt.get_algorithm_by_name("RS256").sign(text.encode(), self.keys[self.newest])
        return f"{text}.{part(signature)}"

    def public_pem(self):
        return (
            self.keys[self.newest]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )


def part(body):
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _jwk(kid, key):
    numbers = key.public_numbers()
    return {
        "kid": kid, "kty": "RSA", "use": "sig", "e": _number(numbers.e), "n": _number(numbers.n),
        "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0", "x5c": ["none that anybody reads"],
    }  # fmt: skip


def _number(value):
    return part(value.to_bytes((value.bit_length() + 7) // 8))
