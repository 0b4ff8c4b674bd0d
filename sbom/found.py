"""What was found of an environment: distributions, and the native files in them.

Pure.
"""

from msgspec import Struct


class LicenceFile(Struct, frozen=True, kw_only=True):
    """A licence's text as the distribution carries it: its path in the distribution's folder, and the text."""

    path: str
    text: str


class Distribution(Struct, frozen=True, kw_only=True):
    """One installed distribution. `depends` are the normalised names that its metadata asks for in this environment."""

    name: str
    version: str
    summary: str
    licence_expression: str | None
    licence: str | None
    classifiers: tuple[str, ...]
    licence_files: tuple[LicenceFile, ...]
    supplier: str | None
    supplier_email: str | None
    depends: tuple[str, ...]
    files: tuple[str, ...]
    """Where its files are; only those that exist."""
    site: str
    editable: bool


class Installed(Struct, frozen=True, kw_only=True):
    """What pip installed: the file's name and SHA-256; SHA-512 where the file was at hand."""

    version: str
    file: str
    sha256: str
    sha512: str | None = None


class NativeFile(Struct, frozen=True, kw_only=True):
    """A library or program in a distribution; `path` is relative to the folder of installed packages."""

    owner: str
    name: str
    abi: str | None
    path: str
    sha256: str
    sha512: str
    program: bool
