"""What a client and PostgreSQL say to each other for one append, and every place in it where a fault can strike."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct

from tests.system.faults.proxy import Connection, Fate, Passage
from tests.system.faults.wire import Side

PARAMETERS: Final[tuple[tuple[Side, str], ...]] = (("server", "ParameterStatus"),) * 15  # as many as PostgreSQL 18 has
CONNECTING: Final[tuple[tuple[Side, str], ...]] = (
    ("client", "StartupMessage"),
    ("server", "AuthenticationSASL"),
    ("client", "SASLInitialResponse"),
    ("server", "AuthenticationSASLContinue"),
    ("client", "SASLResponse"),
    ("server", "AuthenticationSASLFinal"),
    ("server", "AuthenticationOk"),
    *PARAMETERS,
    ("server", "BackendKeyData"),
    ("server", "ReadyForQuery"),
)
APPENDING: Final[tuple[tuple[Side, str], ...]] = (
    ("client", "Parse"),
    ("client", "Bind"),
    ("client", "Describe"),
    ("client", "Execute"),
    ("client", "Sync"),
    ("server", "ParseComplete"),
    ("server", "BindComplete"),
    ("server", "RowDescription"),
    ("server", "DataRow"),
    ("server", "CommandComplete"),
    ("server", "ReadyForQuery"),
)
"""One statement, however many records: they are one parameter of it."""
FATES: Final[tuple[Fate, ...]] = ("drop before", "drop within", "drop after")


class Place(Struct, frozen=True, kw_only=True):
    """The `nth` message of this name from this side."""

    side: Side
    name: str
    nth: int

    def __str__(self) -> str:
        return f"{self.side}-{self.name}-{self.nth}"


def places(messages: Sequence[tuple[Side, str]]) -> tuple[Place, ...]:
    """Each of `messages` as a place."""
    seen: Counter[tuple[Side, str]] = Counter()
    found = []
    for side, name in messages:
        seen[side, name] += 1
        found.append(Place(side=side, name=name, nth=seen[side, name]))
    return tuple(found)


def spoken(connection: Connection) -> tuple[tuple[Side, str], ...]:
    """What has been said on `connection`."""
    return tuple((message.side, message.name) for message in connection.seen)


class Once:
    """A judge that strikes at the message at `place`, the first time that one passes: `fate` befalls it, after
    `first` was done to its connection."""

    def __init__(self, place: Place, fate: Fate, first: Callable[[Connection], Awaitable[None]] | None = None) -> None:
        self._place, self._fate, self._first = place, fate, first
        self.strikes = 0

    async def __call__(self, passage: Passage) -> Fate:
        if self.strikes or passage.at != (self._place.side, self._place.name, self._place.nth):
            return "pass"
        self.strikes += 1
        if self._first is not None:
            await self._first(passage.connection)
        return self._fate
