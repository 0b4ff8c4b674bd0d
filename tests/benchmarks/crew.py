"""Child processes that are told what to do, all at the same moment, and answer in JSON, a line each."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self


class Crew:
    """`count` processes of one module of this folder; each is ready when the block is entered."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        count: int,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> None:
        """`command` runs instead, where it is given: another environment's Python."""
        self._module = module
        self._processes = [
            subprocess.Popen(
                command or [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=None if environment is None else dict(environment),
            )
            for _ in range(count)
        ]

    def __enter__(self) -> Self:
        for process in self._processes:
            self._answer(process)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def ask(self, **order: object) -> list[Any]:
        """Every child's answer to one order."""
        self.order(**order)
        return self.answers()

    def order(self, **order: object) -> None:
        """Every child begins; whoever orders asks for the `answers` afterwards."""
        line = json.dumps(order).encode() + b"\n"
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()

    def answers(self) -> list[Any]:
        return [self._answer(process) for process in self._processes]

    def _answer(self, process: "subprocess.Popen[bytes]") -> Any:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module}: process {process.pid} ended with code {process.wait(10)}")
        return json.loads(line)


def serve(work: Callable[..., object]) -> None:
    """The child's side, without an event loop: `work` answers each order until standard input ends."""
    say("ready")
    for line in sys.stdin:
        say(work(**json.loads(line)))


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
