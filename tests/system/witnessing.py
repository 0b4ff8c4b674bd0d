"""A witness as a user runs it: `medai audit witness init` and `run`, its state under one folder."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tests.witness_log import Tree

LIMIT_S = 60.0


class Witness(Struct, frozen=True, kw_only=True):
    """One process that listens on `port`."""

    process: "subprocess.Popen[str]"
    port: int

    def request(self, method: str, target: str, body: bytes = b"") -> tuple[int, str, bytes]:
        """Status, media type and body. Raises OSError or HTTPException where the process is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            return response.status, response.getheader("Content-Type", ""), response.read()
        finally:
            connection.close()

    def add(self, body: bytes) -> tuple[int, bytes]:
        status, _, answer = self.request("POST", "/add-checkpoint", body)
        return status, answer

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(LIMIT_S)

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT_S)


class Home(Struct, frozen=True, kw_only=True):
    """A witness's home, and the commands on it."""

    path: Path

    def environment(self, **settings: str) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("MEDAI_")}
        return {**ours, "MEDAI_WITNESS_HOME": str(self.path), **settings}

    def medai(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "service", "audit", "witness", *words]
        return subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=LIMIT_S)

    def vkeys(self) -> list[str]:
        return self.medai("key").stdout.split()

    def know(self, *trees: Tree) -> None:
        entries = [f'[[log]]\norigin = "{one.origin}"\nkeys = ["{one.signer.verifier}"]\n' for one in trees]
        (self.path / "logs.toml").write_text("\n".join(entries), "utf-8")

    @contextlib.contextmanager
    def running(self, **settings: str) -> Iterator[Witness]:
        command = [sys.executable, "-m", "audit.witness", "run", "--port", "0"]
        with subprocess.Popen(command, env=self.environment(**settings), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            witness = Witness(process=process, port=int(said.rpartition(":")[2] or 0))
            try:
                yield witness
            finally:
                if process.poll() is None:
                    process.kill()


def home(path: Path, *options: str) -> Home:
    made = Home(path=path)
    begun = made.medai("init", "--name", "witness.example/w1", *options)
    assert begun.returncode == 0, begun.stderr
    return made
