"""How often something may happen, for each of many names: token buckets, of which only so many are remembered."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from traceability.marks import implements

_BURST_S: Final = 2.0  # what may come at once: this many seconds' worth


@implements("REQ-WIT-003")
class Rates:
    """Any thread may ask. Residual risk: a name that is forgotten, because so many others came, begins anew."""

    def __init__(self, per_s: int, monotonic_s: Callable[[], float], *, at_most: int) -> None:
        self._per_s: Final = per_s
        self._monotonic_s: Final = monotonic_s
        self._at_most: Final = at_most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> (tokens, when)
        self._lock: Final = threading.Lock()

    def admits(self, name: str) -> bool:
        """Whether it may happen once more now; counted where it may."""
        now, most = self._monotonic_s(), self._per_s * _BURST_S
        with self._lock:
            tokens, then = self._left.pop(name, (most, now))
            tokens = min(most, tokens + (now - then) * self._per_s)
            admitted = tokens >= 1
            self._left[name] = (tokens - 1 if admitted else tokens, now)
            while len(self._left) > self._at_most:
                self._left.popitem(last=False)
        return admitted
