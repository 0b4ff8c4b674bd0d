"""The quality gate: what is measured of an image, and when the model is not asked at all.

Both figures are taken after the window, so that the gate judges what the model would see.
"""

import numpy as np

from service.domain.card import Card
from service.domain.messages import Float32, QualityReport
from traceability.marks import implements

PPM = 1_000_000


@implements("REQ-INF-006")
def measure(levels: Float32, view: Float32, card: Card) -> QualityReport:
    """`levels` are the image's own grey levels, `view` the same at the model's size; both [channels, rows, columns].

    Reasons, all that hold, in this order: `too_small`, `blank_image`, `clipped_image`.
    """
    contrast, clipped = _contrast_ppm(view), _clipped_ppm(levels)
    rows, columns = levels.shape[1:]
    checks = (
        ("too_small", rows < card.input.min_rows or columns < card.input.min_columns),
        ("blank_image", contrast < card.quality.min_contrast_ppm),
        ("clipped_image", clipped > card.quality.max_clipped_ppm),
    )
    return QualityReport(
        contrast_ppm=contrast, clipped_ppm=clipped, reasons=tuple(reason for reason, holds in checks if holds)
    )


@implements("REQ-INF-006")
def _contrast_ppm(view: Float32) -> int:
    """RMS contrast: the standard deviation of grey levels in [0, 1], so at most 500,000.

    Peli, "Contrast in complex images", J. Opt. Soc. Am. A 7 (1990), equation 2.
    """
    return round(float(np.std(view, dtype=np.float64)) * PPM)


@implements("REQ-INF-006")
def _clipped_ppm(levels: Float32) -> int:
    """The share of pixels at either end of the window, where a difference can no longer be seen."""
    lost = np.count_nonzero(levels <= 0) + np.count_nonzero(levels >= 1)
    return round(lost / levels.size * PPM)
