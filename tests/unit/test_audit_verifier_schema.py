"""The schema in the stand-alone verifier and the structs of `audit.record` are two texts of one law."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from audit import canonical, record, verifier
from audit.errors import Malformed
from tests.audit_records import KINDS, RECORDS, changed

BY_KIND = {str(kind.__struct_config__.tag): kind for kind in KINDS}
VALUES: list[object] = [None, True, False, 0, -1, 99, 600, 1_000_001, 2**53 - 1, "", "a", "A b", "0" * 400, [], {}]
OTHERS = st.sampled_from(VALUES)


def as_recorded(info, pattern=None):
    """A type of `audit.record`, in terms that both schemas have."""
    match info:
        case inspect.Metadata():
            return as_recorded(info.type, (info.extra or {}).get("pattern"))
        case inspect.StructType():
            return {
                field.name + ("" if field.required else "?"): as_recorded(
                    field.type if field.required else present(field.type)
                )
                for field in info.fields
            }
        case inspect.UnionType():
            return ("OrNull", as_recorded(present(info)))
        case inspect.VarTupleType():
            return ("ListOf", as_recorded(info.item_type), info.max_length)
        case inspect.LiteralType():
            return ("OneOf", sorted(map(str, info.values)))
        case inspect.IntType():
            return ("Number", info.ge, info.le)
        case inspect.StrType():
            return ("Text", of_value(pattern), info.min_length, info.max_length)
    raise TypeError(info)


def present(union):
    (kind,) = (one for one in union.types if not isinstance(one, inspect.NoneType))
    return kind


def of_value(pattern):
    """A pattern of `audit.record` is of a string as it stands encoded; this is the same one of its value."""
    return re.sub(r'\(\?:\[\^"\\\\(.+?)\]\|\\\\\["\\\\\]\)', r"[^\1]", pattern)


def as_verified(shape):
    """A shape of the verifier, in the same terms."""
    match shape:
        case dict():
            return {name: as_verified(one) for name, one in shape.items()}
        case verifier.OneOf():
            return ("OneOf", sorted(shape.words))
        case tuple():
            return (type(shape).__name__, *map(as_verified, shape))
    return shape


def is_taken(judge, body, refusal):
    try:
        judge(body)
    except refusal:
        return False
    return True


def places(value, path=()):
    """The path of every value in a JSON value but the outermost."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*path, name)
        yield from places(item, (*path, name))


def test_both_know_the_same_kinds():
    assert verifier.RECORDS.keys() == BY_KIND.keys()


@pytest.mark.parametrize("kind", BY_KIND)
def test_a_kind_has_the_same_members_patterns_and_bounds_in_both(kind):
    ours = as_recorded(inspect.type_info(BY_KIND[kind]))
    assert as_verified({**verifier.EVERY_RECORD, **verifier.RECORDS[kind]}) == ours


def test_both_have_the_same_limit_of_a_record():
    assert verifier.MAX_RECORD_BYTES == record.MAX_RECORD_BYTES


@pytest.mark.verifies("REQ-AUD-006")
@given(RECORDS)
def test_every_record_that_can_be_written_is_in_the_schema_of_the_verifier(entry):
    assert verifier.check_record(record.encode(entry)) == entry.__struct_config__.tag


@pytest.mark.verifies("REQ-AUD-006")
@given(RECORDS, st.data())
def test_a_record_with_one_value_replaced_is_taken_by_both_or_by_neither(entry, data):
    value = canonical.decode(record.encode(entry))
    path = data.draw(st.sampled_from(list(places(value))))
    body = canonical.encode(changed(value, path, lambda old: data.draw(OTHERS)))
    assert is_taken(verifier.check_record, body, verifier.Broken) is is_taken(record.decode, body, Malformed)


@pytest.mark.verifies("REQ-AUD-006")
@given(RECORDS, st.data())
def test_a_record_with_one_string_lengthened_is_taken_by_both_or_by_neither(entry, data):
    value = canonical.decode(record.encode(entry))
    strings = [path for path in places(value) if isinstance(at(value, path), str)]
    suffix = data.draw(st.sampled_from(["a", "0", "A", "-", ":", "\n", "\x00", '"', "\\", "=", "+", "\N{EM DASH}"]))
    body = canonical.encode(changed(value, data.draw(st.sampled_from(strings)), lambda old: old + suffix))
    assert is_taken(verifier.check_record, body, verifier.Broken) is is_taken(record.decode, body, Malformed)


@pytest.mark.verifies("REQ-AUD-006")
@given(RECORDS, st.data())
def test_a_record_with_one_member_removed_is_taken_by_both_or_by_neither(entry, data):
    value = canonical.decode(record.encode(entry))
    *outer, name = data.draw(st.sampled_from([path for path in places(value) if isinstance(path[-1], str)]))
    body = canonical.encode(changed(value, outer, lambda old: {one: old[one] for one in old if one != name}))
    assert is_taken(verifier.check_record, body, verifier.Broken) is is_taken(record.decode, body, Malformed)


@pytest.mark.verifies("REQ-AUD-006")
def test_a_member_at_fault_is_named_and_its_value_is_not_repeated(prediction):
    value = canonical.decode(record.encode(prediction))
    body = canonical.encode(changed(value, ("finding", "label"), lambda old: "Doe, Jane"))
    with pytest.raises(verifier.Broken, match=r"finding\.label is not a string") as caught:
        verifier.check_record(body)
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("added", [0, 1])
def test_a_record_is_too_large_from_its_first_byte_beyond_the_limit(added):
    with pytest.raises(verifier.Broken, match=["not JSON", "but a record has at most 16384"][added]):
        verifier.check_record(b" " * (verifier.MAX_RECORD_BYTES + added))


def at(value, path):
    for name in path:
        value = value[name]
    return value
