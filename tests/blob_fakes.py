"""A storage service that keeps immutability policies, as Azure does and Azurite does not; told how to misbehave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

CONTAINER = "/account/anchors"
UNTIL, MODE = "x-ms-immutability-policy-until-date", "x-ms-immutability-policy-mode"


class Blob:
    """One version of a blob."""

    def __init__(self, body: bytes, version: str, policy: dict[str, str]) -> None:
        self.body, self.version, self.policy = body, version, policy


class FakeStorage:
    """What the server holds, and how it behaves."""

    def __init__(self) -> None:
        self.blobs: dict[str, list[Blob]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.container_policy = True
        self.for_versions = False
        self.default_policy: dict[str, str] = {}
        """The policy that each blob gets which comes without one, where policies are for versions."""
        self.drops_policies = False
        self.locks_at_once = False
        self.cuts_after: int | None = None
        """Close the connection after this many bytes of every answer."""
        self.status: int | None = None
        """Answer everything with this."""
        self.silent = threading.Event()
        """While this is set nothing is answered."""
        self.page = 5_000
        self.url = ""

    def bodies(self) -> list[bytes]:
        return [blob.body for versions in self.blobs.values() for blob in versions]

    def sent(self, method: str, text: str = "") -> list[dict[str, str]]:
        return [headers for verb, path, headers in self.requests if verb == method and text in path]

    def store(self, name: str, body: bytes, policy: dict[str, str]) -> None:
        versions = self.blobs.setdefault(name, [])
        versions.append(Blob(body, f"2026-01-01T00:00:00.{len(versions):07d}Z", policy))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    storage: FakeStorage

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _begun(self) -> tuple[str, dict[str, list[str]]] | None:
        parts = urlsplit(self.path)
        self.sent_body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.storage.requests.append((self.command, self.path, dict(self.headers)))
        while self.storage.silent.is_set():
            threading.Event().wait(0.02)
        if self.storage.status is not None:
            self._answer(self.storage.status, b"", {"x-ms-error-code": "Told"})
            return None
        name = unquote(parts.path).removeprefix(CONTAINER).removeprefix("/")
        return name, parse_qs(parts.query)

    def do_GET(self) -> None:
        if (begun := self._begun()) is None:
            return
        name, query = begun
        if not name and "list" in query.get("comp", []):
            self._list(query)
        elif not name:
            yes = {True: "true", False: "false"}
            headers = {
                "x-ms-has-immutability-policy": yes[self.storage.container_policy],
                "x-ms-has-legal-hold": "false",
            }
            headers["x-ms-immutable-storage-with-versioning-enabled"] = yes[self.storage.for_versions]
            self._answer(200, b"", headers)
        else:
            self._blob(name, query)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        if (begun := self._begun()) is None:
            return None
        name, query = begun
        storage = self.storage
        given = {key: self.headers[key] for key in (UNTIL, MODE) if self.headers.get(key)}
        if "immutabilityPolicies" in query.get("comp", []):
            storage.blobs[name][-1].policy = {} if storage.drops_policies else given
            return self._answer(200, b"", given)
        if name in storage.blobs and self.headers.get("If-None-Match") == "*":
            return self._answer(409, b"", {"x-ms-error-code": "BlobAlreadyExists"})
        policy = dict(given or storage.default_policy)
        if given and not storage.locks_at_once:
            policy[MODE] = "Unlocked"  # Azure, "Configure a policy on the current version"
        storage.store(name, self.sent_body, {} if storage.drops_policies else policy)
        return self._answer(201, b"", {"ETag": '"1"', "Last-Modified": formatdate(usegmt=True)})

    def _blob(self, name: str, query: dict[str, list[str]]) -> None:
        versions = self.storage.blobs.get(name, [])
        wanted = query.get("versionid", [versions[-1].version if versions else ""])[0]
        found = [blob for blob in versions if blob.version == wanted]
        if not found:
            return self._answer(404, b"", {"x-ms-error-code": "BlobNotFound"})
        body = found[0].body
        headers = {"ETag": '"1"', "Last-Modified": formatdate(usegmt=True), "x-ms-blob-type": "BlockBlob"}
        headers |= {"Content-Range": f"bytes 0-{len(body) - 1}/{len(body)}", **found[0].policy}
        return self._answer(206 if self.command == "GET" else 200, body, headers)

    def _list(self, query: dict[str, list[str]]) -> None:
        storage = self.storage
        names = sorted(name for name in storage.blobs if name.startswith(query.get("prefix", [""])[0]))
        after = query.get("marker", [""])[0]
        names = [name for name in names if name > after]
        page, more = names[: storage.page], len(names) > storage.page
        rows = []
        for name in page:
            versions = storage.blobs[name] if "versions" in query.get("include", [""])[0] else storage.blobs[name][-1:]
            for blob in versions:
                version = f"<VersionId>{blob.version}</VersionId>" if "include" in query else ""
                rows.append(
                    f"<Blob><Name>{escape(name)}</Name>{version}<Properties><BlobType>BlockBlob</BlobType></Properties></Blob>"
                )
        marker = f"<NextMarker>{page[-1]}</NextMarker>" if more else "<NextMarker/>"
        body = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{"".join(rows)}</Blobs>{marker}'
        self._answer(200, f"{body}</EnumerationResults>".encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        cut = self.storage.cuts_after
        self.send_response(status)
        for key, value in {"x-ms-version": "2021-12-02", "x-ms-request-id": "1", **headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


@contextmanager
def serving() -> Iterator[FakeStorage]:
    """A storage service on this machine, with an empty container under a policy."""
    storage = FakeStorage()
    handler = type("Handler", (_Handler,), {"storage": storage})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # whoever gave us up has gone
        storage.url = f"http://127.0.0.1:{server.server_port}{CONTAINER}?sv=2021-12-02&sig=none"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield storage
        finally:
            storage.silent.clear()
            server.shutdown()
            thread.join()
