"""The cluster-internal application: `/livez`, `/readyz`, `/metrics`. Its answers are not recorded.

`/livez` is the event loop alone: a lost database must not make Kubernetes kill the process that waits for it.
"""

from collections.abc import Callable
from typing import Any, Final

from service.http.answer_headers import Scope, Send
from traceability.marks import implements

_TEXT: Final = "text/plain; charset=utf-8"


class Internal:
    """A tiny ASGI application. `unready` says why no finding could be given now, or None."""

    def __init__(self, *, unready: Callable[[], str | None], metrics: Callable[[], bytes], metrics_type: str) -> None:
        self._unready = unready
        self._metrics = metrics
        self._metrics_type = metrics_type

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        assert scope["type"] == "http"
        status, media_type, body = self._answer(scope["method"], scope["path"])
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    @implements("REQ-DEP-003")
    def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        if path not in ("/livez", "/readyz", "/metrics"):
            return 404, _TEXT, b"not found\n"
        if method not in ("GET", "HEAD"):
            return 405, _TEXT, b"method not allowed\n"
        if path == "/livez":
            return 200, _TEXT, b"ok\n"
        if path == "/metrics":
            return 200, self._metrics_type, self._metrics()
        reason = self._unready()
        return (200, _TEXT, b"ok\n") if reason is None else (503, _TEXT, f"{reason}\n".encode())
