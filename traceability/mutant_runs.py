"""Running mutants: never in the work tree, each in a process of its own, with the claiming tests alone.

The project is copied to a temporary folder; there one file at a time is changed and changed back. A run counts as
"killed" where a claiming test failed or did not end in time; where the tests could not even be collected, the mutant
says nothing of them and is left out. Before the first one the tests must pass in the copy as it is.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from traceability import mutant_server
from traceability.errors import MutantsImpossible
from traceability.marks import implements
from traceability.mutations import Mutant
from traceability.settings import Settings

Fate = Literal["killed", "survived", "stillborn"]

_NOT_COPIED: Final = (
    ".git", ".venv", "build", "node_modules", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".medai",
    "*.egg-info",
)  # fmt: skip
_FAILED: Final = 1  # pytest's exit codes: https://docs.pytest.org/en/stable/reference/exit-codes.html
_ARGUMENTS: Final = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider")
_FIRST_S: Final = 600.0  # the tests as they are, in a cold process
_SLOWER: Final = 5.0  # how many times slower than the tests as they are a mutant may be before it counts as hanging
_GRACE_S: Final = 5.0


class Baseline(Struct, frozen=True, kw_only=True):
    """The tests of one requirement, with the code as it is: they pass, also with `preload` loaded before them."""

    arguments: tuple[str, ...]
    seconds: float
    preload: tuple[str, ...] = ()


@implements("REQ-TRC-006")
class Workshop:
    """A copy of a project, and a server that runs tests in it. `opened` makes and removes it."""

    def __init__(self, copy: Path, cold: "_Server", warm: "_Server") -> None:
        self._copy, self._cold, self._warm = copy, cold, warm

    def baseline(self, tests: Sequence[str], seed: int) -> Baseline:
        """Run `tests` on the code as it is. Raises `MutantsImpossible` where they do not pass in the copy."""
        seeded = (f"--hypothesis-seed={seed}",) if _has_hypothesis() else ()
        arguments = (*_ARGUMENTS, *seeded, *tests)
        answer = self._cold.ask(arguments, _FIRST_S)
        if answer.code != 0:
            command = f"python -m pytest {' '.join(arguments)}"
            said = f"the claiming tests do not pass in a copy of the project (pytest's exit code {answer.code})"
            raise MutantsImpossible(f"{said}: there, try `{command}`; folders that they need beside the project are "
                                    "named by mutants_beside")  # fmt: skip
        again = self._warm.ask(arguments, _FIRST_S, answer.modules)
        if again.code == 0:
            return Baseline(arguments=arguments, seconds=again.seconds, preload=tuple(answer.modules))
        self._warm.restart()  # what breaks them once it is loaded must not be there for others either
        return Baseline(arguments=arguments, seconds=answer.seconds)

    def confirm(self, known: Baseline) -> None:
        """Raises `MutantsImpossible` where the tests pass no more: what they seemed to kill says nothing then."""
        code = self._run(known)
        if code != 0:
            raise MutantsImpossible(
                "the claiming tests passed before the mutants and do not after them, on the same code (pytest's exit "
                f"code {code}): they must not depend on time, order, or what an earlier run left"
            )

    def fate(self, file: str, mutant: Mutant, known: Baseline) -> Fate:
        """What becomes of `mutant` of `file`; the copy is as before afterwards."""
        path = self._copy / file
        source = path.read_bytes()
        try:
            self._put(path, mutant.applied(source))
            code = self._run(known)
        finally:
            self._put(path, source)
        if code in (_FAILED, mutant_server.PASSED_DEADLINE, mutant_server.DIED):
            return "killed"
        return "survived" if code == 0 else "stillborn"

    def _put(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()  # it is as new as the file, to the second, and may be of the other content

    def _run(self, known: Baseline) -> int:
        shutil.rmtree(self._copy / ".hypothesis", ignore_errors=True)  # examples of one mutant are not another's
        server = self._warm if known.preload else self._cold
        return server.ask(known.arguments, known.seconds * _SLOWER + _GRACE_S, known.preload).code


class _Server:
    """The process of `mutant_server`, in the copy of a project."""

    def __init__(self, copy: Path, environment: dict[str, str]) -> None:
        self._copy, self._environment = copy, environment
        self._process = self._started()

    def ask(self, arguments: Sequence[str], deadline_s: float, preload: Sequence[str] = ()) -> "_Answer":
        job = {"arguments": list(arguments), "deadline_s": deadline_s, "preload": list(preload)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise MutantsImpossible("the process that runs the mutants has died: see what it said above")
        return msgspec.json.decode(line, type=_Answer)

    def restart(self) -> None:
        self.end()
        self._process = self._started()

    def end(self) -> None:
        with self._process:  # it ends when its input does
            pass

    def _started(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # nosec B603 # our own interpreter and our own file
            [sys.executable, str(Path(mutant_server.__file__).resolve())],
            cwd=self._copy, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip


def _has_hypothesis() -> bool:
    return find_spec("hypothesis") is not None and "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in os.environ


class _Answer(Struct, frozen=True, kw_only=True):
    code: int
    modules: list[str]
    seconds: float


@contextmanager
def opened(root: Path, chosen: Settings) -> Iterator[Workshop]:
    """A workshop for the project at `root`, in the system's temporary folder."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "project"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(*_NOT_COPIED), symlinks=True)
        for name in chosen.mutants_beside:
            if (root.parent / name).exists():
                (Path(folder) / name).symlink_to((root.parent / name).resolve())
        environment = _environment(copy, chosen)
        with ExitStack() as servers:
            cold, warm = _Server(copy, environment), _Server(copy, environment)
            servers.callback(cold.end)
            servers.callback(warm.end)
            yield Workshop(copy, cold, warm)


def _environment(copy: Path, chosen: Settings) -> dict[str, str]:
    """This process's, with the copy's code first: also for processes that the tests start."""
    roots = dict.fromkeys([str(copy), *(str(_import_root(copy / place)) for place in chosen.code)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    roots |= dict.fromkeys(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(roots),
        "PYTHONHASHSEED": str(chosen.mutants_seed),
        "PYTHONDONTWRITEBYTECODE": "",
    }


def _import_root(place: Path) -> Path:
    """The folder from which what is at `place` is imported."""
    folder = place if place.is_dir() else place.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder
