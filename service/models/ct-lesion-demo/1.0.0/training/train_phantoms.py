"""Synthetic CT-like slices of an upper abdomen, in Hounsfield units, with or without a focal lesion of the liver.

Nothing here comes from a person. Attenuations are round figures near those of textbooks (air -1000, fat -100,
water 0, soft tissue 30 to 60, bone several hundred); shapes are ellipses with wavy edges; noise is Gaussian,
smoothed a little, as a reconstruction kernel would. One seed and one index make one slice, always the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Float = NDArray[np.float32]
SIZES = (256, 320, 384, 512)


class Slice(NamedTuple):
    """`place` is the lesion's centre as a share of the field, across and down."""

    hounsfield: NDArray[np.int16]
    lesion: bool
    lesion_radius_mm: float
    place: tuple[float, float]
    field_mm: float


class Liver(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    value: float


class Canvas:
    """A square field of view with coordinates in millimetres from its centre."""

    def __init__(self, size: int, field_mm: float) -> None:
        self.pixel_mm = field_mm / size
        axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(self.pixel_mm)
        self.axis = axis - np.float32(field_mm / 2)
        self.image = np.full((size, size), -1000.0, np.float32)

    def blob(
        self,
        center: tuple[float, float],
        radii: tuple[float, float],
        value: float,
        *,
        turn: float = 0.0,
        wave: tuple[float, int, float] = (0.0, 3, 0.0),
    ) -> None:
        """Paints an ellipse: `center` (x, y) and `radii` in mm, `wave` = (depth, lobes, phase) of its edge."""
        reach = max(radii) * 1.4 + 2 * self.pixel_mm
        columns = self._span(center[0], reach)
        rows = self._span(center[1], reach)
        x = self.axis[columns][np.newaxis, :] - np.float32(center[0])
        y = self.axis[rows][:, np.newaxis] - np.float32(center[1])
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        u = (x * cosine + y * sine) / np.float32(radii[0])
        v = (y * cosine - x * sine) / np.float32(radii[1])
        distance = np.sqrt(u * u + v * v)
        depth, lobes, phase = wave
        edge = 1.0 if depth == 0 else 1 + np.float32(depth) * np.sin(lobes * np.arctan2(v, u) + np.float32(phase))
        # A pixel that the edge crosses holds a share of both tissues (partial volume).
        cover = np.clip((edge - distance) * np.float32(min(radii) / self.pixel_mm) + np.float32(0.5), 0, 1)
        patch = self.image[rows, columns]
        patch += cover * (np.float32(value) - patch)

    def _span(self, center: float, reach: float) -> slice:
        low = int(np.searchsorted(self.axis, center - reach))
        high = int(np.searchsorted(self.axis, center + reach))
        return slice(low, max(high, low + 1))


def make(seed: int, index: int) -> Slice:
    """Slice `index` of the series `seed`; even and odd indices do not differ in kind, half hold a lesion."""
    rng = np.random.default_rng((seed, index))
    body = (rng.uniform(140, 165), rng.uniform(95, 120))
    field_mm = 2 * body[0] * rng.uniform(1.03, 1.2)
    canvas = Canvas(int(rng.choice(SIZES)), field_mm)
    _trunk(canvas, body, rng)
    liver = _liver(canvas, body, rng)
    lesion = bool(rng.random() < 0.5)
    radius, place = _lesion(canvas, liver, rng) if lesion else (0.0, (0.0, 0.0))
    noise = _noise(canvas.image.shape[0], rng) * np.float32(rng.uniform(5, 14))
    stored = np.clip(np.rint(canvas.image + noise), -1024, 3071).astype(np.int16)
    share = (place[0] / field_mm + 0.5, place[1] / field_mm + 0.5)
    return Slice(stored, lesion, radius, share, field_mm)


def _trunk(canvas: Canvas, body: tuple[float, float], rng: np.random.Generator) -> None:
    width, height = body
    canvas.blob((0, 0), body, rng.uniform(-115, -90), wave=(0.02, 4, rng.uniform(0, 6)))
    wall = rng.uniform(12, 30)
    canvas.blob((0, 0), (width - wall, height - wall), rng.uniform(35, 55))
    canvas.blob((0, -4), (width - wall - 8, height - wall - 10), rng.uniform(-100, -60))
    for angle in np.linspace(0.3, 2 * np.pi - 0.3, 12) + rng.uniform(-0.1, 0.1, 12):
        place = (np.sin(angle) * (width - wall - 5), np.cos(angle) * (height - wall - 5))
        canvas.blob(place, (rng.uniform(4, 8), rng.uniform(2.5, 4)), rng.uniform(250, 650), turn=-angle)
    canvas.blob((0, height * 0.55), (rng.uniform(17, 22), rng.uniform(15, 19)), rng.uniform(180, 320))
    canvas.blob((0, height * 0.55 + 24), (8, 8), rng.uniform(15, 35))
    canvas.blob((rng.uniform(4, 14), height * 0.28), (rng.uniform(9, 12),) * 2, rng.uniform(40, 180))
    for side in (-1, 1):
        place = (side * rng.uniform(52, 66), height * rng.uniform(0.36, 0.48))
        canvas.blob(place, (rng.uniform(20, 26), rng.uniform(24, 30)), rng.uniform(30, 130), wave=(0.05, 2, side))
    canvas.blob((width * 0.6, height * 0.12), (rng.uniform(20, 28), rng.uniform(34, 46)), rng.uniform(42, 95))
    stomach = (width * rng.uniform(0.28, 0.36), -height * rng.uniform(0.3, 0.42))
    canvas.blob(stomach, (rng.uniform(24, 36), rng.uniform(18, 26)), rng.uniform(5, 45), turn=rng.uniform(-0.5, 0.5))
    canvas.blob((stomach[0], stomach[1] - 9), (rng.uniform(8, 17), rng.uniform(5, 9)), -950)


def _liver(canvas: Canvas, body: tuple[float, float], rng: np.random.Generator) -> Liver:
    """The liver with its vessels and, often, a gallbladder: no lesions, these."""
    x, y = -body[0] * rng.uniform(0.36, 0.42), -body[1] * rng.uniform(0.06, 0.16)
    radii = (body[0] * rng.uniform(0.38, 0.44), body[1] * rng.uniform(0.52, 0.6))
    value = rng.uniform(45, 105)
    canvas.blob((x, y), radii, value, turn=rng.uniform(-0.25, 0.25), wave=(0.06, 3, rng.uniform(0, 6)))
    canvas.blob((x + radii[0] * 0.75, y - radii[1] * 0.3), (radii[0] * 0.6, radii[1] * 0.4), value, turn=0.2)
    for _ in range(int(rng.integers(3, 8))):
        where = (x + radii[0] * rng.uniform(-0.6, 0.6), y + radii[1] * rng.uniform(-0.6, 0.6))
        shape = (rng.uniform(6, 16), rng.uniform(1.5, 3.2))
        canvas.blob(where, shape, value + rng.uniform(-15, 40), turn=rng.uniform(0, np.pi))
    if rng.random() < 0.6:
        place = (x + radii[0] * rng.uniform(0.3, 0.6), y + radii[1] * rng.uniform(0.9, 1.05))
        canvas.blob(place, (rng.uniform(9, 14), rng.uniform(14, 22)), rng.uniform(0, 18), turn=rng.uniform(-0.6, 0.6))
    return Liver(x, y, radii[0], radii[1], value)


def _lesion(canvas: Canvas, liver: Liver, rng: np.random.Generator) -> tuple[float, tuple[float, float]]:
    """A round or slightly oval spot, darker or brighter than the liver around it; its mean radius and place in mm."""
    x, y, width, height, value = liver
    angle, distance = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 0.45))
    place = (x + width * distance * np.cos(angle), y + height * distance * np.sin(angle))
    radius = rng.uniform(6, 20)
    contrast = rng.uniform(25, 65) * (-1 if rng.random() < 0.7 else 1)
    radii = (radius * rng.uniform(0.85, 1.18), radius * rng.uniform(0.85, 1.18))
    wave = (rng.uniform(0, 0.1), int(rng.integers(2, 6)), rng.uniform(0, 6))
    canvas.blob(place, radii, value + contrast, turn=rng.uniform(0, np.pi), wave=wave)
    return float(np.sqrt(radii[0] * radii[1])), place


