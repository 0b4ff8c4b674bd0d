"""Row c: what recording adds to a request that is alone, beside what PostgreSQL takes to make 1 KB durable."""

import os
import socket
from time import perf_counter

import psycopg

from tests.benchmarks.fleet import AUDITED, UNAUDITED, Fleet, request
from tests.benchmarks.place import Place
from tests.benchmarks.report import Row, of_slices
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.throughput import MODEL, Image, slice_of_the_model

TARGET = 3.0
WARM_UP = 10
COMMIT_BYTES = 1024


def row(place: Place, sizes: Sizes) -> Row:
    """Audited, unaudited, a commit; again and again, one at a time."""
    log, image = place.log("lone"), slice_of_the_model()
    with (
        Fleet(AUDITED, log, workers=1) as audited,
        Fleet(UNAUDITED, log, workers=1) as unaudited,
        psycopg.connect(place.maintenance_url, autocommit=True) as connection,
        Caller(audited, image) as first,
        Caller(unaudited, image) as second,
    ):
        connection.execute("CREATE TABLE commits (content bytea STORAGE EXTERNAL NOT NULL)")
        seconds: dict[str, list[float]] = {"audited": [], "unaudited": [], "commit": []}
        for at in range(WARM_UP + sizes.lone_rounds):
            taken = {"audited": first.seconds(), "unaudited": second.seconds(), "commit": _commit(connection)}
            if at >= WARM_UP:
                for name, took in taken.items():
                    seconds[name].append(took)
    audited_ms, unaudited_ms, commit_ms = (1000 * of_slices(taken) for taken in seconds.values())
    return Row(
        name="what recording adds to a lone request over one fsynced 1 KB COMMIT",
        configuration=f"{MODEL}, {image.title}, 1 worker process, 1 client, {sizes.lone_rounds} rounds",
        ratio=(audited_ms - unaudited_ms) / commit_ms,
        target=TARGET,
        bound="at most",
        measured={"audited ms": audited_ms, "unaudited ms": unaudited_ms, "commit ms": commit_ms},
    )


def _commit(connection: psycopg.Connection) -> float:
    """One autocommitted INSERT on a connection that is open, as the server's own settings make it durable."""
    content = os.urandom(COMMIT_BYTES)
    start = perf_counter()
    connection.execute("INSERT INTO commits VALUES (%b)", (content,), binary=True)
    return perf_counter() - start


class Caller:
    """One connection that stays, with one request at a time."""

    def __init__(self, fleet: Fleet, image: Image) -> None:
        self._request = request(fleet, image.media_type, image.path.read_bytes())
        self._socket = socket.create_connection(("127.0.0.1", fleet.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def seconds(self) -> float:
        start = perf_counter()
        self._socket.sendall(self._request)
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._more()
        head = answer[:end].lower()
        assert head.startswith(b"http/1.1 200 "), answer
        left = end + 4 + int(head.partition(b"content-length:")[2].partition(b"\r")[0]) - len(answer)
        while left > 0:
            left -= len(self._more())
        return perf_counter() - start

    def _more(self) -> bytes:
        chunk = self._socket.recv(65_536)
        assert chunk, "the connection was closed"
        return chunk
