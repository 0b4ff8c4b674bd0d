"""What is read of one file: who cites which requirement, and the pieces of code and the tests that do.

`python_source`, `blocks`, `foreign` and `lobster` make these; nothing here is ever found out by importing a file.
"""

from typing import Literal

from msgspec import Struct

from traceability.rows import CitationKind, UnitKind

Dialect = Literal["medai", "strictdoc", "openfasttrace", "lobster"]


class Citation(Struct, frozen=True, kw_only=True):
    """One mark. `target` is the id of the unit or test that it stands at."""

    requirement: str
    kind: CitationKind
    file: str
    line: int
    target: str
    reason: str = ""
    owner: str = ""
    due: str = ""
    dialect: Dialect = "medai"


class Unit(Struct, frozen=True, kw_only=True):
    """A piece of code that is cited, or a public function.

    `bodies` are the lines, first and last, of the functions in it, without their headers, decorators and docstrings:
    what runs when it is called and not when it is imported. `entries` are the lines that coverage names when such a
    function is entered; they tell a call from an import where header and body share a line.
    """

    id: str
    file: str
    name: str
    kind: UnitKind
    line: int
    first_line: int
    last_line: int
    language: str = "python"
    bodies: tuple[tuple[int, int], ...] = ()
    entries: tuple[int, ...] = ()
    hollow: bool = False
    """There are functions, and none of them does anything: a docstring, `pass`, `...` or NotImplementedError."""
    text: str = ""
    """Of what is not Python: its lines, for its fingerprint."""

    @property
    def executable(self) -> bool:
        """Whether coverage can see it run."""
        return bool(self.bodies or self.entries)


class Test(Struct, frozen=True, kw_only=True):
    """A test function."""

    id: str
    file: str
    name: str
    line: int
    first_line: int
    last_line: int


class Fault(Struct, frozen=True, kw_only=True):
    """A mark that could not be understood, or stands where it means nothing."""

    code: str
    subject: str
    file: str
    line: int
    text: str
    remedy: str


class Reading(Struct, frozen=True, kw_only=True):
    """All that is read of one file."""

    file: str
    citations: tuple[Citation, ...] = ()
    units: tuple[Unit, ...] = ()
    """The units that are cited."""
    public: tuple[Unit, ...] = ()
    """The public functions and methods that stand in no cited unit."""
    tests: tuple[Test, ...] = ()
    faults: tuple[Fault, ...] = ()