def _noise(size: int, rng: np.random.Generator) -> Float:
    """Gaussian noise smoothed over 3 x 3 pixels, of standard deviation 1."""
    white = rng.standard_normal((size + 2, size + 2), dtype=np.float32)
    rows = white[:-2] + 2 * white[1:-1] + white[2:]
    smooth = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    return np.divide(smooth, np.float32(6.0), dtype=np.float32)  # (1, 2, 1) twice: variance 6 * 6


def dataset(each: Slice, *, seed: int, name: str) -> Dataset:
    """A small CT instance of the slice. Whose it is: nobody's, and its names say so."""
    uid = generate_uid(entropy_srcs=["medai-flow phantom", str(seed), name])
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.ImplementationClassUID = generate_uid(entropy_srcs=["medai-flow"])
    file.SOPClassUID = CTImageStorage
    file.SOPInstanceUID = uid
    file.StudyInstanceUID = generate_uid(entropy_srcs=["medai-flow study", str(seed), name])
    file.SeriesInstanceUID = generate_uid(entropy_srcs=["medai-flow series", str(seed), name])
    file.Modality = "CT"
    file.PatientID = f"PHANTOM-{name.upper()}"
    file.PatientName = "Phantom^Synthetic"
    file.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    file.PixelSpacing = [f"{each.field_mm / each.hounsfield.shape[0]:.6f}"] * 2
    file.RescaleSlope, file.RescaleIntercept, file.RescaleType = "1", "-1024", "HU"
    file.WindowCenter, file.WindowWidth = "40", "400"
    file.set_pixel_data((each.hounsfield + np.int16(1024)).astype(np.uint16), "MONOCHROME2", 12)
    return file
