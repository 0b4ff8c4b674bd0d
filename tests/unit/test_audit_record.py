import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect
from msgspec.structs import replace

from audit import canonical, record
from audit.errors import Malformed
from tests.audit_records import KINDS, RECORDS, changed


def longest(info, pattern=None):
    """No encoding of a value of this type has more bytes."""
    if isinstance(info, inspect.Metadata):
        return longest(info.type, (info.extra or {}).get("pattern"))
    if isinstance(info, inspect.StructType):
        tag = 0 if info.tag is None else len(f'"{info.tag_field}":"{info.tag}",')
        return 2 + tag + sum(len(field.name) + 4 + longest(field.type) for field in info.fields)
    if isinstance(info, inspect.UnionType):
        return max(longest(one) for one in info.types)
    if isinstance(info, inspect.NoneType):
        return len("null")
    if isinstance(info, inspect.VarTupleType):
        assert info.max_length is not None
        return 2 + info.max_length * (longest(info.item_type) + 1)
    if isinstance(info, inspect.LiteralType):
        return max(len(json.dumps(value)) for value in info.values)
    if isinstance(info, inspect.IntType):
        return max(len(str(info.ge)), len(str(info.le)))
    assert isinstance(info, inspect.StrType)
    assert info.max_length is not None
    # Six bytes, those of an escaped control character, are the most that any character takes. A pattern that
    # lists what it admits, all of it ASCII and no quote or backslash, admits characters of one byte.
    return 2 + (6 if "[^" in pattern or "\\[" in pattern else 1) * info.max_length


@pytest.mark.verifies("REQ-LED-006")
@given(RECORDS)
def test_every_record_of_the_schema_is_read_back(entry):
    assert record.decode(record.encode(entry)) == entry


@pytest.mark.verifies("REQ-LED-006")
@given(RECORDS)
def test_every_record_is_canonical_json(entry):
    body = record.encode(entry)
    assert canonical.encode(canonical.decode(body)) == body


@pytest.mark.verifies("REQ-LED-006")
@given(RECORDS, st.data())
def test_bytes_that_are_accepted_after_a_change_are_those_that_would_be_written(entry, data):
    # The oracle is the encoder: whatever decode lets pass must be exactly what encode makes of it.
    body = bytearray(record.encode(entry))
    at = data.draw(st.integers(0, len(body) - 1))
    removed = data.draw(st.integers(0, 2))
    body[at : at + removed] = data.draw(st.sampled_from([b"", b" ", b"0", b"a", b"A", b'"', b"\n"]))
    try:
        accepted = record.decode(bytes(body))
    except Malformed:
        return
    assert record.encode(accepted) == body


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_record_of_every_kind_can_be_written(kind):
    assert longest(inspect.type_info(kind)) <= record.MAX_RECORD_BYTES


def test_a_genesis_with_the_longest_members_is_written():
    entry = record.Genesis(
        format="medai.record/1",
        event_id=record.new_event_id(),
        recorded_at_us=2**53 - 1,
        origin='"' * 256,
        verifier_key='"' * 256 + "+01234567+" + "A" * 126 + "==",
        formats=("a" * 64,) * 16,
        clock_tolerance_us=2**53 - 1,
    )
    assert record.decode(record.encode(entry)) == entry


def strings(value, path=()):
    """The path of every string in a JSON value."""
    if isinstance(value, str):
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from strings(item, (*path, name))


@pytest.mark.parametrize("suffix", ["\x00", "\n", "\x1f"], ids=["nul", "newline", "control"])
@given(entry=RECORDS)
def test_no_string_of_any_record_admits_a_control_character(suffix, entry):
    value = canonical.decode(record.encode(entry))
    for path in strings(value):
        with pytest.raises(Malformed):
            record.decode(canonical.encode(changed(value, path, lambda text: text + suffix)))


@given(RECORDS)
def test_no_string_of_any_record_may_be_empty(entry):
    value = canonical.decode(record.encode(entry))
    for path in strings(value):
        with pytest.raises(Malformed):
            record.decode(canonical.encode(changed(value, path, lambda text: "")))


