"""JPEG Lossless (ITU-T T.81 process 14, any selection value) as a decoding plugin for pydicom.

None of pydicom's own plugins that are installed reads it: docs/decisions/jpeg-lossless.md says why imagecodecs
does. The names that pydicom asks a plugin module for are `is_available` and `DECODER_DEPENDENCIES`.
"""

from typing import Final

import numpy as np
from imagecodecs import jpeg8_decode, jpegsof3_decode  # by name: they load their libraries now, not when called
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

DECODER_DEPENDENCIES: Final = {JPEGLossless: ("imagecodecs",), JPEGLosslessSV1: ("imagecodecs",)}


def is_available(uid: str) -> bool:
    return uid in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """The frame's samples by pixel, in 8 bits up to that precision and in 16 above, which the runner is told.

    Two decoders have to agree. libjpeg-turbo goes on with made-up samples where the data end early; jpegsof3 refuses
    then, but leaves samples as they happened to be in memory where components are missing. Raises ValueError.
    """
    samples = jpeg8_decode(source)
    again = jpegsof3_decode(source)
    if samples.dtype not in (np.uint8, np.uint16) or samples.dtype != again.dtype or not np.array_equal(samples, again):
        raise ValueError("not a JPEG Lossless image, or a damaged one")
    runner.set_option("bits_allocated", 8 * samples.dtype.itemsize)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    plain: bytes = samples.tobytes()
    return plain
