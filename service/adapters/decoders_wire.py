"""What passes between this process and a decoding child, version 1: over two pipes, never pickled.

A job is a length and a msgpack `CompressedFrame`. An answer is a length, a msgpack `Answer` and, where it is `ok`,
exactly `pixel_bytes` bytes of samples. The parent believes nothing of an answer that it does not check against
the layout it asked for.
"""

import struct
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from service.adapters.images_dicom import CompressedFrame
from service.domain.messages import Array
from traceability.marks import implements

LENGTH: Final = struct.Struct(">L")
MAX_ANSWER_BYTES: Final = 4096
READY: Final = b"medai.decoder/1\n"

_DTYPES: Final = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4")
_encoder = msgspec.msgpack.Encoder()
_jobs = msgspec.msgpack.Decoder(CompressedFrame)


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the frame was decoded, and what follows if it was."""

    ok: bool
    dtype: str = ""
    pixel_bytes: int = 0


_answers = msgspec.msgpack.Decoder(Answer)


@implements("REQ-INF-032")
def encode_job(job: CompressedFrame) -> bytes:
    return _encoder.encode(job)


def decode_job(message: bytes) -> CompressedFrame:
    return _jobs.decode(message)


def encode_answer(samples: Array | None) -> bytes:
    """The answer for samples, or for None, which says that there are none."""
    if samples is None:
        answer = Answer(ok=False)
    else:
        answer = Answer(ok=True, dtype=samples.dtype.str, pixel_bytes=samples.nbytes)
    return _encoder.encode(answer)


@implements("REQ-INF-032")
def empty_samples(message: bytes, job: CompressedFrame) -> Array | None:
    """An array to read the samples into, None where the child has none. ValueError where the answer is not one."""
    answer = _answers.decode(message)
    if not answer.ok:
        return None
    if answer.dtype not in _DTYPES:
        raise ValueError("not a sample type")
    layout = job.layout
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    dtype = np.dtype(answer.dtype)
    if answer.pixel_bytes != layout.rows * layout.columns * layout.samples * dtype.itemsize:
        raise ValueError("not the samples asked for")
    return np.empty(shape, dtype)
