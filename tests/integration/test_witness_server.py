"""The witness's HTTP over real sockets: what a slow, greedy or confused client gets, and who still gets in."""

import asyncio
import contextlib
import http.client
import socket
import threading

import pytest

from audit.witness.answers import Answer, Asked, refused
from audit.witness.server import Server
from audit.witness.settings import WitnessSettings

pytestmark = pytest.mark.verifies("REQ-WIT-005")

LIMIT_S = 20.0


class Running:
    """A server on a loop of its own, in a thread; it says what it was asked, or does what a test wants instead."""

    def __init__(self, **limits) -> None:
        self.asked: list[Asked] = []
        self.instead = self.echo
        self.server = Server(self.answer, WitnessSettings(port=0, **limits))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.port = self.do(self.server.listen("127.0.0.1"))

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return self.instead(asked)

    def echo(self, asked: Asked) -> Answer:
        return Answer(status=200, body=asked.body or b"nothing")

    def do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(LIMIT_S)

    def close(self) -> None:
        self.do(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LIMIT_S)
        self.loop.close()

    @contextlib.contextmanager
    def client(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as client:
            yield client

    def raw(self, sent: bytes) -> bytes:
        """What comes back until the server ends the connection."""
        with self.client() as client:
            client.sendall(sent)
            return everything(client)

    def post(self, body: bytes):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request("POST", "/add-checkpoint", body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def everything(client) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65_536):
            received += part
    return received


def status_of(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


def post(body: bytes, *headers: str) -> bytes:
    head = ["POST /add-checkpoint HTTP/1.1", "Host: witness", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


@pytest.fixture
def run():
    running = []

    def run(**limits):
        running.append(Running(**limits))
        return running[-1]

    yield run
    for one in running:
        one.close()


def test_a_request_is_handed_on_whole(run):
    server = run()
    server.post(b"body")
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.body, asked.peer) == ("POST", "/add-checkpoint", b"body", "127.0.0.1")


def test_an_answer_has_its_status_type_length_and_headers(run):
    server = run()
    server.instead = lambda asked: refused(429, "wait", ("Retry-After", "1"))
    head = server.raw(post(b"", "Connection: close")).decode().split("\r\n")
    assert head[0] == "HTTP/1.1 429 Too Many Requests"
    assert {"Content-Type: text/plain; charset=utf-8", "Content-Length: 5", "Retry-After: 1"} <= set(head)


def test_a_connection_is_kept_for_the_next_request(run):
    server = run()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    bodies = []
    for body in (b"one", b"two", b"three"):
        connection.request("POST", "/add-checkpoint", body)
        bodies.append(connection.getresponse().read())
    connection.close()
    assert bodies == [b"one", b"two", b"three"]


@pytest.mark.parametrize("version, header", [("1.1", "Connection: close"), ("1.0", "X: y")])
def test_a_connection_that_is_not_to_be_kept_ends_after_the_answer(run, version, header):
    assert run().raw(post(b"body", header).replace(b"HTTP/1.1", f"HTTP/{version}".encode())).endswith(b"body")


def test_a_body_that_comes_byte_by_byte_is_taken(run):
    with run().client() as client:
        for byte in post(b"body", "Connection: close"):
            client.sendall(bytes([byte]))
        assert everything(client).endswith(b"body")


def test_a_client_that_waits_to_be_told_is_told_to_go_on(run):
    with run().client() as client:
        head, _, body = post(b"body", "Expect: 100-continue", "Connection: close").partition(b"\r\n\r\n")
        client.sendall(head + b"\r\n\r\n")
        told = client.recv(100)
        client.sendall(body)
        assert (told, everything(client)[-4:]) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"body")


# -- too much


def test_a_body_at_its_limit_is_taken(run):
    assert run(max_body_bytes=16_384).post(b"x" * 16_384)[0] == 200


def test_a_body_beyond_its_limit_is_refused_before_it_is_read(run):
    server = run(max_body_bytes=16_384)
    received = server.raw(post(b"x" * 16_385))
    assert (status_of(received), server.asked) == (413, [])


def test_a_body_that_says_it_is_endless_is_refused(run):
    assert status_of(run().raw(b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 18 + b"\r\n\r\n")) == 413


def test_a_body_in_chunks_is_refused(run):
    server = run()
    received = server.raw(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert (status_of(received), server.asked) == (411, [])


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 4_096 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 4_096 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 700 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"X" * 100_000,
    ],
    ids=["target", "header", "headers", "endless"],
)
def test_a_head_beyond_its_limit_is_refused(run, head):
    server = run(max_head_bytes=1_024)
    assert (status_of(server.raw(head)), server.asked) == (431, [])


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nX y\r\n\r\n",
    ],
    ids=["tls", "no-http", "two-lengths", "negative-length", "length-and-chunks", "no-header"],
)
def test_what_is_no_well_formed_request_is_refused(run, sent):
    server = run()
    assert (status_of(server.raw(sent)), server.asked) == (400, [])


