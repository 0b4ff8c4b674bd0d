"""Copies what the vault's volume holds to where the service takes it: mode 0600, whole or not at all, again when it
changes. The volume's own files are root's, and the service refuses a key that others can read.

usage: bring_secrets.py FROM TO      FROM is the volume, TO a folder in memory; it ends with SIGTERM
"""

import os
import signal
import sys
import time
from pathlib import Path

LOOK_S = 5.0
"""How often the volume is looked at. The driver itself looks into the vault every two minutes (terraform/)."""


# implements: REQ-DEP-016
def bring(source: Path, target: Path) -> list[str]:
    """`target` holds every file of `source`, of mode 0600. Returns the names that changed.

    A file appears under its name in one step, so that nobody ever reads half a key. One that is gone from the volume
    stays: a key is taken away by starting anew, never by a vault that answered in part.
    """
    changed = []
    for path in sorted(source.iterdir()):
        if path.name.startswith(".") or not path.is_file():  # ..data and its like are the volume's own
            continue
        body, copy = path.read_bytes(), target / path.name
        if copy.exists() and copy.read_bytes() == body:
            continue
        if not body:
            raise ValueError(f"{path.name} is empty in the vault")
        new = target / f".{path.name}.new"
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        new.replace(copy)
        changed.append(path.name)
    return changed


def main(words: list[str]) -> None:
    source, target = Path(words[0]), Path(words[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            changed = bring(source, target)
        except (OSError, ValueError) as error:
            changed = []
            sys.stderr.write(f"bring_secrets: {error}; what was brought before stays\n")
        for name in changed:
            sys.stderr.write(f"bring_secrets: {name} is new\n")  # the name alone, never what is in it
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main(sys.argv[1:])
