"""From a request's bytes to one decoded frame: `ImageDecoder` implements `service.domain.ports.Decoder`.

Native DICOM, PNG and JPEG are decoded by threads of this process, and so is a deflated data set, whose inflation
is zlib's and bounded. Compressed DICOM frames go to child processes (`service.adapters.decoders`). Read on in
`images_dicom` for what is taken of a file and in `images_elements` for how it is found.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeAlias, TypeVar

from msgspec import Struct, structs

from service.adapters import images_dicom
from service.adapters.decoders import DecoderPool
from service.adapters.decoders_parent import PoolSettings
from service.adapters.images_elements import MAX_ELEMENTS
from service.adapters.images_rendered import decode_rendered
from service.domain.messages import DecodedImage, Limits, MediaType
from service.errors import ImageTooLarge

P = ParamSpec("P")
T = TypeVar("T")
_Begun: TypeAlias = DecodedImage | tuple[images_dicom.Header, images_dicom.CompressedFrame]

_INLINE_ELEMENTS: Final = 2_000
"""Headers that are walked on the event loop: about 1.5 ms. A CT slice has some 300."""


class DecoderSettings(Struct, frozen=True, kw_only=True):
    """How many may decode at once, here and in children. What waits is bounded by admission before it."""

    threads: int = 2
    inline_bytes: int = 1 << 20
    """DICOM bodies up to here are decoded on the event loop, where that is a matter of a millisecond or two: handing
    them to a thread and back costs as much. 0 hands over everything."""
    pool: PoolSettings = PoolSettings()


class ImageDecoder:
    """Decodes between `start` and `close`."""

    def __init__(self, settings: DecoderSettings) -> None:
        self._inline_bytes = settings.inline_bytes
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="images")
        self._pool = DecoderPool(settings.pool)
        for library in ("pydicom", "PIL"):  # their messages quote files
            logging.getLogger(library).setLevel(logging.CRITICAL + 1)

    async def start(self) -> None:
        """Every child is ready. Raises SettingInvalid where the limits do not let one start."""
        await self._pool.start()

    async def close(self) -> None:
        """No child and no thread is left."""
        await self._pool.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def decode(self, body: bytes, media_type: MediaType, frame: int | None, limits: Limits) -> DecodedImage:
        """As `Decoder.decode` says."""
        if media_type != "application/dicom":
            return await self._on_thread(decode_rendered, body, media_type, frame, limits)
        begun = await self._begin(body, frame, limits)
        if isinstance(begun, DecodedImage):
            return begun
        header, job = begun
        return await self._pool.decode(job, partial(images_dicom.finished, header), deadline_ms=limits.deadline_ms)

    async def _begin(self, body: bytes, frame: int | None, limits: Limits) -> _Begun:
        if len(body) <= self._inline_bytes:
            # Inflated, it must not be larger either, or it takes longer than the event loop has.
            near = structs.replace(limits, max_inflated_bytes=min(limits.max_inflated_bytes, self._inline_bytes))
            with contextlib.suppress(ImageTooLarge):
                return _begin(body, frame, near, max_elements=_INLINE_ELEMENTS)
        return await self._on_thread(_begin, body, frame, limits)

    async def _on_thread(self, step: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(step, *arguments, **named))


def _begin(body: bytes, frame: int | None, limits: Limits, *, max_elements: int = MAX_ELEMENTS) -> _Begun:
    """The finished image where the pixels are native, else what a child is to be given."""
    header = images_dicom.read_header(body, frame, limits, max_elements=max_elements)
    if header.compressed:
        return header, images_dicom.compressed_frame(header)
    return images_dicom.finished(header, images_dicom.native_samples(header))
