"""DSSE envelopes: the protocol's own example, and what must not open."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sbom import dsse
from sbom.errors import EnvelopeInvalid

pytestmark = pytest.mark.verifies("REQ-REL-002")

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PAYLOAD = b'{"hello":"world"}'


@pytest.fixture
def envelope():
    return dsse.sign(PAYLOAD, dsse.IN_TOTO, [KEY])


def test_what_is_signed_is_the_encoding_of_the_protocols_example():
    # secure-systems-lab/dsse, protocol.md: PAE("http://example.com/HelloWorld", "hello world")
    assert dsse.encoded("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_envelope_opens_with_the_key_that_signed_it(envelope):
    assert dsse.open(envelope, [OTHER.public_key(), KEY.public_key()]) == dsse.Opened(
        payload=PAYLOAD, signed_by=(dsse.key_id(KEY.public_key()),)
    )


def test_the_same_payload_and_key_give_the_same_envelope(envelope):
    assert dsse.sign(PAYLOAD, dsse.IN_TOTO, [KEY]) == envelope


def test_each_of_two_signers_is_named():
    envelope = dsse.sign(PAYLOAD, dsse.IN_TOTO, [KEY, OTHER])
    opened = dsse.open(envelope, [KEY.public_key(), OTHER.public_key()])
    assert opened.signed_by == (dsse.key_id(KEY.public_key()), dsse.key_id(OTHER.public_key()))


def test_a_key_id_that_lies_changes_nothing(envelope):
    changed = json.loads(envelope)
    changed["signatures"][0]["keyid"] = dsse.key_id(OTHER.public_key())
    with pytest.raises(EnvelopeInvalid, match="no trusted key"):
        dsse.open(json.dumps(changed).encode(), [OTHER.public_key()])


def test_base64_for_urls_is_read_as_well(envelope):
    changed = json.loads(envelope)
    signature = base64.b64decode(changed["signatures"][0]["sig"])
    changed["signatures"][0]["sig"] = base64.urlsafe_b64encode(signature).decode()
    assert dsse.open(json.dumps(changed).encode(), [KEY.public_key()]).payload == PAYLOAD


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made.update(payload=base64.b64encode(b'{"hello":"World"}').decode()),
        lambda made: made.update(payloadType="application/json"),
        lambda made: made.update(payload="*"),
        lambda made: made.update(signatures=[]),
        lambda made: made["signatures"][0].update(sig=""),
        lambda made: made["signatures"][0].update(sig=base64.b64encode(bytes(64)).decode()),
        lambda made: made.pop("payload"),
        lambda made: made.update(signatures=made["signatures"] * 65),
    ],
    ids=["payload", "type", "not base64", "no signature", "empty signature", "zeros", "no payload", "too many"],
)
def test_an_envelope_that_was_changed_does_not_open(envelope, spoil):
    made = json.loads(envelope)
    spoil(made)
    with pytest.raises(EnvelopeInvalid):
        dsse.open(json.dumps(made).encode(), [KEY.public_key()])


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"{"])
def test_what_is_no_envelope_is_refused_by_name(text):
    with pytest.raises(EnvelopeInvalid, match="not a DSSE envelope"):
        dsse.open(text, [KEY.public_key()])
