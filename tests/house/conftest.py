"""The tree as a reader has it: every file of the repository but what is made or installed."""

from pathlib import Path

import pytest

MADE = {
    ".git", ".venv", ".medai", "build", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
    ".import_linter_cache", ".schemathesis",
}  # fmt: skip
PACKAGES = ("service", "audit", "traceability", "sbom", "migrations")


def _is_ours(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    return path.is_file() and not MADE.intersection(parts) and not any(part.endswith(".egg-info") for part in parts)


@pytest.fixture(scope="session")
def files(repository: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in repository.rglob("*") if _is_ours(path, repository)))


@pytest.fixture(scope="session")
def python_files(files) -> tuple[Path, ...]:
    return tuple(path for path in files if path.suffix == ".py")


@pytest.fixture(scope="session")
def library_files(python_files, repository: Path) -> tuple[Path, ...]:
    return tuple(path for path in python_files if path.relative_to(repository).parts[0] in PACKAGES)


@pytest.fixture(scope="session")
def text_files(files) -> tuple[Path, ...]:
    """Every file that is UTF-8 text, vendored files excepted: they are kept as their authors published them."""
    return tuple(path for path in files if not _is_vendored(path) and _is_text(path))


def _is_vendored(path: Path) -> bool:
    return "static" in path.parts and path.suffix in {".js", ".css", ".map"}


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True
