"""From a request's bytes to one decoded frame. `ImageDecoder` implements `service.domain.ports.Decoder`.

Native DICOM, PNG and JPEG are decoded by threads of this process, compressed DICOM by child processes
(`service.adapters.decoders`). Begin with `images_dicom` for what is read of a file, `images_elements` for how.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from service.adapters import images_dicom
from service.adapters.images_pixels import compressed_samples
from service.adapters.images_rendered import decode_rendered
from service.domain.messages import DecodedImage, Limits, MediaType
from service.errors import DecodeFailed


class ImageDecoder:
    """Decodes between `start` and `close`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="decode")

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def decode(self, body: bytes, media_type: MediaType, frame: int | None, limits: Limits) -> DecodedImage:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _decode, body, media_type, frame, limits)


def _decode(body: bytes, media_type: MediaType, frame: int | None, limits: Limits) -> DecodedImage:
    if media_type != "application/dicom":
        return decode_rendered(body, media_type, frame, limits)
    header = images_dicom.read_header(body, frame, limits)
    if header.compressed:
        job = images_dicom.compressed_frame(header)
        try:
            samples = compressed_samples(job.frame, job.layout, job.syntax)
        except Exception as error:
            raise DecodeFailed("The compressed pixel data cannot be decoded.") from error
        return images_dicom.finished(header, samples)
    return images_dicom.finished(header, images_dicom.native_samples(header))
