"""Who may come in now: a rate for each caller, a bounded number inside, of which no caller has more than its share,
a bounded number at work.

A refusal here costs no body: admission comes before the first byte of it is read.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Final, Self

from service.errors import Draining, Overloaded, RateLimited
from service.http.policy import Policy
from service.http.ports import Telemetry
from service.http.shares import is_within
from traceability.marks import implements


class Rates:
    """A token bucket for each caller: `burst` at once, then `per_s` a second."""

    def __init__(self, *, per_s: int, burst: int, max_callers: int, now: Callable[[], float] = monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._max_callers = max_callers
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @implements("REQ-SEC-013")
    def take(self, caller: str) -> None:
        """Raises `RateLimited`, naming when one more will be admitted."""
        now = self._now()
        level, since = self._buckets.pop(caller, (float(self._burst), now))
        level = min(self._burst, level + (now - since) * self._per_s)
        allowed = level >= 1
        # Least recently seen first: whoever is forgotten had, of all, the most time to fill up again.
        self._buckets[caller] = (level - 1 if allowed else level, now)
        while len(self._buckets) > self._max_callers:
            self._buckets.popitem(last=False)
        if not allowed:
            wait_s = max(1, -int((level - 1) // self._per_s))
            raise RateLimited(f"at most {self._per_s} requests a second", retry_after_s=wait_s)


class Admission:
    """The door to `/infer`. `draining` is set once, when the process is told to stop."""

    def __init__(self, policy: Policy, telemetry: Telemetry) -> None:
        self._policy = policy
        self._telemetry = telemetry
        self._slots = asyncio.Semaphore(policy.max_running)
        self._rates = Rates(per_s=policy.caller_rate_per_s, burst=policy.caller_burst, max_callers=policy.max_peers)
        self._inside: Counter[str] = Counter()
        self.admitted = 0
        self.running = 0
        self.draining = False

    @implements("REQ-SEC-014", "REQ-DEP-004")
    def enter(self, caller: str) -> "Admitted":
        """Room for one request. Raises `Draining`, `RateLimited` or `Overloaded`."""
        if self.draining:
            raise Draining("the service is about to stop", retry_after_s=self._policy.retry_after_s)
        self._rates.take(caller)
        if self.admitted >= self._policy.max_admitted:
            raise Overloaded("the queue is full", retry_after_s=self._policy.retry_after_s)
        inside, free = self._inside[caller] + 1, self._policy.max_admitted - self.admitted - 1
        if inside > 1 and not is_within(inside, free, self._policy.caller_share_percent):
            # Places are held while a body arrives: without a share, a few callers' slow bodies keep all others out.
            raise RateLimited(
                "this caller has its share of the places; the rest is for others",
                retry_after_s=self._policy.retry_after_s,
            )
        return Admitted(self, caller)

    def hold(self, caller: str) -> None:
        self.admitted += 1
        self._inside[caller] += 1
        self.tell()

    @implements("REQ-SEC-014")
    def release(self, caller: str) -> None:
        self.admitted -= 1
        self._inside[caller] -= 1
        if self._inside[caller] == 0:
            del self._inside[caller]  # so that only those inside take memory
        self.tell()

    async def start(self) -> None:
        """Wait in order for one of the running places. Raises `Overloaded` when that takes too long."""
        try:
            async with asyncio.timeout(self._policy.queue_timeout_ms / 1000):
                await self._slots.acquire()
        except TimeoutError as error:
            raise Overloaded("the queue is too slow", retry_after_s=self._policy.retry_after_s) from error
        self.running += 1
        self.tell()

    def stop(self) -> None:
        self.running -= 1
        self._slots.release()
        self.tell()

    def tell(self) -> None:
        self._telemetry.waiting(self.admitted, self.running)


class Admitted:
    """A place inside, held in a `with` block; inside `running()` also a place at work."""

    def __init__(self, admission: Admission, caller: str) -> None:
        self._admission = admission
        self._caller = caller

    def __enter__(self) -> Self:
        self._admission.hold(self._caller)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._admission.release(self._caller)

    def running(self) -> "_Running":
        return _Running(self._admission)


class _Running:
    def __init__(self, admission: Admission) -> None:
        self._admission: Final = admission

    async def __aenter__(self) -> None:
        await self._admission.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._admission.stop()
