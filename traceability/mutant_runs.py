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
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from traceability import mutant_server
from traceability.errors import MutantsImpossible
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
    """The tests of one requirement, with the code as it is."""

    arguments: tuple[str, ...]
    seconds: float


class Workshop:
    """A copy of a project, and a server that runs tests in it. `opened` makes and removes it."""

    def __init__(self, copy: Path, server: "subprocess.Popen[str]") -> None:
        self._copy, self._server = copy, server
        self._preload: Sequence[str] = ()

    def baseline(self, tests: Sequence[str], seed: int) -> Baseline:
        """Run `tests` on the code as it is. Raises `MutantsImpossible` where they do not pass in the copy."""
        seeded = (f"--hypothesis-seed={seed}",) if _has_hypothesis() else ()
        arguments = (*_ARGUMENTS, *seeded, *tests)
        answer = self._ask(arguments, _FIRST_S)
        if answer.code != 0:
            command = f"python -m pytest {' '.join(arguments)}"
            said = f"the claiming tests do not pass in a copy of the project (pytest's exit code {answer.code})"
            raise MutantsImpossible(f"{said}: there, try `{command}`; folders that they need beside the project are "
                                    "named by mutants_beside")  # fmt: skip
        self._preload = answer.modules
        return Baseline(arguments=arguments, seconds=self._ask(arguments, _FIRST_S).seconds)

    def fate(self, file: str, mutant: Mutant, known: Baseline) -> Fate:
        """What becomes of `mutant` of `file`; the copy is as before afterwards."""
        path = self._copy / file
        source = path.read_bytes()
        shutil.rmtree(self._copy / ".hypothesis", ignore_errors=True)  # examples of one mutant are not another's
        try:
            self._put(path, mutant.applied(source))
            code = self._ask(known.arguments, known.seconds * _SLOWER + _GRACE_S).code
        finally:
            self._put(path, source)
        if code in (_FAILED, mutant_server.PASSED_DEADLINE, mutant_server.DIED):
            return "killed"
        return "survived" if code == 0 else "stillborn"

    def _put(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()  # it is as new as the file, to the second, and may be of the other content

    def _ask(self, arguments: Sequence[str], deadline_s: float) -> "_Answer":
        job = {"arguments": list(arguments), "deadline_s": deadline_s, "preload": list(self._preload)}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        if not line:
            raise MutantsImpossible("the process that runs the mutants has died: see what it said above")
        return msgspec.json.decode(line, type=_Answer)


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
        command = [sys.executable, str(Path(mutant_server.__file__).resolve())]
        with subprocess.Popen(  # nosec B603 # our own interpreter and our own file
            command, cwd=copy, env=_environment(copy, chosen), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:  # it ends when its input does
            yield Workshop(copy, server)


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
