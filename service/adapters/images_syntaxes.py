"""The transfer syntaxes that are read, and the decoder of each: chosen here, never by pydicom's own order."""

from typing import Final

from pydicom import config
from pydicom.uid import UID

from traceability.marks import implements

NATIVE: Final = frozenset(
    {
        "1.2.840.10008.1.2",  # Implicit VR Little Endian
        "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
        "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
        "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    }
)
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
RLE: Final = "1.2.840.10008.1.2.5"
JPEG_LOSSLESS: Final = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
JPEG_LS: Final = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000: Final = frozenset({"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"})

PLUGINS: Final = {
    RLE: "pydicom",
    "1.2.840.10008.1.2.4.50": "pillow",  # JPEG Baseline (Process 1)
    "1.2.840.10008.1.2.4.57": "imagecodecs",  # JPEG Lossless (Process 14)
    "1.2.840.10008.1.2.4.70": "imagecodecs",  # JPEG Lossless (Process 14, Selection Value 1)
    "1.2.840.10008.1.2.4.80": "pyjpegls",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81": "pyjpegls",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90": "pillow",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91": "pillow",  # JPEG 2000
}
"""Encapsulated transfer syntaxes and the pydicom plugin that decodes each, in a child process."""


@implements("REQ-INF-029")
def known_name(uid: str) -> str | None:
    """The UID with its name if DICOM's dictionary has it as a transfer syntax: nothing else may be repeated."""
    known = UID(uid, config.IGNORE)  # otherwise it warns, with the value
    return f"{uid} ({known.name})" if known.type == "Transfer Syntax" else None
