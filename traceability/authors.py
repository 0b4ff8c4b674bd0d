"""Who wrote what, as git has it: whose lines a piece of code is made of, and who is asking.

Asks the git on this machine and changes nothing. What was not committed has no author, and is refused.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from traceability.errors import ReviewRefused
from traceability.marks import implements

TIMEOUT_S: Final = 60
_UNCOMMITTED: Final = "0" * 40


@implements("REQ-TRC-008")
def of_lines(root: Path, file: str, first: int, last: int) -> tuple[str, ...]:
    """Everybody who wrote one of the lines `first` to `last`, as `NAME <MAIL>`, sorted.

    Changes of white space alone make nobody an author. Raises `ReviewRefused` where a line is not committed.
    """
    told = _git(root, "blame", "--line-porcelain", "-w", "-L", f"{first},{last}", "--", file)
    authors: set[str] = set()
    name = ""
    for line in told.splitlines():
        if line.startswith(_UNCOMMITTED):
            raise ReviewRefused(f"{file}:{first}: not committed, so that nobody can say who wrote it: commit it first")
        if line.startswith("author "):
            name = line.removeprefix("author ")
        elif line.startswith("author-mail "):
            authors.add(f"{name} {line.removeprefix('author-mail ')}")
    return tuple(sorted(authors))


@implements("REQ-TRC-008")
def asking(root: Path) -> str:
    """Whoever works here, as git knows them: `NAME <MAIL>`. Raises `ReviewRefused` where it does not."""
    try:
        name, mail = (_git(root, "config", setting).strip() for setting in ("user.name", "user.email"))
    except ReviewRefused as error:
        raise ReviewRefused("git does not know who you are: say --reviewer 'NAME <MAIL>'") from error
    return f"{name} <{mail}>"


def _git(root: Path, *arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise ReviewRefused("there is no git here, so that nobody can say who wrote what")
    done = subprocess.run(  # nosec B603  # git alone, no shell; the arguments are paths and numbers of ours
        [git, "-C", str(root), *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise ReviewRefused(f"git {arguments[0]}: {done.stderr.strip() or 'no answer'}")
    return done.stdout
