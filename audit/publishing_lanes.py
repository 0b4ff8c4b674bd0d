"""Calls that block, one at a time and each on a thread of its own: an anchor or a witness that hangs delays nobody.

Not the event loop's own threads: those anchor to the folder and answer requests, and a few servers that never answer
would use them up. A daemon's thread, so that one that hangs does not keep the process from ending.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from audit.errors import LedgerUnavailable
from traceability.marks import implements

Result = TypeVar("Result")


@implements("REQ-PUB-003")
class Lane:
    """For one event loop. `abort` makes the call that is under way fail, where that can be done from outside."""

    def __init__(self, name: str, abort: Callable[[], None] | None = None) -> None:
        self._name = name
        self._abort = abort
        self._busy = False

    async def call(self, work: Callable[[], Result], *, deadline_s: float) -> Result:
        """What `work` returns or raises. Raises `LedgerUnavailable` where that takes too long, or the call before it
        still hangs: the thread goes on, its result is for nobody."""
        if self._busy:
            raise LedgerUnavailable(f"{self._name}: the call before this one still waits for an answer")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            self._busy = False
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        def body() -> None:
            result, fault = None, None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # whoever awaits it decides
                fault = error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, result, fault)

        self._busy = True
        threading.Thread(target=body, name=f"medai {self._name}", daemon=True).start()
        try:
            async with asyncio.timeout(deadline_s):
                return await answer
        except TimeoutError as error:
            raise LedgerUnavailable(f"{self._name}: no answer within {deadline_s:g} s") from error
        finally:
            if not answer.done() or answer.cancelled():
                self._give_up()

    def _give_up(self) -> None:
        if self._abort is not None:
            self._abort()
