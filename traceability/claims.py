"""What a test claims: the marks that pytest sees on it."""

from typing import Final

import pytest

MARK: Final = "verifies"


def claims(item: pytest.Item) -> tuple[str, ...]:
    """The requirements that the marks of `item` name, each once, in the order of the marks."""
    return tuple(dict.fromkeys(name for mark in item.iter_markers(MARK) for name in mark.args))
