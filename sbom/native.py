"""Native code inside wheels: shared libraries and programs that a scanner of Python packages does not see.

A wheel's own extension modules are part of the wheel; what was bundled with it (auditwheel's `NAME.libs`, programs)
was made elsewhere. The file's name gives the library's name and its ABI version, which is not its release: that is
not known, and is said to be so.
"""

import re
from collections.abc import Iterator
from hashlib import sha256, sha512
from pathlib import Path
from typing import Final

from sbom.found import Distribution, NativeFile
from traceability.marks import implements

ELF: Final = b"\x7fELF"
_MODULE = re.compile(r"\.(cpython-\d+[a-z]*-[^.]+|abi3)\.so$").search
# auditwheel appends a digest to the name: libpng16-1d1ba958.so.16.58.0; some have two.
_LIBRARY = re.compile(r"(?P<name>.+?)(?:-[0-9a-f]{8}){0,2}\.so(?:\.(?P<abi>[0-9][0-9.a-z]*))?").fullmatch


@implements("REQ-SBM-001")
def of(distribution: Distribution) -> tuple[NativeFile, ...]:
    """The native files that `distribution` brings and that are no extension modules of its own, by path."""
    return tuple(sorted(_native(distribution), key=lambda each: each.path))


def _native(distribution: Distribution) -> Iterator[NativeFile]:
    site = Path(distribution.site)
    packages = {path.name for path in site.iterdir() if path.is_dir()}
    for path in map(Path, distribution.files):
        with path.open("rb") as file:
            if file.read(4) != ELF:
                continue
        if _MODULE(path.name) and not path.parent.name.endswith(".libs"):
            continue
        library = _LIBRARY(path.name)
        if library is not None and _plain_module(path, packages):
            continue
        content = path.read_bytes()
        yield NativeFile(
            owner=distribution.name,
            name=library["name"] if library else path.name,
            abi=library["abi"] if library else None,
            path=_relative(path, site),
            sha256=sha256(content).hexdigest(),
            sha512=sha512(content).hexdigest(),
            program=library is None,
        )


def _plain_module(path: Path, packages: set[str]) -> bool:
    """`name.so` in a package's folder, without `lib` before it: an extension module of one interpreter only."""
    return path.name.endswith(".so") and not path.name.startswith("lib") and path.parent.name in packages


def _relative(path: Path, site: Path) -> str:
    try:
        return path.resolve().relative_to(site.resolve()).as_posix()
    except ValueError:  # a program in bin/
        return f"bin/{path.name}"
