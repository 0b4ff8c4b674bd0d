"""The procedures of docs/operations.md, as they stand there: extracted, and run by a shell."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from audit.postgres import server

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "operations.md"
BLOCK = re.compile(r"^```sh procedure=([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT_S = 180.0


def written() -> dict[str, str]:
    """Every procedure that the page has, by name."""
    return dict(BLOCK.findall(PAGE.read_text("utf-8")))


class Desk:
    """Where an operator works: a folder, `medai` and PostgreSQL's client programs on the path, and variables."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = dict(environment)
        self.ran: dict[str, subprocess.CompletedProcess[str]] = {}
        programs = folder / "bin"
        programs.mkdir(parents=True)
        command = programs / "medai"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n')
        command.chmod(0o755)
        path = (str(programs), str(server.find_programs().folder), os.environ["PATH"])
        self.variables["PATH"] = os.pathsep.join(path)

    def run(self, name: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """The procedure of that name, to its end; a command that fails ends it, as it should an operator."""
        self.ran[name] = done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", written()[name]],
            cwd=self.folder,
            env=self.variables | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        return done

    def ended(self, name: str) -> tuple[int, str]:
        """How it ended, with what it said on standard error, for a test to show."""
        done = self.ran[name]
        return done.returncode, "" if done.returncode == 0 else done.stderr
