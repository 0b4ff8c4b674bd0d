"""The public application over fakes, and a driver that speaks ASGI to it. No sockets, no threads, no waiting."""

import asyncio
import json
from hashlib import sha256
from uuid import UUID

from audit import record as records
from audit.errors import LedgerUnavailable, RecordRefused
from audit.memory import MemoryDatabase, MemoryReader
from audit.ports import Head, Proven, Stored, Unclosed
from service.adapters.traced import TracedInfer, TracedLedger
from service.domain import messages
from service.http import application
from service.http import version as versions
from service.http.policy import Policy

TOKEN = "medai_" + "t" * 43
OTHER_TOKEN = "medai_" + "o" * 43
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 32
PROCESS_ID = UUID("11111111-2222-4333-8444-555555555555")

VERSION = versions.Version(
    service="medai-flow",
    version="0.1.0",
    commit="unknown",
    release="unreleased",
    models=(),
    ledger=versions.LedgerVersion(origin="test/ledger", verifier_key="test/ledger+00000000+AAAA"),
    runtime=versions.RuntimeVersion(
        name="onnxruntime", version="1.0", provider="CPUExecutionProvider", optimization="basic", options={}
    ),
)


class FakeLedger:
    """Keeps records in memory; `events` tells in which order things became durable and left."""

    def __init__(self, events):
        self.events = events
        self.records = []
        self.down = None
        self.refuse_kinds = set()
        self.fail_next = 0
        self.refused_count = 0
        self.inside = 0
        self.gate = None
        self.appending = asyncio.Event()
        self.looks_at = 10_000
        self.looked_from = []

    async def append(self, record):
        body = records.encode(record)
        self.appending.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.down or self.fail_next:
            self.fail_next = max(0, self.fail_next - 1)
            raise LedgerUnavailable("the database is away")
        if type(record) in self.refuse_kinds:
            raise RecordRefused("refused")
        known = [known for known in self.records if known.event_id == record.event_id]
        if known:
            raise RecordRefused("an event id that is known with other bytes")
        index = len(self.records)
        self.records.append(record)
        self.events.append(("committed", index))
        return Proven(index=index, leaf_hash=sha256(b"\x00" + body).digest(), proof=f"proof of {index}\n")

    def enter(self):
        self.inside += 1

    def leave(self):
        self.inside -= 1

    def unready(self):
        return self.down

    def refused(self, recorded_at_us):
        self.refused_count += 1

    def of_kind(self, kind):
        return [record for record in self.records if type(record) is kind]

    async def head(self):
        return Head(size=len(self.records), frontier=(), chain=b"")

    async def unclosed_windows(self, first, end):
        self.looked_from.append(first)
        upto = min(first + self.looks_at, end, len(self.records))
        closed = {record.opens_index for record in self.of_kind(records.Window) if record.phase == "closed"}
        windows = (
            Stored(index=index, event_id=records.event_uuid(record), body=records.encode(record), leaf_hash=b"")
            for index, record in enumerate(self.records[:upto])
            if type(record) is records.Window and record.phase == "opened" and index >= first and index not in closed
        )
        return Unclosed(windows=tuple(windows), upto=upto)


class FakeClock:
    def __init__(self):
        self.us = 1_800_000_000_000_000

    def now_us(self):
        return self.us


class FakePseudonyms:
    def of(self, kind, value):
        return "test:" + sha256(f"{kind}:{value}".encode()).hexdigest()


class FakePrincipal:
    def __init__(self, name, scopes):
        self.name = name
        self.scopes = frozenset(scopes)


class FakeTokens:
    def __init__(self):
        self.known = {
            TOKEN: FakePrincipal("gateway", ["infer"]),
            OTHER_TOKEN: FakePrincipal("ward-7", ["infer"]),
            "no-scope": FakePrincipal("reader", ["audit.read"]),
            "manager": FakePrincipal("manager", ["release.read"]),
        }

    def principal(self, token):
        return self.known.get(token)

    async def late(self, token):
        return None


class FakeTelemetry:
    def __init__(self):
        self.requests = []
        self.correlation_ids = []
        self.unrecorded_reasons = []
        self.failures = []
        self.failed_requests = []
        self.findings = []

    def answered(self, method, route, status, code, seconds, *, correlation_id):
        self.requests.append((method, route, status, code))
        self.correlation_ids.append(correlation_id)

    def unrecorded(self, reason):
        self.unrecorded_reasons.append(reason)

    def inferred(self, model, decision, seconds):
        self.findings.append((model, decision))

    def waiting(self, admitted, running):
        pass

    def failed(self, where, error, *, correlation_id=None):
        self.failures.append((where, type(error).__name__))
        self.failed_requests.append(correlation_id)


