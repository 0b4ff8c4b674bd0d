"""From a release's digest to what it was made of: the components, the matrix, the results of the tests.

A release binds files by their digests. What is told here is read from a file only where it is still the one that was
bound; of one that is not there, or is another one, that is told instead.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from sbom import policy, report, schema
from sbom.errors import DocumentInvalid
from sbom.statement import Release, Resource
from traceability.marks import implements


@implements("REQ-REL-001")
def thread(release: Release, folder: Path) -> Iterator[str]:
    """A line for each thing that a person follows the digest for. `folder` is where the evidence lies."""
    for each in sorted(release.evidence, key=lambda one: str(one.name)):
        read = _READ.get(str(each.name))
        if read is not None:
            yield from _told(each, folder, read)
    missing = sorted(_READ.keys() - {str(each.name) for each in release.evidence})
    if missing:
        yield f"not bound by this release: {', '.join(missing)}"


def _told(bound: Resource, folder: Path, read: Callable[[bytes], Iterator[str]]) -> Iterator[str]:
    path = folder / str(bound.name)
    try:
        content = path.read_bytes()
    except OSError as error:
        yield f"{bound.name}: cannot be read in {folder} ({error.strerror}); name its folder with --evidence"
        return
    if bound.digest != {"sha256": sha256(content).hexdigest()}:
        yield f"{bound.name}: the file in {folder} is NOT the one that the release binds"
        return
    try:
        yield from read(content)
    except (DocumentInvalid, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{bound.name}: it is the one that the release binds, and cannot be understood: {error}"


def _components(content: bytes) -> Iterator[str]:
    document = schema.require_valid(content, strict=False)
    listed = policy.required(document)
    counted = Counter(str(each.get("type")) for each in listed)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counted.items()))
    yield f"components   {len(listed)} that ship ({kinds}): sbom.cdx.json"
    for each in listed:
        if each.get("type") == "machine-learning-model":
            named = f"{each.get('name')} {each.get('version')}: {each.get('description', '')}"
            yield f"  model {schema.plain(named)}"


def _vulnerabilities(content: bytes) -> Iterator[str]:
    told = report.decode(content)
    if told.checked:
        found = f"{len(told.findings)} known, {told.open} open, of {told.audited} looked up"
    else:
        found = f"NOT CHECKED: {told.why_not}"
    yield f"vulnerable   {found} on {told.today.isoformat()}: vulnerabilities.json"


def _matrix(content: bytes) -> Iterator[str]:
    summary: Mapping[str, Any] = json.loads(content)["summary"]
    yield (
        f"matrix       {summary['requirements']} requirements, {summary['hazards_controlled']} of {summary['hazards']}"
        f" hazards controlled, {summary['failing']} findings that fail: trace.json"
    )


def _tests(content: bytes) -> Iterator[str]:
    told = json.loads(content)
    counted = Counter(str(each["outcome"]) for each in told["nodes"])
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items()))
    whole = "the whole suite" if told["complete"] else "a part of the suite"
    yield f"tests        {outcomes} ({whole}, {told['started_at']}): tests.json"


_READ: Final[dict[str, Callable[[bytes], Iterator[str]]]] = {
    "sbom.cdx.json": _components,
    "vulnerabilities.json": _vulnerabilities,
    "trace.json": _matrix,
    "tests.json": _tests,
}
