"""Decode, preprocess and run, over and over, in a process without a server, a ledger or an event loop.

python -m tests.benchmarks.bare IMAGE MEDIA_TYPE    orders on standard input: {"seconds": 2.0}
"""

import os
import sys
from pathlib import Path
from time import perf_counter

from service import app
from service import settings as service_settings
from service.adapters import images_dicom, model_store
from service.adapters.images_rendered import decode_rendered
from service.adapters.onnx_model import OnnxModel
from service.domain import preprocess
from service.domain.messages import DecodedImage, Limits, MediaType
from tests.benchmarks import crew


def main(image: str, media_type: MediaType) -> None:
    settings = service_settings.read(os.environ)
    models = model_store.load((model_store.BUNDLED,), app.runtime_settings(settings))
    model = models.find(None)
    assert isinstance(model, OnnxModel)
    limits = Limits(
        max_pixels=settings.max_pixels,
        max_frames=settings.max_frames,
        max_inflated_bytes=settings.max_inflated_bytes,
        deadline_ms=settings.decode_deadline_ms,
    )
    body = Path(image).read_bytes()

    def once() -> None:
        stored = _decode(body, media_type, limits)
        contract = model.card.input
        grey = preprocess.grey_levels(stored, contract)
        view = preprocess.resize(grey.levels, contract.rows, contract.columns)
        model.run(preprocess.normalise(view, contract))

    def work(seconds: float) -> float:
        start = perf_counter()
        count = 0
        while (now := perf_counter()) - start < seconds:
            once()
            count += 1
        return count / (now - start)

    once()
    crew.serve(work)
    models.close()


def _decode(body: bytes, media_type: MediaType, limits: Limits) -> DecodedImage:
    if media_type != "application/dicom":
        return decode_rendered(body, media_type, None, limits)
    header = images_dicom.read_header(body, None, limits)
    return images_dicom.finished(header, images_dicom.native_samples(header))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])  # type: ignore[arg-type]  # what `throughput` passes is a media type
