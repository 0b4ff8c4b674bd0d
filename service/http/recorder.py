"""The outermost ASGI wrapper: nothing leaves unrecorded.

Each request is covered by exactly one decision record, committed before the first byte of its answer: the
handler's own (a prediction), or else the wrapper's, or a window's that it is folded into. What becomes of the
answer afterwards is a second record of kind `outcome`. Where the ledger cannot take the record, the answer is
503 `ledger_unavailable`, which is counted, and covered by the outage record that follows.

Litestar's own middleware never sees 404 and 405; this does.
"""

import asyncio
import contextlib
from functools import partial
from time import perf_counter
from typing import Any, Final, Literal
from uuid import uuid4

from audit import record as records
from audit.errors import AuditError
from audit.ports import Clock, Proven
from audit.ports import Recorder as Ledger
from service.http import answer_headers, correlation, decisions, problems
from service.http.answer_headers import ASGIApp, Message, Scope, Send
from service.http.case import SCOPE_KEY, UNMATCHED, Case, Receive
from service.http.durable import durable
from service.http.peers import Peers
from service.http.policy import Policy
from service.http.ports import Telemetry, Tracing
from service.http.templates import Templates
from service.http.windows import Subject, Windows
from traceability.marks import implements

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


class Recorder:
    """Wraps the application. `idle` is set while no request is under way: a stopping process waits for it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        ledger: Ledger,
        windows: Windows,
        clock: Clock,
        peers: Peers,
        telemetry: Telemetry,
        templates: Templates,
        policy: Policy,
        release: str | None,
        tracing: Tracing | None = None,
    ) -> None:
        self.app = app
        self._run = _Exchange.run if tracing is None else partial(_Exchange.run_traced, tracing=tracing)
        self.release = release
        self.ledger = ledger
        self.windows = windows
        self.clock = clock
        self.peers = peers
        self.telemetry = telemetry
        self.templates = templates
        self.policy = policy
        self.idle = asyncio.Event()
        self.idle.set()
        self.total_requests = 0
        self._open_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.total_requests += 1
        self._open_requests += 1
        self.idle.clear()
        try:
            await self._run(_Exchange(self, scope, receive, send))
        finally:
            self._open_requests -= 1
            if self._open_requests == 0:
                self.idle.set()


class _Exchange:
    """One request and its answer."""

    def __init__(self, recorder: Recorder, scope: Scope, receive: Receive, send: Send) -> None:
        self._t0 = perf_counter()
        self._recorder = recorder
        self._asgi_receive = receive
        self._asgi_send = send
        self._head = scope["method"] == "HEAD"
        # A copy: the server reads HEAD from its own scope, the application knows GET alone.
        self._scope = {**scope, "method": "GET"} if self._head else scope
        self._pending_body = False
        self._held_back = False
        self._started = False
        self._muted = False
        self._gone = False
        self._entered = False
        self._own_record = False
        self._is_flood = False
        self._status = 0
        self._sent_bytes = 0
        self._outcome: decisions.Fate | None = None
        self._watch: asyncio.Task[None] | None = None
        self._case = self._scope[SCOPE_KEY] = self._open(scope)

    def _open(self, scope: Scope) -> Case:
        found: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in answer_headers.READ:
                found[name] = found[name] + b"," + value if name in found else value
        declared = found.get(b"content-length", b"")
        self._pending_body = b"transfer-encoding" in found or declared not in (b"", b"0")
        self._held_back = self._pending_body and b"expect" in found
        now_us = self._recorder.clock.now_us()
        method = scope["method"]
        case = Case(
            request_id=str(uuid4()),
            correlation_id=correlation.correlation_id(found.get(b"x-correlation-id"), now_us),
            traceparent=correlation.traceparent(found.get(b"traceparent")),
            method=method if method in _METHODS else "OTHER",
            peer=self._recorder.peers.pseudonym(scope.get("client"), found.get(self._recorder.peers.header)),
            received_us=now_us,
            release=self._recorder.release,
        )
        case.declared_bytes = int(declared) if declared.isdigit() else None
        case.receive = self.receive
        case.commit = self.commit
        case.about_to_append = self._enter
        return case

    async def run_traced(self, tracing: Tracing) -> None:
        """`run`, in the span that its record names, or below the caller's."""
        case = self._case
        sent = (b"traceparent", case.traceparent.encode("ascii"))
        with tracing.exchange(
            case.traceparent,
            begun_by="caller" if sent in self._scope["headers"] else "service",
            correlation_id=case.correlation_id,
            request_id=case.request_id,
        ) as exchange:
            try:
                await self.run()
            finally:
                code = case.problem.code if case.problem is not None else None
                exchange.answered(
                    method=case.method, route=case.route, status=self._status, code=code, index=case.index
                )

    async def run(self) -> None:
        """The whole exchange. Afterwards the request is on record, or counted as unrecorded."""
        case, recorder = self._case, self._recorder
        try:
            if recorder.ledger.unready() is not None:
                await self._refuse_unrecorded("ledger_unavailable")
            else:
                await recorder.app(self._scope, self.receive, self.send)
                if not self._started:
                    await self._refuse(problems.of_code("internal_error"))
        except asyncio.CancelledError:
            # The server stops waiting. Whether a record was made or not, no answer will leave from here.
            await self._interrupted()
            raise
        except Exception as error:
            recorder.telemetry.failed("http", error, correlation_id=case.correlation_id)
            if self._started:
                self._outcome = "answer_cut"
                raise
            await self._refuse(problems.of_code("internal_error"))
        finally:
            if self._watch is not None:
                self._watch.cancel()
            await self._conclude()
            self._leave()
            code = case.problem.code if case.problem is not None else None
            took_s = perf_counter() - self._t0
            recorder.telemetry.answered(
                case.method, case.route, self._status, code, took_s, correlation_id=case.correlation_id
            )

    async def receive(self) -> Message:
        """The body's next message; notes when all of it was read, and when its sender is gone."""
        self._held_back = False
        message: Message = await self._asgi_receive()
        if message["type"] == "http.disconnect":
            self._gone = True
        elif not message.get("more_body", False):
            self._pending_body = False
        return message

    @implements("REQ-LED-001")
    async def send(self, message: Message) -> None:
        """The application's messages, let out only behind the record; a refusal's are replaced by a problem."""
        if message["type"] == "http.response.start":
            if self._case.problem is not None:
                await self._refuse(self._case.problem)
            elif await self._decided(message["status"], None):
                await self._send_start(message["status"], message.get("headers", ()))
        elif not self._muted:
            await self._send_body(message.get("body", b""), last=not message.get("more_body", False))

    async def commit(self, record: records.Prediction) -> Proven:
        """The handler's own decision record, durable and proved."""
        assert self._case.index is None, "one decision record a request"
        return await self._append(record)

    async def _refuse(self, problem: problems.Problem) -> None:
        """Record the refusal and send it. A finding that is on record already is thereby replaced."""
        self._case.problem = problem
        if self._case.index is not None:
            self._outcome = "answer_replaced"
        if problem.code == "ledger_unavailable":
            await self._refuse_unrecorded("ledger_unavailable")
        elif await self._decided(problem.status, problem.code):
            if self._is_flood:
                # Whoever asks on and on waits: a connection carries one request at a time, so this is also its rate.
                await asyncio.sleep(self._recorder.policy.refusal_delay_ms / 1000)
            await self._send_problem(problem)

    @implements("REQ-LED-002")
    async def _refuse_unrecorded(self, reason: Literal["ledger_unavailable", "record_refused"]) -> None:
        """503 without a record of its own: the outage record that follows counts it."""
        recorder = self._recorder
        recorder.ledger.refused(recorder.clock.now_us())
        recorder.telemetry.unrecorded(reason)
        self._case.problem = problems.of_code("ledger_unavailable", None, recorder.policy.retry_after_s)
        await self._send_problem(self._case.problem)

    @implements("REQ-LED-001")
    async def _decided(self, status: int, code: str | None) -> bool:
        """True when the request is covered by a durable record; False when it was refused for want of one."""
        try:
            await self._decide(status, code)
        except AuditError as error:
            self._recorder.telemetry.failed("ledger", error, correlation_id=self._case.correlation_id)
            await self._refuse_unrecorded(
                "ledger_unavailable" if error.code == "ledger_unavailable" else "record_refused"
            )
            return False
        return True

    @implements("REQ-LED-003")
    async def _decide(self, status: int, code: str | None) -> None:
        case, recorder = self._case, self._recorder
        case.route = self._route()
        if case.index is not None:
            return
        now_us = recorder.clock.now_us()
        if status < 400 and self._is_public():
            case.index = await recorder.windows.join("public", case.peer, now_us)
        elif (window := self._folded(status, now_us)) is not None:
            case.index = await recorder.windows.join(*window, now_us)
        else:
            await self._append(decisions.decided(case, status, code, now_us))

    def _folded(self, status: int, now_us: int) -> tuple[Subject, str] | None:
        """The window that covers what is one of too many; None for what is recorded singly: what callers with a token
        are given, and failures of ours that they meet, always are."""
        case, windows = self._case, self._recorder.windows
        if status >= 400 and (status != 500 or case.actor is None):
            peer = windows.refusal(case.peer, now_us)
            self._is_flood = peer is not None and case.actor is None
            return None if peer is None else ("refusals", peer)
        if status < 400 and case.actor is None:
            peer = windows.answer(case.peer, now_us)
            return None if peer is None else ("public", peer)
        return None

    async def _append(self, record: records.Prediction | records.Request) -> Proven:
        self._enter()
        if self._watch is None and not self._pending_body:
            self._watch = asyncio.ensure_future(self._until_gone())
        try:
            return await durable(self._recorder.ledger, record, self._note)
        finally:
            self._leave()

    def _note(self, proven: Proven) -> None:
        self._case.index = proven.index
        self._own_record = True

    async def _until_gone(self) -> None:
        while (await self._asgi_receive())["type"] != "http.disconnect":
            continue
        self._gone = True

    async def _interrupted(self) -> None:
        if self._case.index is not None:
            self._outcome = self._outcome or "answer_cut"
            return
        self._case.problem = problems.of_code("draining")
        try:
            await self._decide(503, "draining")
        except AuditError:
            self._recorder.ledger.refused(self._recorder.clock.now_us())
            self._recorder.telemetry.unrecorded("ledger_unavailable")

    @implements("REQ-LED-005")
    async def _conclude(self) -> None:
        """Record what became of the answer, where it is not simply that it was sent."""
        if self._outcome is None or not self._own_record or self._case.index is None:
            return
        now_us = self._recorder.clock.now_us()
        outcome = decisions.became(self._case, self._case.index, self._outcome, self._sent_bytes, now_us)
        try:
            await durable(self._recorder.ledger, outcome)
        except AuditError as error:
            self._recorder.telemetry.failed("outcome", error, correlation_id=self._case.correlation_id)
            self._recorder.telemetry.unrecorded("outcome")

    async def _send_problem(self, problem: problems.Problem) -> None:
        case = self._case
        body = problems.encode(problem, case.correlation_id, case.index)
        headers = [
            (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            *problem.headers,
        ]
        closes = await self._send_start(problem.status, headers)
        if closes and not self._held_back:
            # Closing on unread bytes resets the connection, and the caller might never read the refusal.
            await self._send_body(body, last=False)
            await self._drain()
            await self._asgi_send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send_body(body, last=True)
        self._muted = True

    async def _send_start(self, status: int, headers: Any) -> bool:
        """The first byte. Returns whether the connection ends with this answer."""
        self._status = status
        closes = self._must_close()
        if not self._is_left():
            complete = answer_headers.complete(headers, self._case, closes=closes)
            self._started = True
            await self._asgi_send({"type": "http.response.start", "status": status, "headers": complete})
        return closes

    async def _send_body(self, body: bytes, *, last: bool) -> None:
        if self._is_left():
            return
        await self._asgi_send(
            {"type": "http.response.body", "body": b"" if self._head else body, "more_body": not last}
        )
        self._sent_bytes += len(body)

    def _is_left(self) -> bool:
        """Whether the client is known to be gone: then nothing is sent, and that is the outcome."""
        if self._gone:
            self._started = self._muted = True
            self._outcome = self._outcome or "client_gone"
        return self._gone

    def _must_close(self) -> bool:
        """Whether so much of the body is unread that waiting for the rest of it would be work for nothing; or
        the client holds it back until it is asked (RFC 9110 section 10.1.1) and will now never send it."""
        declared = self._case.declared_bytes
        problem = self._case.problem
        return self._pending_body and (
            self._held_back
            or declared is None
            or declared > self._recorder.policy.max_body_bytes
            or (problem is not None and problem.code == "body_timeout")
        )

    async def _drain(self) -> None:
        """Read and drop what still comes, for a while; the answer itself is already with the client."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._recorder.policy.linger_ms / 1000):
                while self._pending_body and not self._gone:
                    await self.receive()

    @implements("REQ-SEC-007")
    def _route(self) -> str:
        template: str | None = self._scope.get("path_template")
        return template or self._recorder.templates.of(self._scope["path"]) or UNMATCHED

    def _is_public(self) -> bool:
        handler = self._scope.get("route_handler")
        return handler is not None and handler.opt.get("record") == "window"

    def _enter(self) -> None:
        if not self._entered:
            self._entered = True
            self._recorder.ledger.enter()

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            self._recorder.ledger.leave()
