"""FIPS 204 as the stand-alone verifier reads it, against the implementation that signs."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from audit import verifier

SEEDS = st.binary(min_size=32, max_size=32)
KEY = MLDSA44PrivateKey.from_seed_bytes(bytes(32))
PUBLIC = KEY.public_key().public_bytes_raw()
MESSAGE = b"a message"
SIGNED = KEY.sign(MESSAGE)
HINTS = 2420 - 84  # FIPS 204 algorithm 26: where the encoded hints begin, 80 positions and 4 ends


def openssl(public, message, signature):
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@settings(max_examples=60)
@given(SEEDS, st.binary(max_size=200))
def test_what_the_other_implementation_signs_verifies(seed, message):
    key = MLDSA44PrivateKey.from_seed_bytes(seed)
    assert verifier.ml_dsa_verify(key.public_key().public_bytes_raw(), message, key.sign(message))


@settings(max_examples=150)
@given(SEEDS, st.integers(0, 8 * 2420 - 1))
def test_a_signature_with_any_bit_flipped_does_not_verify(seed, bit):
    key = MLDSA44PrivateKey.from_seed_bytes(seed)
    changed = bytearray(key.sign(MESSAGE))
    changed[bit // 8] ^= 1 << bit % 8
    assert not verifier.ml_dsa_verify(key.public_key().public_bytes_raw(), MESSAGE, bytes(changed))


@settings(max_examples=60)
@given(st.integers(0, 8 * 1312 - 1))
def test_a_public_key_with_any_bit_flipped_does_not_verify(bit):
    changed = bytearray(PUBLIC)
    changed[bit // 8] ^= 1 << bit % 8
    assert not verifier.ml_dsa_verify(bytes(changed), MESSAGE, SIGNED)


@given(st.binary(max_size=40))
def test_another_message_does_not_verify(message):
    assume(message != MESSAGE)
    assert not verifier.ml_dsa_verify(PUBLIC, message, SIGNED)


@settings(max_examples=150)
@given(st.integers(HINTS, 2419), st.integers(0, 255))
def test_hints_with_any_byte_changed_are_judged_as_the_other_implementation_does(at, value):
    changed = SIGNED[:at] + bytes([value]) + SIGNED[at + 1 :]
    assert verifier.ml_dsa_verify(PUBLIC, MESSAGE, changed) is openssl(PUBLIC, MESSAGE, changed)


@settings(max_examples=40)
@given(st.binary(min_size=84, max_size=84), st.binary(min_size=2304, max_size=2304))
def test_arbitrary_signatures_do_not_verify(hints, responses):
    assert not verifier.ml_dsa_verify(PUBLIC, MESSAGE, SIGNED[:32] + responses + hints)


def with_hints(positions, ends):
    return SIGNED[:HINTS] + bytes(positions).ljust(80, b"\0") + bytes(ends)


@pytest.mark.parametrize(
    "positions, ends",
    [
        ([2, 1], [2, 2, 2, 2]),
        ([1, 1], [2, 2, 2, 2]),
        ([1, 2, 3], [2, 2, 2, 2]),
        ([1, 2], [2, 1, 2, 2]),
        (range(80), [81, 81, 81, 81]),
        (range(80), [80, 80, 80, 255]),
    ],
    ids=["falling", "twice", "more-than-counted", "ends-falling", "end-beyond-omega", "last-end-beyond-omega"],
)
def test_hints_that_are_not_encoded_in_their_one_form_are_none(positions, ends):
    assert verifier.unpack_hints(with_hints(positions, ends)[HINTS:]) is None


def test_hints_in_their_one_form_are_positions_row_by_row():
    assert verifier.unpack_hints(with_hints([3, 200, 0], [2, 2, 3, 3])[HINTS:]) == [{3, 200}, set(), {0}, set()]


def test_a_signature_whose_hints_are_in_another_order_is_another_signature():
    ends = SIGNED[-4:]
    first = next(row for row in range(4) if ends[row] - (ends[row - 1] if row else 0) > 1)
    at = HINTS + (ends[first - 1] if first else 0)
    swapped = SIGNED[:at] + SIGNED[at + 1 : at + 2] + SIGNED[at : at + 1] + SIGNED[at + 2 :]
    assert not verifier.ml_dsa_verify(PUBLIC, MESSAGE, swapped)


@pytest.mark.parametrize("length", [0, 1, 2419, 2421])
def test_a_signature_of_another_length_does_not_verify(length):
    assert not verifier.ml_dsa_verify(PUBLIC, MESSAGE, SIGNED.ljust(length, b"\0")[:length])


@pytest.mark.parametrize("length", [0, 1311, 1313])
def test_a_public_key_of_another_length_does_not_verify(length):
    assert not verifier.ml_dsa_verify(PUBLIC.ljust(length, b"\0")[:length], MESSAGE, SIGNED)


def test_a_signature_in_a_context_does_not_verify():
    assert not verifier.ml_dsa_verify(PUBLIC, MESSAGE, KEY.sign(MESSAGE, b"context"))


def test_a_response_at_its_bound_does_not_verify():
    # FIPS 204 algorithm 8, line 13: the norm of z stays below gamma1 - beta; 0 encodes gamma1 itself.
    assert not verifier.ml_dsa_verify(PUBLIC, MESSAGE, SIGNED[:32] + bytes(3) + SIGNED[35:])


@given(st.lists(st.integers(0, verifier.Q - 1), min_size=256, max_size=256))
def test_the_transform_is_undone_by_its_inverse(polynomial):
    assert verifier.inverse_ntt(verifier.ntt(polynomial)) == polynomial


def test_the_challenge_has_as_many_ones_as_the_standard_says():
    found = verifier.sample_challenge(hashlib.sha256(b"seed").digest())
    assert (len(found), sum(map(abs, found)), set(found)) == (256, 39, {-1, 0, 1})
