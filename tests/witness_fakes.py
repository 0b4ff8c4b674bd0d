"""A witness that keeps its state in memory, and that can be told to be slow, down or lying."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from audit import checkpoint, merkle, note, submission
from audit.checkpoint import Checkpoint
from audit.cosignature import ALGORITHM_ED25519, Cosigner
from audit.errors import ConsistencyInvalid

Answer = tuple[int, str, bytes]
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


class FakeWitness:
    """An honest witness, until `instead` answers for it."""

    def __init__(self, name: str, seed: int = 1, algorithm: bytes = ALGORITHM_ED25519) -> None:
        self.cosigner = Cosigner(f"{name}.example/witness", bytes([seed]) * 32, algorithm)
        self.latest: Checkpoint | None = None
        self.shown: bytes | None = None
        """What it shows as its latest checkpoint, if anything."""
        self.requests: list[submission.AddCheckpoint] = []
        self.connections = 0
        self.instead: Callable[[submission.AddCheckpoint], Answer] | None = None
        self.silent = threading.Event()
        """While this is set, nothing is answered."""
        self.drips = False
        """Whether each byte of an answer takes its time."""
        self.cuts = False
        """Whether the connection ends in the middle of an answer."""
        self.closes = False
        """Whether the connection ends after each answer, without a word."""
        self.url = ""
        self.lock = threading.Lock()

    def policy_line(self, name: str) -> str:
        return f"witness {name} {self.cosigner.verifier} {self.url}\n"

    def lines(self, text: str, time_s: int = 1_790_000_000) -> bytes:
        return self.cosigner.cosign(text, time_s).line.encode()

    def answer(self, request: submission.AddCheckpoint) -> Answer:
        with self.lock:
            self.requests.append(request)
            if self.instead is not None:
                return self.instead(request)
            return self._honest(request)

    def _honest(self, request: submission.AddCheckpoint) -> Answer:
        text = note.split(request.signed)[0]
        new, known = checkpoint.parse(text), self.latest
        if request.old_size != (known.size if known is not None else 0):
            return 409, SIZE, b"%d\n" % (known.size if known is not None else 0)
        if known is not None:
            try:
                merkle.verify_consistency(known.size, known.root, new.size, new.root, request.proof)
            except ConsistencyInvalid:
                return 422, TEXT, b"not consistent\n"
        self.latest = new
        return 200, TEXT, self.lines(text)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    witness: FakeWitness

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def setup(self) -> None:
        super().setup()
        self.witness.connections += 1

    def do_GET(self) -> None:
        shown = self.witness.shown
        self.send_response(404 if shown is None else 200)
        self.send_header("Content-Length", str(len(shown or b"")))
        self.end_headers()
        self.wfile.write(shown or b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        while self.witness.silent.is_set():
            time.sleep(0.02)
        assert self.path.endswith("/add-checkpoint")
        status, kind, answer = self.witness.answer(submission.parse(body))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.witness.drips:
            for at in range(len(answer)):
                self.wfile.write(answer[at : at + 1])
                time.sleep(0.05)
        else:
            self.wfile.write(answer[: len(answer) // 2] if self.witness.cuts else answer)
        self.close_connection = self.close_connection or self.witness.cuts or self.witness.closes


@contextmanager
def serving(witness: FakeWitness) -> Iterator[FakeWitness]:
    """The witness answers on this machine."""
    handler = type("Handler", (_Handler,), {"witness": witness})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # whoever gave us up has gone
        witness.url = f"http://127.0.0.1:{server.server_port}/submit"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield witness
        finally:
            witness.silent.clear()
            server.shutdown()
            thread.join()
