"""How much of something scarce one caller may hold, so that no number of greedy callers keeps another out.

A caller may hold `percent` of the whole while nobody else holds any; each takes its share of what the others leave. Of
100 places at 50 percent, one caller gets 50, two get 33 each, three 25: there is always room for one more. (Choudhury
and Hahne call it a dynamic threshold, IEEE/ACM Transactions on Networking 6(2), 1998: a queue of a shared buffer may be
as long as a multiple of what is free.)
"""

from traceability.marks import implements


@implements("REQ-SEC-022")
def is_within(held: int, free: int, percent: int) -> bool:
    """Whether a caller that would hold `held`, and leave `free` to all, is within its share. 100 is no limit."""
    return held * (100 - percent) <= percent * free
