"""Markdown as a forge renders it: text that stays text, code, tables. Pure."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@&])")


def escaped(text: str) -> str:
    """`text` as it reads: no emphasis, link, mention, HTML or table cell comes of it, and it stays on its line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """`text` as code. A backtick within needs a longer fence (CommonMark 6.1), a bar is escaped for tables."""
    plain = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}" if plain else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every cell is Markdown already."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)
