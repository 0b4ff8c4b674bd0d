"""What pydicom itself reads of the images that it bundles, and the rule of their digest, written down a second time."""

import io
import logging
import warnings
from functools import cache
from hashlib import sha256

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_color_lut

from tests.image_corpus import BUNDLED, bundled


@cache
def readable() -> dict[str, np.ndarray]:
    """Every bundled image that pydicom can decode: its name, and its frames as [frames, rows, columns(, 3)]."""
    logging.getLogger("pydicom").disabled = True
    references = {name: _frames(name) for name, _ in bundled()}
    return {name: frames for name, frames in references.items() if frames is not None}


def with_modality(name: str) -> bytes:
    """The bundled file, as it is where it names a modality; else with one: no card admits what names none."""
    body = (BUNDLED / name).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(io.BytesIO(body), force=True)
        if ds.get("Modality"):
            return body
        ds.Modality = "OT"
        buffer = io.BytesIO()
        ds.save_as(buffer)
    return buffer.getvalue()


def digest(frame: np.ndarray) -> str:
    """SHA-256 of one frame's samples: row by row from the top left, of a pixel red, green, blue; each sample in as
    many bytes as Bits Allocated needs (a palette's: as its entries need), the least significant first."""
    return sha256(frame.astype(frame.dtype.newbyteorder("<")).tobytes(order="C")).hexdigest()


def _frames(name: str) -> np.ndarray | None:
    """pydicom's own pixels with colour as RGB, all frames; None where it cannot say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(BUNDLED / name, force=True)
            pixels = ds.pixel_array
            if ds.PhotometricInterpretation == "PALETTE COLOR":
                pixels = apply_color_lut(pixels, ds)
        except Exception:  # noqa: BLE001  # it raises nearly anything
            return None
    frames = int(ds.get("NumberOfFrames") or 1)
    return pixels if frames > 1 else pixels[np.newaxis]
