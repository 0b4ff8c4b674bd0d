"""Images for tests: every file that pydicom bundles, small files for each transfer syntax, and mutants of them.

Everything is synthetic or bundled with pydicom; nothing is downloaded. `mutants` depends on its seed alone.
"""

import io
import random
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import jpeg_ls
import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import RLELosslessEncoder

from service.domain.messages import Limits, MediaType
from tests.image_encoders import jpeg_lossless

BUNDLED = Path(pydicom.__file__).parent / "data"
NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
LOSSLESS = (uid.RLELossless, uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless)
LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGLSNearLossless, uid.JPEG2000)
LIMITS = Limits(max_pixels=4_000_000, max_frames=1000, max_inflated_bytes=32 << 20, deadline_ms=10_000)

Seed = tuple[str, MediaType, bytes]
"""Name, declared type and bytes of an image to begin from."""


def bundled() -> list[tuple[str, bytes]]:
    """Name and bytes of everything that pydicom bundles beside its code, images or not."""
    files = sorted(path for path in BUNDLED.rglob("*") if path.is_file() and not path.name.endswith((".py", ".pyc")))
    return [(path.relative_to(BUNDLED).as_posix(), path.read_bytes()) for path in files]


def phantom(rows: int = 24, columns: int = 31, *, bits: int = 12) -> np.ndarray:
    """A gradient with a disc: every bit is used, and no row or column is like its neighbour."""
    y, x = np.mgrid[:rows, :columns]
    disc = ((y - rows / 2) ** 2 + (x - columns / 2) ** 2 < (rows / 4) ** 2) * (1 << (bits - 2))
    values = (y * 37 + x * 11) % (1 << (bits - 1)) + disc
    return values.astype(np.uint16 if bits > 8 else np.uint8)


def colour(rows: int = 24, columns: int = 31) -> np.ndarray:
    """Three different 8-bit channels."""
    grey = phantom(rows, columns, bits=8)
    return np.stack([grey, grey[::-1], 255 - grey], axis=-1)


def data_set(pixels: np.ndarray, *, bits: int) -> Dataset:
    """A CT-like data set around [rows, columns], [rows, columns, 3] or [frames, rows, columns, 1 or 3]."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = uid.CTImageStorage, "1.2.826.0.1.3680043.8.498.1"
    ds.StudyInstanceUID, ds.PatientID, ds.Modality = "1.2.826.0.1.3680043.8.498.2", "SYNTHETIC-1", "CT"
    samples = 1 if pixels.ndim == 2 else pixels.shape[-1]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = samples, "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        ds.PlanarConfiguration = 0
    if pixels.ndim == 4:
        ds.NumberOfFrames = pixels.shape[0]
    ds.Rows, ds.Columns = pixels.shape[1:3] if pixels.ndim == 4 else pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.RescaleIntercept, ds.RescaleSlope = "-1024", "1"
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    ds["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    return ds


def part10(ds: Dataset, syntax: uid.UID) -> bytes:
    """The data set as a file in the syntax; native pixels are in it as they are to be written."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def native(pixels: np.ndarray, syntax: uid.UID, *, bits: int, **elements: object) -> bytes:
    """A native file, with further elements by keyword."""
    ds = data_set(pixels, bits=bits)
    if syntax == uid.ExplicitVRBigEndian:
        ds.PixelData = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes() + b"\0" * (pixels.nbytes % 2)
    _set(ds, elements)
    return part10(ds, syntax)


def encapsulated(frames: list[bytes], like: np.ndarray, syntax: uid.UID, *, bits: int, **elements: object) -> bytes:
    """A file of compressed frames whose header describes `like`."""
    ds = data_set(like, bits=bits)
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    _set(ds, elements)
    return part10(ds, syntax)


def compressed(pixels: np.ndarray, syntax: uid.UID, *, bits: int, **elements: object) -> bytes:
    """One frame, compressed for the syntax by an encoder that is not the decoder under test where there is one."""
    return encapsulated([codestream(pixels, syntax, bits=bits)], pixels, syntax, bits=bits, **elements)


def codestream(pixels: np.ndarray, syntax: uid.UID, *, bits: int) -> bytes:
    """The compressed frame alone."""
    if syntax == uid.RLELossless:
        ds = data_set(pixels, bits=bits)
        options = {"rows": ds.Rows, "columns": ds.Columns, "samples_per_pixel": ds.SamplesPerPixel}
        return RLELosslessEncoder.encode(
            pixels,
            photometric_interpretation=ds.PhotometricInterpretation,
            bits_allocated=ds.BitsAllocated,
            bits_stored=bits,
            pixel_representation=ds.PixelRepresentation,
            number_of_frames=1,
            planar_configuration=0,
            **options,
        )
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        return jpeg_lossless(pixels, precision=bits, predictor=1 if syntax == uid.JPEGLosslessSV1 else 6)
    if syntax in (uid.JPEGLSLossless, uid.JPEGLSNearLossless):
        error = 2 if syntax == uid.JPEGLSNearLossless else 0
        return bytes(jpeg_ls.encode_array(pixels, error, 2 if pixels.ndim == 3 else 0))
    if syntax == uid.JPEGBaseline8Bit:
        return _saved(pixels, "JPEG", quality=90, keep_rgb=pixels.ndim == 3)
    return _saved(pixels, "JPEG2000", no_jp2=True, irreversible=syntax == uid.JPEG2000, mct=0)


