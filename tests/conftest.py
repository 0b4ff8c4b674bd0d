"""What every test may use: the repository, third-party vectors, and rules for generated examples."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# No deadline: how long an example takes says nothing of whether the fact is true.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def third_party_vectors() -> Path:
    """Test vectors that others published; `MEDAI_TEST_VECTORS` names the folder."""
    folder = Path(os.environ.get("MEDAI_TEST_VECTORS") or REPOSITORY.parent / "shared" / "vectors")
    if not folder.is_dir():
        pytest.skip("no third-party vectors: MEDAI_TEST_VECTORS names no folder")
    return folder
