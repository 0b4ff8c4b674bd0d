import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import canonical
from audit.errors import Malformed

NAMES = st.from_regex("[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.verifies("REQ-LED-007")
@given(VALUES)
def test_decoding_gives_back_what_was_encoded(value):
    assert canonical.decode(canonical.encode(value)) == value


@pytest.mark.verifies("REQ-LED-007")
@given(VALUES)
def test_the_encoding_is_the_one_that_the_standard_library_writes(value):
    expected = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical.encode(value) == expected


@given(VALUES)
def test_members_in_another_order_have_the_same_encoding(value):
    assert canonical.encode(_reversed(value)) == canonical.encode(value)


@given(VALUES)
def test_any_layout_of_a_value_is_parsed_to_the_value(value):
    assert canonical.parse(json.dumps(_reversed(value), indent=2).encode()) == value


@given(VALUES)
def test_indented_bytes_of_a_composed_value_are_not_canonical(value):
    body = json.dumps([value], indent=1).encode()
    with pytest.raises(Malformed):
        canonical.decode(body)


@pytest.mark.verifies("REQ-LED-007")
@given(st.binary(max_size=40))
def test_bytes_that_are_accepted_are_those_that_would_be_written(body):
    try:
        value = canonical.decode(body)
    except Malformed:
        return
    assert canonical.encode(value) == body


def test_control_characters_are_escaped_as_rfc_8785_says():
    # RFC 8785 section 3.2.2.2: short forms where JSON has them, else lower-case \u00xx; all others as they are.
    text = "".join(map(chr, range(0x20))) + '"\\/\x7f\N{LINE SEPARATOR}\N{EURO SIGN}'
    escaped = (
        r"\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"
        r"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"
        r"\"\\/" + "\x7f\N{LINE SEPARATOR}\N{EURO SIGN}"
    )
    assert canonical.encode(text) == f'"{escaped}"'.encode()


def test_members_are_sorted_by_name():
    assert canonical.encode({"b": 1, "a_": 2, "a": 3, "a0": 4}) == b'{"a":3,"a0":4,"a_":2,"b":1}'


def test_a_tuple_is_written_as_an_array():
    assert canonical.encode({"a": (1, 2)}) == b'{"a":[1,2]}'


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        10**400,
        b"bytes",
        {1: "a number for a name"},
        {"": 1},
        {"A": 1},
        {"0a": 1},
        {"a-b": 1},
        {"a\n": 1},
        {"\N{LATIN SMALL LETTER E WITH ACUTE}": 1},
        "\ud800",
        {"a": {"b": [1, {"c": 0.5}]}},
        object(),
    ],
    ids=repr,
)
def test_a_value_outside_the_subset_has_no_encoding(value):
    with pytest.raises(Malformed):
        canonical.encode(value)


def test_the_deepest_value_allowed_is_encoded():
    assert canonical.encode(_nested(canonical.MAX_DEPTH)) == b"[" * 16 + b"1" + b"]" * 16


def test_a_value_one_level_deeper_is_refused():
    with pytest.raises(Malformed):
        canonical.encode(_nested(canonical.MAX_DEPTH + 1))


@pytest.mark.parametrize("read", [canonical.decode, canonical.parse])
def test_nesting_that_would_exhaust_the_stack_is_refused(read):
    with pytest.raises(Malformed):
        read(b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize("read", [canonical.decode, canonical.parse])
def test_more_bytes_than_the_limit_are_refused(read):
    with pytest.raises(Malformed):
        read(b'"' + b"a" * canonical.MAX_BYTES + b'"')


def test_a_value_that_would_exceed_the_limit_is_refused():
    with pytest.raises(Malformed):
        canonical.encode("a" * canonical.MAX_BYTES)


NEVER = {
    "duplicate-member": b'{"a":1,"a":1}',
    "float": b"1.5",
    "float-that-is-whole": b"1.0",
    "exponent": b"1e3",
    "minus-zero": b"-0",
    "beyond-safe-integer": b"9007199254740992",
    "integer-of-5000-digits": b"1" * 5000,
    "nan": b"NaN",
    "infinity": b"Infinity",
    "lone-surrogate-escape": b'"\\ud800"',
    "not-utf-8": b'"\xff"',
    "overlong-utf-8": b'"\xc0\xaf"',
    "surrogate-in-utf-8": b'"\xed\xa0\x80"',
    "byte-order-mark": b"\xef\xbb\xbf1",
    "raw-control-character": b'"\x01"',
    "raw-newline-in-string": b'"\n"',
    "capital-member": b'{"A":1}',
    "empty": b"",
    "truncated": b'{"a":1',
    "trailing-comma": b"[1,]",
    "two-values": b"1 2",
    "leading-zero": b"01",
    "plus-sign": b"+1",
    "single-quotes": b"{'a':1}",
    "comment": b"1/**/",
}


@pytest.mark.verifies("REQ-LED-007")
@pytest.mark.parametrize("body", NEVER.values(), ids=NEVER)
def test_decode_refuses_what_no_value_encodes_to(body):
    with pytest.raises(Malformed):
        canonical.decode(body)


@pytest.mark.verifies("REQ-LED-007")
@pytest.mark.parametrize("body", NEVER.values(), ids=NEVER)
def test_parse_refuses_what_has_no_canonical_encoding(body):
    with pytest.raises(Malformed):
        canonical.encode(canonical.parse(body))


LAYOUT = {
    "white-space": b'{"a": 1}',
    "leading-space": b" 1",
    "final-newline": b"1\n",
    "order": b'{"b":1,"a":2}',
    "escaped-slash": b'"\\/"',
    "needless-escape": b'"\\u0061"',
    "capital-hex-escape": b'"\\u001F"',
    "long-form-of-short-escape": b'"\\u000a"',
    "escaped-non-ascii": b'"\\u20ac"',
}


@pytest.mark.verifies("REQ-LED-007")
@pytest.mark.parametrize("body", LAYOUT.values(), ids=LAYOUT)
def test_decode_refuses_a_second_form_of_a_value(body):
    with pytest.raises(Malformed):
        canonical.decode(body)


@pytest.mark.parametrize("body", LAYOUT.values(), ids=LAYOUT)
def test_parse_reads_a_second_form_of_a_value(body):
    assert canonical.parse(body) == json.loads(body)


def _nested(levels):
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def _reversed(value):
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(list(value))}
    return [_reversed(item) for item in value] if isinstance(value, list) else value