def png(pixels: np.ndarray, **options: object) -> bytes:
    return _saved(pixels, "PNG", **options)


def jpeg(pixels: np.ndarray) -> bytes:
    return _saved(pixels, "JPEG", quality=95)


@cache
def seeds() -> tuple[Seed, ...]:
    """One or two small images for every transfer syntax and rendered format that is read."""
    grey, small = phantom(), phantom(bits=8)
    stack = np.stack([grey, grey // 2, grey // 3])[..., np.newaxis]
    found = [(f"native {syntax.name}", native(grey, syntax, bits=12)) for syntax in NATIVE]
    found.append(("native frames", native(stack, uid.ExplicitVRLittleEndian, bits=12)))
    found += [(f"grey {syntax.name}", compressed(grey, syntax, bits=16)) for syntax in LOSSLESS]
    found += [(f"grey {syntax.name}", compressed(small, syntax, bits=8)) for syntax in LOSSY]
    found += [(f"colour {syntax.name}", compressed(colour(), syntax, bits=8)) for syntax in (*LOSSLESS, *LOSSY)]
    rendered: list[Seed] = [
        ("png 8", "image/png", png(small)),
        ("png 16", "image/png", png(grey)),
        ("png colour", "image/png", png(colour())),
        ("jpeg grey", "image/jpeg", jpeg(small)),
        ("jpeg colour", "image/jpeg", jpeg(colour())),
    ]
    return (*((name, "application/dicom", body) for name, body in found), *rendered)


def mutants(seed: int, count: int) -> Iterator[Seed]:
    """`count` damaged images, taking the seeds in turn so that every syntax gets its share."""
    chance = random.Random(seed)
    for index in range(count):
        name, media_type, body = seeds()[index % len(seeds())]
        damage = chance.choice(_DAMAGES)
        mutant = damage(bytearray(body), chance)
        if len(mutant) > 16 and chance.random() < 0.3:
            mutant = chance.choice(_DAMAGES)(mutant, chance)
        yield f"{name}, {damage.__name__.strip('_')} ({seed}/{index})", media_type, bytes(mutant)


def _flip(body: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 2, 8, 64))):
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return body


def _flip_codestream(body: bytearray, chance: random.Random) -> bytearray:
    """Bits of the last two thirds, where the pixels are."""
    for _ in range(chance.choice((1, 4, 16))):
        body[chance.randrange(len(body) // 3, len(body))] ^= 1 << chance.randrange(8)
    return body


def _truncate(body: bytearray, chance: random.Random) -> bytearray:
    return body[: chance.randrange(len(body))]


def _insert(body: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(body))
    return body[:at] + chance.randbytes(chance.choice((1, 2, 7, 64))) + body[at:]


def _remove(body: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(body))
    return body[:at] + body[at + chance.choice((1, 2, 8, 100)) :]


def _absurd_length(body: bytearray, chance: random.Random) -> bytearray:
    """A 16- or 32-bit field somewhere becomes extreme: lengths, sizes, counts and offsets among them."""
    value = chance.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF))
    form = chance.choice(("<L", ">L") if value > 0xFFFF else ("<H", ">H", "<L", ">L"))
    at = chance.randrange(len(body) - 4)
    struct.pack_into(form, body, at, value)
    return body


def _repeat(body: bytearray, chance: random.Random) -> bytearray:
    at, size = chance.randrange(len(body)), chance.choice((8, 32, 256))
    return body[:at] + body[at : at + size] * chance.choice((2, 10, 100)) + body[at:]


def _marker(body: bytearray, chance: random.Random) -> bytearray:
    """Delimiters of DICOM, JPEG and JPEG 2000 where none belongs."""
    markers = (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xff\xd9", b"\xff\x93")
    marker = chance.choice(markers)
    at = chance.randrange(len(body))
    body[at : at + len(marker)] = marker
    return body


_DAMAGES: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    _flip,
    _flip_codestream,
    _flip_codestream,
    _truncate,
    _insert,
    _remove,
    _absurd_length,
    _absurd_length,
    _repeat,
    _marker,
)


def _saved(pixels: np.ndarray, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def _set(ds: Dataset, elements: dict[str, object]) -> None:
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
