"""From a request's bytes to one decoded frame: `ImageDecoder` implements `service.domain.ports.Decoder`.

Native DICOM, PNG and JPEG are decoded by threads of this process, and so is a deflated data set, whose inflation
is zlib's and bounded. Compressed DICOM frames go to child processes (`service.adapters.decoders`). Read on in
`images_dicom` for what is taken of a file and in `images_elements` for how it is found.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from service.adapters import images_dicom
from service.adapters.decoders import DecoderPool
from service.adapters.decoders_parent import PoolSettings
from service.adapters.images_rendered import decode_rendered
from service.domain.messages import DecodedImage, Limits, MediaType


class DecoderSettings(Struct, frozen=True, kw_only=True):
    """How many may decode at once, here and in children. What waits is bounded by admission before it."""

    threads: int = 2
    pool: PoolSettings = PoolSettings()


class ImageDecoder:
    """Decodes between `start` and `close`."""

    def __init__(self, settings: DecoderSettings) -> None:
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="images")
        self._pool = DecoderPool(settings.pool)
        # Its messages quote files. Nothing of the service's own goes through it.
        logging.getLogger("pydicom").disabled = True

    async def start(self) -> None:
        """Every child is ready. Raises SettingInvalid where the limits do not let one start."""
        await self._pool.start()

    async def close(self) -> None:
        """No child and no thread is left."""
        await self._pool.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def decode(self, body: bytes, media_type: MediaType, frame: int | None, limits: Limits) -> DecodedImage:
        """As `Decoder.decode` says; `Overloaded` besides, where more frames wait for a child than may."""
        here = asyncio.get_running_loop().run_in_executor
        if media_type != "application/dicom":
            return await here(self._threads, decode_rendered, body, media_type, frame, limits)
        begun = await here(self._threads, _begin, body, frame, limits)
        if isinstance(begun, DecodedImage):
            return begun
        header, job = begun
        samples = await self._pool.decode(job, deadline_ms=limits.deadline_ms)
        return await here(self._threads, images_dicom.finished, header, samples)


def _begin(
    body: bytes, frame: int | None, limits: Limits
) -> DecodedImage | tuple[images_dicom.Header, images_dicom.CompressedFrame]:
    """The finished image where the pixels are native, else what a child is to be given."""
    header = images_dicom.read_header(body, frame, limits)
    if header.compressed:
        return header, images_dicom.compressed_frame(header)
    return images_dicom.finished(header, images_dicom.native_samples(header))