def test_requests_in_one_breath_are_not_mixed(run):
    server = run()
    received = server.raw(post(b"first") + post(b"second").replace(b"/add-checkpoint", b"/other"))
    assert (received.count(b"HTTP/1.1 "), received.endswith(b"first")) == (1, True)
    assert [asked.target for asked in server.asked] == ["/add-checkpoint"]


# -- too slow, and too many


def test_a_request_that_does_not_come_whole_in_time_is_told_so(run):
    assert status_of(run(request_deadline_ms=100).raw(post(b"body")[:-1])) == 408


def test_a_client_that_drips_headers_is_ended(run):
    server = run(request_deadline_ms=100)
    with server.client() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            while True:  # ends when the server has ended the connection
                client.sendall(b"X: y\r\n")
    assert server.asked == []


def test_a_client_that_says_nothing_is_ended(run):
    assert run(request_deadline_ms=100).raw(b"") == b""


def test_a_connection_that_is_kept_too_long_is_ended(run):
    received = run(idle_ms=100).raw(post(b"body"))
    assert received.endswith(b"body")


def test_a_client_that_does_not_take_its_answer_is_ended(run):
    server = run(request_deadline_ms=200, idle_ms=200)
    server.instead = lambda asked: Answer(status=200, body=bytes(50_000_000))
    with server.client() as client:
        client.sendall(post(b""))
        wait_until(lambda: server.asked)
        wait_until(lambda: not server.server._connections)
        assert len(everything(client)) < 50_000_000


def test_slow_clients_leave_room_for_others(run):
    server = run(max_connections_per_peer=3)
    with server.client() as one, server.client() as two:
        for slow in (one, two):
            slow.sendall(post(b"body")[:-1])
        assert server.post(b"quick") == (200, b"quick")


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_peer"])
def test_one_connection_too_many_is_told_so(run, limit):
    server = run(**{limit: 1})
    with server.client() as first:
        first.sendall(post(b"body")[:-1])
        wait_until(lambda: server.server._connections)
        assert status_of(server.raw(post(b"late"))) == 503


def test_a_place_is_free_again_when_its_client_has_gone(run):
    server = run(max_connections=1)
    server.raw(post(b"first", "Connection: close"))
    wait_until(lambda: not server.server._connections)
    assert server.post(b"second") == (200, b"second")


def test_no_more_requests_are_at_work_than_are_allowed(run):
    server = run(max_at_work=2)
    working, most, lock, go = [0], [0], threading.Lock(), threading.Event()

    def work(asked):
        with lock:
            working[0] += 1
            most[0] = max(most[0], working[0])
        go.wait(LIMIT_S)
        with lock:
            working[0] -= 1
        return Answer(status=200, body=b"")

    server.instead = work
    threads = [threading.Thread(target=server.post, args=(b"",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(server.server._connections) == 6 and working[0] == 2)
    go.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert most == [2]


def test_a_failure_of_ours_is_told_without_its_reason(run):
    def fail(asked):
        raise RuntimeError("a secret")

    server = run()
    server.instead = fail
    server.loop.set_exception_handler(lambda loop, context: None)
    assert server.post(b"") == (500, b"the witness failed\n")


def test_a_server_that_closes_answers_what_came_whole(run):
    server, asked, go = run(), threading.Event(), threading.Event()

    def work(one):
        asked.set()
        go.wait(LIMIT_S)
        return Answer(status=200, body=b"done")

    server.instead = work
    with server.client() as client, server.client() as idle:
        client.sendall(post(b"body"))
        asked.wait(LIMIT_S)
        closing = asyncio.run_coroutine_threadsafe(server.server.close(), server.loop)
        assert everything(idle) == b""
        go.set()
        assert everything(client).endswith(b"done")
    closing.result(LIMIT_S)


def wait_until(true) -> None:
    for _ in range(2_000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to be")