SECOND_FORMS = {
    "space-after-colon": lambda body: body.replace(b'"status":', b'"status": '),
    "final-newline": lambda body: body + b"\n",
    "escaped-letter": lambda body: body.replace(b'"POST"', b'"\\u0050OST"'),
    "escaped-slash": lambda body: body.replace(b'"/infer"', b'"\\/infer"'),
    "duplicate-member": lambda body: body.replace(b'"status":200', b'"status":200,"status":200'),
    "duplicate-member-other-value": lambda body: body.replace(b'"status":200', b'"status":500,"status":200'),
    "members-swapped": lambda body: body.replace(b'"method":"POST",', b"").replace(
        b'"actor":"pacs",', b'"actor":"pacs","method":"POST",'
    ),
    "null-for-absent": lambda body: body.replace(b'"status":200', b'"status":200,"subject":null'),
    "absent-for-null": lambda body: body.replace(b'"release":null,', b""),
    "unknown-member": lambda body: body.replace(b'"status":200', b'"status":200,"zzz":1'),
    "float": lambda body: body.replace(b'"status":200', b'"status":200.0'),
    "exponent": lambda body: body.replace(b'"status":200', b'"status":2e2'),
    "integer-in-a-string": lambda body: body.replace(b'"status":200', b'"status":"200"'),
    "leading-zero": lambda body: body.replace(b'"columns":512', b'"columns":0512'),
    "beyond-safe-integer": lambda body: body.replace(b'"columns":512', b'"columns":9007199254740992'),
    "negative-count": lambda body: body.replace(b'"columns":512', b'"columns":-512'),
    "minus-zero": lambda body: body.replace(b'"clipped_ppm":0', b'"clipped_ppm":-0'),
    "ppm-above-a-million": lambda body: body.replace(b'"clipped_ppm":0', b'"clipped_ppm":1000001'),
    "capital-hex": lambda body: body.replace(b'"event_id":"3f2b8a54', b'"event_id":"3F2B8A54'),
    "uuid-without-hyphens": lambda body: body.replace(b"-1111-4c7d-9b0a-", b"11114c7d9b0a"),
    "other-format": lambda body: body.replace(b"medai.record/1", b"medai.record/2"),
    "other-kind": lambda body: body.replace(b'"kind":"prediction"', b'"kind":"request"'),
    "no-kind": lambda body: body.replace(b'"kind":"prediction",', b""),
    "no-event-id": lambda body: body.replace(b'"event_id":"3f2b8a54-1111-4c7d-9b0a-222222222222",', b""),
    "route-with-query": lambda body: body.replace(b'"/infer"', b'"/infer?patient=1"'),
    "not-utf-8": lambda body: body.replace(b'"pacs"', b'"pac\xff"'),
    "comma-missing": lambda body: body.replace(b'"release":null,', b'"release":null'),
    "reasons-with-trailing-comma": lambda body: body.replace(b'"above_threshold"]', b'"above_threshold",]'),
    "seventeen-reasons": lambda body: body.replace(b'"above_threshold"', b",".join([b'"a"'] * 17)),
    "byte-order-mark": lambda body: b"\xef\xbb\xbf" + body,
    "empty": lambda body: b"",
    "array": lambda body: b"[" + body + b"]",
    "too-large": lambda body: body + b" " * record.MAX_RECORD_BYTES,
    "deep": lambda body: b"[" * 10_000,
}


@pytest.mark.verifies("REQ-LED-006")
@pytest.mark.parametrize("mutate", SECOND_FORMS.values(), ids=SECOND_FORMS)
def test_bytes_that_the_encoder_would_not_make_are_refused(prediction, mutate):
    body = record.encode(prediction)
    assert mutate(body) != body
    with pytest.raises(Malformed):
        record.decode(mutate(body))


@pytest.mark.verifies("REQ-LED-006")
@pytest.mark.parametrize(
    "change",
    [
        {"actor": "a b"},
        {"actor": "pacs\n"},
        {"actor": ""},
        {"actor": "x" * 65},
        {"actor": "\ud800"},
        {"peer": "192.0.2.1"},
        {"method": "post"},
        {"status": 99},
        {"route": "/infer/" + "x" * 96},
        {"correlation_id": "Doe, Jane"},
        {"traceparent": "00-00-00-00"},
        {"release": ""},
        {"answer_sha256": "0" * 63},
        {"answer_sha256": "A" * 64},
        {"recorded_at_us": 1.5},
        {"recorded_at_us": float("nan")},
        {"format": "medai.record/2"},
        {"event_id": None},
    ],
    ids=str,
)
def test_a_record_outside_the_schema_is_not_written(prediction, change):
    with pytest.raises(Malformed):
        record.encode(replace(prediction, **change))


def test_a_code_that_reads_like_absence_is_not_taken_for_it(prediction):
    shared = [field for field in record.Request.__struct_fields__ if field in prediction.__struct_fields__]
    entry = record.Request(**{name: getattr(prediction, name) for name in shared}, code="None")
    with pytest.raises(Malformed):
        record.encode(entry)


def test_an_error_repeats_nothing_of_the_record(prediction):
    with pytest.raises(Malformed) as caught:
        record.encode(replace(prediction, actor="Jane Doe"))
    assert "Jane" not in str(caught.value)


def test_event_ids_are_uuids_of_version_four():
    assert {UUID(record.new_event_id()).version for _ in range(9)} == {4}


def test_the_event_id_is_stored_as_the_uuid_that_it_reads(prediction):
    assert str(record.event_uuid(prediction)) == prediction.event_id
