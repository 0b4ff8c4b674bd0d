from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import identity
from service.errors import RequestInvalid

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"  # W3C Trace Context section 3.2.3


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_uuid7_carries_its_time_its_version_and_its_variant(now_ms, random):
    made = UUID(identity.uuid7(now_ms=now_ms, random=random))
    assert (made.int >> 80, made.version, made.variant) == (now_ms, 7, "specified in RFC 4122")


def test_a_uuid7_is_the_one_that_rfc_9562_shows():
    # RFC 9562 appendix A.6: rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    random = bytes.fromhex("0cc3" + "18c4dc0c0c07398f")
    assert identity.uuid7(now_ms=0x017F22E279B0, random=random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(
    "text",
    [
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01arz3ndektsv4rrffq69g5fav",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ],
)
def test_a_well_formed_correlation_id_is_taken_unchanged(text):
    assert identity.correlation_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mustermann^Erika",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",  # more than 128 bits
        "01ARZ3NDEKTSV4RRFFQ69G5FAI",  # I is no Crockford digit
        "017f22e279b0-7cc3-98c4-dc0c0c07398f",
        "4bf92f3577b34da6a3ce929d0e0e473",
        "4bf92f3577b34da6a3ce929d0e0e4736\n",
        "٤bf92f3577b34da6a3ce929d0e0e4736",
    ],
)
def test_any_other_correlation_id_is_not_taken(text):
    assert identity.correlation_id(text) is None


def test_a_well_formed_traceparent_is_taken_unchanged():
    assert identity.traceparent(TRACE) == TRACE


@pytest.mark.parametrize(
    "text",
    [
        TRACE.upper(),
        TRACE + "-00",
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
        TRACE[:-1],
        TRACE + "\n",
    ],
)
def test_any_other_traceparent_is_not_taken(text):
    assert identity.traceparent(text) is None


@given(st.binary(min_size=24, max_size=24).filter(lambda each: any(each[:16]) and any(each[16:])))
def test_a_traceparent_of_our_own_is_well_formed(random):
    made = identity.new_traceparent(random)
    assert identity.traceparent(made) == made


def test_a_model_may_be_named_without_a_version():
    assert identity.model_reference("ct-lesion-demo") == identity.ModelReference(name="ct-lesion-demo", version=None)


def test_a_model_may_be_named_with_its_version():
    assert identity.model_reference("a.b_c@1.10.0") == identity.ModelReference(name="a.b_c", version="1.10.0")


@pytest.mark.parametrize(
    "text", ["", "@1", "a@", "a@latest", "a@1.", "../a", "a b", "a@1@2", "a" * 65, "a\n", "a@1.2.3.4.5"]
)
def test_any_other_model_reference_is_refused(text):
    with pytest.raises(RequestInvalid):
        identity.model_reference(text)


def test_versions_are_ordered_by_their_numbers():
    assert sorted(["1.10", "1.9.3", "2", "1.9"], key=identity.version_order) == ["1.9", "1.9.3", "1.10", "2"]


def test_a_version_does_not_change_by_trailing_zeros():
    assert identity.version_order("1.0.0") == identity.version_order("1")
