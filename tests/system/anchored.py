"""A server, two witnesses that know its log, a policy that asks for one of them, and a container."""

import contextlib

from audit import receipt
from audit.attestation import adopt
from audit.note import Verifier
from tests import blob_fakes
from tests.system import witnessing
from tests.system.running import Server

LIMIT_S = 60.0
QUICK = {
    "MEDAI_PUBLISH_LEASE_MS": "1000",
    "MEDAI_PUBLISH_WITNESS_INTERVAL_MS": "200",
    "MEDAI_PUBLISH_BLOB_INTERVAL_MS": "1000",
    "MEDAI_PUBLISH_RETRY_FIRST_MS": "100",
    "MEDAI_PUBLISH_RETRY_LAST_MS": "500",
}


class World:
    """A server, two witnesses that know its log, a policy that asks for one of them, and a container."""

    def __init__(self, folder, stack, more=None) -> None:
        self.storage = stack.enter_context(blob_fakes.serving())
        self.policy = folder / "policy"
        settings = {**QUICK, "MEDAI_ANCHOR_BLOB_URL": self.storage.url, "MEDAI_POLICY_FILE": str(self.policy)}
        settings |= more or {}
        self.server = Server(folder / "home", workers=2, settings=settings)
        stack.callback(self.server.clean)
        self.key = self._begin()
        homes = {name: witnessing.home(folder / name, "--ml-dsa") for name in ("w1", "w2")}
        self.witnesses = {name: stack.enter_context(_knowing(home, self.key)) for name, home in homes.items()}
        self.policy.write_text(_policy(homes, self.witnesses))
        self.trusted = adopt(self.policy.read_bytes(), [self.key]).policy
        self.server.start()

    def _begin(self) -> Verifier:
        """The log's key and record 0: witnesses have to know the key before anything is sent to them."""
        begun = Server(self.server.home, workers=1)
        begun.port, begun.internal_port = self.server.port, self.server.internal_port
        try:
            begun.start()
            begun.stop()
        finally:
            begun.clean()
        return Verifier.parse(begun.medai("audit", "key").stdout.strip())

    def served(self) -> receipt.Opened:
        with self.server.client(None) as client:
            return receipt.open_checkpoint(client.get("/checkpoint").body, self.trusted)

    def metric(self, name: str) -> list[str]:
        lines = self.server.internal("/metrics").body.decode().splitlines()
        return [line for line in lines if line.startswith(name)]


@contextlib.contextmanager
def _knowing(home, key):
    (home.path / "logs.toml").write_text(f'[[log]]\norigin = "{key.name}"\nkeys = ["{key}"]\n')
    with home.running() as witness:
        yield witness


def _policy(homes, witnesses) -> str:
    """Both witnesses with both their keys; either of them, with any of its keys, is enough."""
    lines, names = [], []
    for name, home in homes.items():
        for at, vkey in enumerate(home.vkeys()):
            lines.append(f"witness {name}-{at} {vkey} http://127.0.0.1:{witnesses[name].port}")
            names.append(f"{name}-{at}")
    return "\n".join([*lines, f"group G any {' '.join(names)}", "quorum G", ""])
