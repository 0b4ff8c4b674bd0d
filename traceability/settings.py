"""`[tool.medai.trace]`: where a project keeps its requirements, code and tests, and what its classes demand.

Everything has a default but nothing is guessed from the code: a project says in its pyproject where things are.
"""

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from traceability import toml_lines
from traceability.errors import ConfigurationInvalid
from traceability.requirements import SafetyClass
from traceability.rows import Level, Severity

Percent = Annotated[int, Meta(ge=0, le=100)]
Reader = Literal["strictdoc", "openfasttrace"]

TABLE: Final = "tool.medai.trace"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a project says of itself. Paths are relative to the folder of its pyproject."""

    project: str = ""
    """What the reports call it; the distribution's name unless it is given."""
    requirements: tuple[str, ...] = ("traceability/requirements",)
    """Files and folders of `*.toml` with requirements and hazards."""
    code: tuple[str, ...] = ("src",)
    """Files and folders in which requirements are implemented."""
    tests: tuple[str, ...] = ("tests",)
    evidence: str = "build/trace"
    """Where a test run leaves its results, and where they are looked for."""
    mutants: str = "traceability/mutants.json"
    """What is known of mutants; it is kept, since it holds as long as neither code nor tests move."""
    marks: str = ""
    """The module that holds the generated `Literal` of the ids; none where it is empty."""
    reviews: Literal["optional", "required"] = "optional"
    """Whether a link that nobody has reviewed is a finding."""
    review_records: str = "traceability/reviews"
    """Where `medai trace review` keeps what reviewers said."""
    independent_reviews: tuple[SafetyClass, ...] = ("C",)
    """The classes whose code and tests may not be reviewed by those who wrote them."""
    readers: tuple[Reader, ...] = ()
    """Whose marks are read besides our own."""
    lobster: tuple[str, ...] = ()
    """LOBSTER files (`*.lobster`) with requirements, implementations and activities."""
    specifications: tuple[str, ...] = ()
    """Files and folders with specification items of OpenFastTrace (Markdown)."""
    imported_class: SafetyClass = "B"
    """The class of requirements that are read from other tools' files, which have none."""
    levels: dict[SafetyClass, Level] = field(default_factory=lambda: {"A": 1, "B": 2, "C": 4})
    """Which level of proof each safety class demands."""
    branches_percent: dict[SafetyClass, Percent] = field(default_factory=lambda: {"A": 0, "B": 80, "C": 100})
    """How many of a unit's branches its claiming tests must take for level 3."""
    mutants_percent: dict[SafetyClass, Percent] = field(default_factory=lambda: {"A": 0, "B": 60, "C": 80})
    """How many of a unit's mutants its claiming tests must kill for level 4."""
    words_up_to: SafetyClass = "B"
    """Up to which class an implication, an exception or a todo, which are only words, may stand for a proof."""
    mutants_budget_s: Annotated[int, Meta(ge=1, le=86_400)] = 120
    """How long the mutants of one requirement may take."""
    mutants_beside: tuple[str, ...] = ()
    """Folders beside the project's that its tests need, such as test vectors: they are linked beside the copy."""
    mutants_seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1
    """Orders the mutants, so that two runs that use up their time try the same ones."""
    child_processes: bool = True
    """Whether what Python processes started by a test run counts as run by it."""
    severity: dict[str, Severity] = {}
    """Findings by code that this project counts otherwise: `note` is shown and does not close the gate."""


def parse(text: str, file: str = "pyproject.toml") -> Settings:
    """The settings in `text`, a pyproject. Raises `ConfigurationInvalid` with the line and what is allowed."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationInvalid(f"{file}: not TOML: {error}") from error
    table = _within(content, TABLE)
    if table is None:
        raise ConfigurationInvalid(f"{file}: there is no [{TABLE}]: say there where requirements, code and tests are")
    try:
        found = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationInvalid(f"{file}:{toml_lines.first(text, TABLE)}: [{TABLE}]: {error}") from error
    name = (_within(content, "project") or {}).get("name", "")
    return found if found.project else msgspec.structs.replace(found, project=str(name))


def is_configured(text: str) -> bool:
    """Whether this pyproject asks for traceability at all."""
    try:
        return _within(tomllib.loads(text), TABLE) is not None
    except tomllib.TOMLDecodeError:
        return False


def _within(content: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    found: Any = content
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None
