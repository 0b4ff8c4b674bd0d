"""Refuses an ONNX file whose weights lie outside of it: its digest would not cover them.

Walks just the fields of onnx.proto (IR version 10 and earlier) through which a TensorProto can be reached, in the
protocol-buffer wire format (protobuf.dev/programming-guides/encoding). Reading it here, rather than asking ONNX
Runtime, means that nothing outside of the bytes is opened before it is refused.
"""

from collections.abc import Iterator
from typing import Final

from service.errors import ModelRejected
from traceability.marks import implements

MAX_DEPTH: Final = 32  # sub-graphs within sub-graphs
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1  # TensorProto
# message -> field -> message, from onnx/onnx.proto
_FIELDS: Final[dict[str, dict[int, str]]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Function": {7: "Node", 11: "Attribute"},
    "Training": {1: "Graph", 2: "Graph"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
}


@implements("REQ-INF-018")
def refuse_external_data(body: bytes) -> None:
    """Raises `ModelRejected` where any tensor of the model lies in another file, or `body` is no ONNX file."""
    _visit(memoryview(body), "Model", 0)


def _visit(message: memoryview, kind: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ModelRejected(f"model.onnx: nested deeper than {MAX_DEPTH}")
    for field, value in _fields(message):
        if kind == "Tensor":
            if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value == _EXTERNAL):
                raise ModelRejected("model.onnx: keeps weights in another file; save it with all weights inside")
        elif field in _FIELDS[kind] and isinstance(value, memoryview):
            _visit(value, _FIELDS[kind][field], depth + 1)


@implements("REQ-INF-018")
def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Every field: a number for varints, the bytes for length-delimited ones; fixed-width ones are skipped."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == 0:
            number, at = _varint(message, at)
            yield tag >> 3, number
            continue
        if wire == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(wire, -1)
        if length < 0 or at + length > len(message):
            raise ModelRejected("model.onnx: not an ONNX file, or cut short")
        if wire == 2:
            yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):  # at most ten bytes
        if at >= len(message):
            break
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise ModelRejected("model.onnx: not an ONNX file, or cut short")
