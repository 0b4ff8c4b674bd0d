"""Several clients that ask on and on, and keep whatever they were given."""

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from uuid import uuid4

from msgspec import Struct

from tests.system.running import Client, Response

PAUSE_S = 0.02
"""After an answer that is none: nobody gains by asking a service that is away more often."""


class Door(Protocol):
    """A server, or a proxy before several."""

    def client(self, scope: str | None) -> Client: ...


class Question(Struct, frozen=True, kw_only=True):
    method: str
    target: str
    body: bytes | None = None
    media_type: str | None = None
    scope: str | None = "infer"
    """Whose token goes with it; None for no token."""


class Held(Struct, frozen=True, kw_only=True):
    """What a client has in hand: its own correlation id, and the whole answer that came to it."""

    correlation_id: str
    response: Response


class Callers:
    """`count` clients, each on a connection and a thread of its own."""

    def __init__(self, server: Door, questions: Sequence[Question], count: int) -> None:
        self._server = server
        self._questions = questions
        self._ended = threading.Event()
        self._answers: list[list[Held]] = [[] for _ in range(count)]
        self.unanswered = [0] * count
        """How often each client's connection was refused, cut, or silent."""
        self._threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(count)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def held(self) -> list[Held]:
        return [one for answers in self._answers for one in tuple(answers)]

    def count(self, status: int) -> list[int]:
        """How many answers of `status` each client has."""
        return [sum(one.response.status == status for one in tuple(answers)) for answers in self._answers]

    def _ask(self, number: int) -> None:
        clients = {scope: self._server.client(scope) for scope in {question.scope for question in self._questions}}
        turn = number  # not all the same question at once
        while not self._ended.is_set():
            question = self._questions[turn % len(self._questions)]
            turn += 1
            headers = {"X-Correlation-ID": str(uuid4())}
            if question.media_type is not None:
                headers["Content-Type"] = question.media_type
            try:
                answer = clients[question.scope].send(question.method, question.target, question.body, headers)
            except (OSError, http.client.HTTPException):
                self.unanswered[number] += 1
                time.sleep(PAUSE_S)
                continue
            self._answers[number].append(Held(correlation_id=headers["X-Correlation-ID"], response=answer))
            if answer.status == http.client.SERVICE_UNAVAILABLE:
                time.sleep(PAUSE_S)
        for client in clients.values():
            client.close()


@contextmanager
def calling(server: Door, questions: Sequence[Question], count: int = 4) -> Iterator[Callers]:
    """Clients that ask while the block runs; afterwards each has had its last answer."""
    callers = Callers(server, questions, count)
    callers.start()
    try:
        yield callers
    finally:
        callers.end()
