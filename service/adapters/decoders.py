"""A small pool of child processes that decode what is compressed: `DecoderPool`.

Decoders for compressed pixels are C libraries that crash and hang on hostile files. Here that costs one request
its image and nothing else: a child that dies, or is not done by its deadline, is killed and replaced.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from service.adapters.decoders_parent import Child, ChildLost, PoolSettings
from service.adapters.images_dicom import CompressedFrame
from service.domain.messages import Array
from service.errors import DecodeFailed, Overloaded, SettingInvalid
from traceability.marks import implements

T = TypeVar("T")


class DecoderPool:
    """Decodes compressed frames between `start` and `close`. One thread drives each child."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._children = tuple(Child(settings) for _ in range(settings.workers))
        # A child is told to die with the *thread* that started it (prctl(2)), so the threads live as long as the
        # pool and start the children themselves.
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="decoder")
        self._idle: queue.SimpleQueue[Child] = queue.SimpleQueue()
        for child in self._children:
            self._idle.put(child)
        self._lock = threading.Lock()
        self._jobs = 0

    async def start(self) -> None:
        """Every child has loaded its decoders. Raises SettingInvalid where one cannot, as with too little memory."""
        starts = [asyncio.wrap_future(self._threads.submit(self._warm)) for _ in self._children]
        outcomes = await asyncio.gather(*starts, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self.close()
                raise SettingInvalid(
                    "The image decoders' child processes do not start within their limits."
                ) from outcome

    async def close(self) -> None:
        """No child is left. Jobs that wait or run end in DecodeFailed or are cancelled."""
        for child in self._children:
            child.end()
        await asyncio.get_running_loop().run_in_executor(None, self._end)

    def pids(self) -> tuple[int, ...]:
        """The children's process ids."""
        return tuple(child.pid for child in self._children)

    async def decode(self, job: CompressedFrame, then: Callable[[Array], T], *, deadline_ms: int) -> T:
        """`then(samples)`, computed on the thread that got them. Raises DecodeFailed, and Overloaded where too
        many wait already."""
        with self._lock:
            if self._jobs >= self._settings.workers + self._settings.queue_limit:
                raise Overloaded("Too many compressed images wait to be decoded.", retry_after_s=1)
            self._jobs += 1
        try:
            future = self._threads.submit(lambda: then(self._run(job, deadline_ms)))
        except RuntimeError as error:  # closed
            self._done(None)
            raise DecodeFailed("The image decoders have stopped.") from error
        future.add_done_callback(self._done)  # not when the caller stops waiting: a cancelled request's job goes on
        return await asyncio.wrap_future(future)

    def _done(self, _: "Future[T] | None") -> None:
        with self._lock:
            self._jobs -= 1

    def _warm(self) -> None:
        child = self._idle.get_nowait()  # first in, first out: as many calls as children reach each once
        try:
            child.start()
        finally:
            self._idle.put(child)

    @implements("REQ-INF-032")
    def _run(self, job: CompressedFrame, deadline_ms: int) -> Array:
        child = self._idle.get_nowait()  # there are as many children as threads
        try:
            if not child.ready:
                child.start()
            samples = child.run(job, deadline_ms)
        except ChildLost as error:
            child.discard()
            with contextlib.suppress(ChildLost):  # closed, or no process to be had: the next job tries again
                child.launch()  # its decoders load while nobody waits; the next job waits for the rest
            raise DecodeFailed("The compressed pixel data could not be decoded within the limits.") from error
        finally:
            self._idle.put(child)
        if samples is None:
            raise DecodeFailed("The compressed pixel data cannot be decoded.")
        return samples

    def _end(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for child in self._children:
            child.discard()
