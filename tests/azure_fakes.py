"""Microsoft Entra and a Key Vault on this machine, for the real SDK: HTTPS under their own names, behind a proxy.

The SDK is told of nothing but a proxy and a certificate authority, as in a hospital's network. It asks for
`login.microsoftonline.com` and `hospital.vault.azure.net` and verifies their certificates and challenges as it does in
production; the proxy ends the TLS itself and answers.
"""

import json
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.authorities import Authority
from tests.entra_tokens import AUDIENCE, LOGIN, TENANT, Issuer

VAULT_HOST = "hospital.vault.azure.net"
VAULT_URL = f"https://{VAULT_HOST}"
LOGIN_HOST = urlsplit(LOGIN).netloc


class FakeAzure:
    """What it holds, what it was asked, and how it misbehaves."""

    def __init__(self, folder: Path) -> None:
        authority = Authority()
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(authority.pem)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*authority.write(folder / "azure", LOGIN_HOST, VAULT_HOST))
        self.assertion = folder / "federated-token"
        self.assertion.write_text("assertion-of-the-cluster")
        self.issuer = Issuer()
        self.secrets: dict[str, list[str]] = {}
        self.requests: list[str] = []
        """METHOD HOST/PATH, in order."""
        self.challenge_resource = "https://vault.azure.net"
        self.away: set[str] = set()
        """Hosts that answer nothing."""
        self.vault_status: int | None = None
        self.token_seconds = 3600
        self.issued = 0
        self.claims: dict[str, object] = {}
        self.port = 0

    def environment(self) -> dict[str, str]:
        """For a process with a workload identity, as the cluster's webhook gives it."""
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.port}",
            "NO_PROXY": "",
            "REQUESTS_CA_BUNDLE": str(self.ca),
            "SSL_CERT_FILE": str(self.ca),
            "AZURE_CLIENT_ID": "0b0b0b0b-0000-4000-8000-000000000000",
            "AZURE_TENANT_ID": TENANT,
            "AZURE_FEDERATED_TOKEN_FILE": str(self.assertion),
            "AZURE_AUTHORITY_HOST": LOGIN,
        }

    def put(self, name: str, value: str) -> None:
        """A new version of the secret."""
        self.secrets.setdefault(name, []).append(value)

    def answer(self, method: str, host: str, target: str, headers: dict[str, str], body: bytes) -> "Answer":
        path = urlsplit(target).path
        self.requests.append(f"{method} {host}{path}")
        return self._login(path, body) if host == LOGIN_HOST else self._vault(method, path, headers, body)

    def _login(self, path: str, body: bytes) -> "Answer":
        if path.endswith("/discovery/v2.0/keys"):
            return 200, {}, json.loads(self.issuer.jwks())
        if path.endswith("/openid-configuration"):
            base = f"{LOGIN}/{TENANT}"
            return 200, {}, {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "issuer": f"{base}/v2.0",
            }  # fmt: skip
        if path.endswith("/discovery/instance"):
            return 200, {}, {"tenant_discovery_endpoint": "", "metadata": []}
        if not path.endswith("/oauth2/v2.0/token"):
            return 404, {}, {"error": "not here"}
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if asked.get("client_assertion") != self.assertion.read_text():
            return 401, {}, {"error": "invalid_client", "error_description": f"assertion {asked['client_assertion']}"}
        return 200, {}, {"token_type": "Bearer", "expires_in": self.token_seconds, "access_token": self._token(asked)}

    def _token(self, asked: dict[str, str]) -> str:
        self.issued += 1
        if AUDIENCE in asked["scope"]:
            now_s = int(time.time())
            return self.issuer.sign(**{"iat": now_s, "nbf": now_s, "exp": now_s + 3600, **self.claims})
        return f"token-{self.issued}-for-{urlsplit(asked['scope']).netloc}"

    def _vault(self, method: str, path: str, headers: dict[str, str], body: bytes) -> "Answer":
        if self.vault_status is not None:
            return self.vault_status, {}, {"error": {"code": "Broken", "message": "of the vault"}}
        if not headers.get("authorization", "").startswith("Bearer token-"):
            challenge = f'Bearer authorization="{LOGIN}/{TENANT}", resource="{self.challenge_resource}"'
            return 401, {"WWW-Authenticate": challenge}, {"error": {"code": "Unauthorized", "message": "no token"}}
        name = path.split("/")[2]
        if method == "PUT":
            self.put(name, json.loads(body)["value"])
        if name not in self.secrets:
            return 404, {}, {"error": {"code": "SecretNotFound", "message": f"no {name}"}}
        versions = self.secrets[name]
        made = {"enabled": True, "created": 1, "updated": 1}
        return 200, {}, {
            "value": versions[-1], "id": f"{VAULT_URL}/secrets/{name}/{len(versions):032x}", "attributes": made,
        }  # fmt: skip


Answer = tuple[int, dict[str, str], object]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    azure: FakeAzure
    host = ""

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        self.close_connection = True
        if self.host in self.azure.away:
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        try:
            self.connection = self.request = self.azure.context.wrap_socket(self.connection, server_side=True)
        except OSError:
            return
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.close_connection = False

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.host in self.azure.away:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, more, content = self.azure.answer(self.command, self.host, self.path, headers, body)
        answer = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**more, "Content-Type": "application/json", "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = _answer  # noqa: N815  # as http.server calls them

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            return
        finally:
            self.connection.close()


@contextmanager
def azure() -> Iterator[FakeAzure]:
    """Both services, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        made = FakeAzure(Path(folder))
        handler = type("Handler", (_Handler,), {"azure": made})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
