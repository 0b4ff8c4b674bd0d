"""Route templates: what records and metrics call a path, so that neither ever holds what a caller wrote there."""

import re
from collections.abc import Iterable

from traceability.marks import implements


@implements("REQ-SEC-007")
class Templates:
    """Knows the application's paths also where no handler was reached (405, or a refusal before routing)."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._plain: set[str] = set()
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        # With more of it written out comes before with less, as with Litestar.
        for path in sorted(paths, key=lambda each: each.count("{")):
            if "{" in path:
                pattern = "/".join(_expression(part) for part in path.split("/"))
                # As Litestar names it: without the parameter's type.
                self._patterns.append((re.compile(pattern), re.sub(r":\w+}", "}", path)))
            else:
                self._plain.add(path)

    def of(self, path: str) -> str | None:
        """The template that `path` matches, or None."""
        normal = re.sub("//+", "/", f"/{path.strip('/')}")
        if normal in self._plain:
            return normal
        return next((template for pattern, template in self._patterns if pattern.fullmatch(normal)), None)


def _expression(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return ".+" if part.endswith(":path}") else "[^/]+"
