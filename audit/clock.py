"""The service's clock. Records carry its time; several processes interleave, so order is the index, not this."""

import time


class SystemClock:
    """Wall-clock time (UTC), as the operating system keeps it."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1000
