"""A JPEG Lossless encoder (ITU-T T.81 annex H), small and slow: no package in the locks writes every predictor."""

import struct

import numpy as np

_CATEGORIES = 17  # SSSS 0 to 16 (table H.2), here all with 5-bit codes


def jpeg_lossless(pixels: np.ndarray, *, precision: int, predictor: int) -> bytes:
    """[rows, columns] or [rows, columns, 3] as one interleaved scan with the given predictor (table H.1)."""
    samples = pixels.reshape(*pixels.shape[:2], -1).astype(np.int64)
    rows, columns, components = samples.shape
    differences = samples - np.stack(
        [_predicted(samples[..., index], precision, predictor) for index in range(components)], axis=-1
    )
    frame = struct.pack(">BHHB", precision, rows, columns, components)
    frame += b"".join(bytes((index + 1, 0x11, 0)) for index in range(components))
    table = b"\0" + bytes(_CATEGORIES if length == 5 else 0 for length in range(1, 17)) + bytes(range(_CATEGORIES))
    scan = bytes((components,)) + b"".join(bytes((index + 1, 0)) for index in range(components))
    scan += bytes((predictor, 0, 0))
    segments = _segment(0xC3, frame) + _segment(0xC4, table) + _segment(0xDA, scan)
    return b"\xff\xd8" + segments + _entropy_coded(differences.reshape(-1).tolist()) + b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def _predicted(samples: np.ndarray, precision: int, predictor: int) -> np.ndarray:
    """H.1.2.1: the first row from the left, the first column from above, the first sample from mid-range."""
    left, above, corner = (np.roll(samples, shift, axis) for shift, axis in ((1, 1), (1, 0), ((1, 1), (0, 1))))
    predicted = {
        1: left,
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1),
        7: (left + above) >> 1,
    }[predictor].copy()
    predicted[0], predicted[1:, 0] = left[0], above[1:, 0]
    predicted[0, 0] = 1 << (precision - 1)
    return predicted


def _entropy_coded(differences: list[int]) -> bytes:
    """H.1.2.2 and F.1.2.1.1: a category, then its bits; modulo 2^16; ones to the end; a zero after each FF."""
    bits: list[str] = []
    for difference in differences:
        wrapped = (difference + 32768) % 65536 - 32768
        category = 16 if wrapped == -32768 else abs(wrapped).bit_length()
        bits.append(f"{category:05b}")
        if 0 < category < 16:
            bits.append(f"{wrapped if wrapped > 0 else wrapped + (1 << category) - 1:0{category}b}")
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    return int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")
