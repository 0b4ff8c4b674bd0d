"""External data is looked for in ONNX's own wire format, so the models here are written byte by byte."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.onnx_graph import MAX_DEPTH, refuse_external_data
from service.errors import ModelRejected

# Field numbers of onnx/onnx.proto
INSIDE = [(8, b"weights"), (9, b"\0\0\0\0")]  # TensorProto name, raw_data
BY_LOCATION = [(8, b"weights"), (14, 1)]  # data_location = EXTERNAL
BY_ENTRY = [(8, b"weights"), (13, b"\x0a\x08location\x12\x06../key")]  # external_data: location = ../key


def message(*fields):
    """A protocol buffer of (number, int or bytes) fields."""
    return b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )


def varint(value):
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def initializer(tensor):
    return message((1, 8), (7, message((5, message(*tensor)))))


def constant(tensor):
    return message((7, message((1, message((4, b"Constant"), (5, message((5, message(*tensor)))))))))


def of_a_subgraph(tensor):
    branch = message((5, message(*tensor)))
    return message((7, message((1, message((4, b"If"), (5, message((6, branch))))))))


def sparse(tensor):
    return message((7, message((15, message((1, message(*tensor)))))))


def of_a_function(tensor):
    node = message((5, message((5, message(*tensor)))))
    return message((25, message((7, node))))


def of_training(tensor):
    return message((20, message((1, message((5, message(*tensor)))))))


PLACES = [initializer, constant, of_a_subgraph, sparse, of_a_function, of_training]


@pytest.mark.verifies("REQ-INF-018")
@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_with_its_data_inside_is_taken(place):
    refuse_external_data(place(INSIDE))


@pytest.mark.verifies("REQ-INF-018")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tensor", [BY_LOCATION, BY_ENTRY])
def test_a_tensor_with_its_data_in_another_file_is_refused_wherever_it_stands(place, tensor):
    with pytest.raises(ModelRejected, match="another file"):
        refuse_external_data(place(tensor))


@pytest.mark.verifies("REQ-INF-018")
def test_subgraphs_without_end_are_refused():
    graph = b""
    for _ in range(MAX_DEPTH):
        graph = message((1, message((5, message((6, graph))))))
    with pytest.raises(ModelRejected, match="nested"):
        refuse_external_data(message((7, graph)))


@pytest.mark.verifies("REQ-INF-018")
@pytest.mark.parametrize("body", [b"\x3a", b"\x3a\x7f", b"\xff" * 11, b"\x3b\x01", b"\x39\x00"])
def test_bytes_that_are_cut_short_are_refused(body):
    with pytest.raises(ModelRejected):
        refuse_external_data(body)


@pytest.mark.verifies("REQ-INF-018")
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(body):
    with suppress(ModelRejected):
        refuse_external_data(body)