def prediction(request, **changes):
    """What the flow would say of `request`."""
    made = {
        "model": messages.ModelIdentity(name="phantom", version="1.0.0", sha256="a" * 64),
        "runtime": messages.RuntimeIdentity(
            name="onnxruntime", version="1.0", provider="CPUExecutionProvider", optimization="basic"
        ),
        "intended_use": "For demonstration only.",
        "media_type": request.media_type,
        "input_sha256": sha256(request.body).hexdigest(),
        "pixels_sha256": "b" * 64,
        "rows": 4,
        "columns": 5,
        "frame": request.frame,
        "window": messages.WindowUsed(source="none"),
        "quality": messages.QualityReport(contrast_ppm=5, clipped_ppm=0, reasons=()),
        "finding": messages.Finding(
            decision="positive", label="nodule", probability_ppm=912_345, threshold_ppm=500_000, reasons=()
        ),
        "patient": "PATIENT-ID-4711",
        "study": "1.2.3.4711",
    }
    return messages.Prediction(**(made | changes))


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class _Switched:
    """The reader that a test chose."""

    def __init__(self, reader):
        self.reader = reader

    def __getattr__(self, name):
        return getattr(self.reader, name)


class Service:
    """The application, its fakes, and one client."""

    def __init__(self, *, process_id=PROCESS_ID, release=None, release_page=None, tracing=None, **policy):
        self.events: list[tuple[str, object]] = []
        self.ledger = FakeLedger(self.events)
        self.log = _Switched(MemoryReader(MemoryDatabase()))
        self.clock = FakeClock()
        self.tokens = FakeTokens()
        self.telemetry = FakeTelemetry()
        self.policy = Policy(**{"refusal_delay_ms": 0, **policy})
        self.requests = []
        self.infer_error = None
        self.infer_gate = None
        self.draining = None
        self.application = application.create(
            application.Parts(
                ledger=TracedLedger(tracing, self.ledger, {}) if tracing else self.ledger,
                log=self.log,
                infer=TracedInfer(tracing, self._infer) if tracing else self._infer,
                tokens=self.tokens,
                pseudonyms=FakePseudonyms(),
                telemetry=self.telemetry,
                clock=self.clock,
                policy=self.policy,
                process_id=process_id,
                version=lambda: versions.encode(VERSION),
                unready=lambda: self.draining,
                release=release,
                release_page=release_page,
                tracing=tracing,
            )
        )

    def read_from(self, reader):
        """Serve the log from `reader`; until then it is an empty one."""
        self.log.reader = reader

    async def _infer(self, request):
        self.requests.append(request)
        if self.infer_gate is not None:
            await self.infer_gate.wait()
        if self.infer_error is not None:
            raise self.infer_error
        return prediction(request)

    def exchange(self, method, target, *, headers=None, body=b"", chunks=None, peer="192.0.2.1"):
        """An exchange that is not running yet."""
        return Exchange(self, method, target, headers or {}, chunks if chunks is not None else [body], peer)

    async def ask(self, method, target, **request):
        """The whole answer; fails where none was completed."""
        exchange = self.exchange(method, target, **request)
        await exchange.run()
        return exchange.answer()

    async def infer(self, body=PNG, *, target="/infer", content_type="image/png", token=TOKEN, **request):
        headers = {"content-type": content_type, "content-length": str(len(body))} | request.pop("headers", {})
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return await self.ask("POST", target, headers=headers, body=body, **request)


class Exchange:
    """One request as a server would carry it. `leave()` is the client closing its connection."""

    def __init__(self, service, method, target, headers, chunks, peer):
        path, _, query = target.partition("?")
        self.service = service
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "server": ("127.0.0.1", 8080),
            "client": (peer, 40000),
            "state": {},
        }
        self.chunks = list(chunks)
        self.gone = asyncio.Event()
        self.sent = []
        self.on_send = None
        self.read_chunks = 0

    async def run(self):
        await self.service.application.asgi(self.scope, self._receive, self._send)

    def leave(self):
        self.gone.set()

    async def _receive(self):
        if self.gone.is_set():
            return {"type": "http.disconnect"}
        if self.chunks:
            self.read_chunks += 1
            chunk = self.chunks.pop(0)
            if chunk is None:  # a client that says no more, and stays
                await self.gone.wait()
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if self.on_send is not None:
            self.on_send(message)
        if not self.gone.is_set():
            self.service.events.append(("sent", message["type"]))
            self.sent.append(message)

    def answer(self):
        start = self.sent[0]
        assert start["type"] == "http.response.start"
        assert self.sent[-1].get("more_body", False) is False
        body = b"".join(message["body"] for message in self.sent[1:])
        return Answer(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body)
