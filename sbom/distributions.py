"""The Python distributions of an environment, read from its files: nothing of it is imported or run.

What pip wrote at installation is read besides: the report names the file that was installed, by its SHA-256. A lock
lists up to 82 of them for one package and does not say which is which.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker, default_environment
from packaging.requirements import InvalidRequirement, Requirement

from sbom.errors import DocumentInvalid
from sbom.found import Distribution, Installed, LicenceFile
from sbom.lockfile import normalise
from traceability.marks import implements

REPORTS: Final = "install-reports"
"""The folder of pip's reports inside an environment: one a run, in the order of their names."""


@implements("REQ-SBM-001")
def environment(site: Path) -> tuple[Distribution, ...]:
    """Every distribution under the site-packages folder `site`, by normalised name. Raises `DocumentInvalid`."""
    if not site.is_dir():
        raise DocumentInvalid(f"{site}: no folder of installed packages")
    found = {normalise(one.metadata["Name"]): one for one in metadata.distributions(path=[str(site)])}
    extras = _extras(found)
    return tuple(_read(name, one, site, extras.get(name, set()), found.keys()) for name, one in sorted(found.items()))


@implements("REQ-SBM-001")
def reports(folder: Path) -> dict[str, Installed]:
    """What pip's reports in `folder` say was installed, by normalised name; a later report counts."""
    known: dict[str, Installed] = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        beside = path.with_suffix(".sha512")
        try:
            report = json.loads(path.read_bytes())
            longer = json.loads(beside.read_bytes()) if beside.is_file() else {}
            for entry in report["install"]:
                name = normalise(entry["metadata"]["name"])
                archive = entry["download_info"].get("archive_info")
                if archive is None:  # a folder: ours, editable
                    continue
                known[name] = Installed(
                    version=entry["metadata"]["version"],
                    file=unquote(urlsplit(entry["download_info"]["url"]).path.rsplit("/", 1)[-1]),
                    sha256=archive["hashes"]["sha256"],
                    sha512=longer.get(archive["hashes"]["sha256"]),
                )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DocumentInvalid(f"{path.name}: not a report of pip install (PEP 710 fields are missing)") from error
    return known


def _extras(found: Mapping[str, metadata.Distribution]) -> dict[str, set[str]]:
    """The extras of each distribution that another one's metadata asks for, as far as they follow from each other."""
    asked: dict[str, set[str]] = {}
    changed = True
    while changed:
        changed = False
        for name, one in found.items():
            for wanted in _requirements(one, asked.get(name, set())):
                known = asked.setdefault(normalise(wanted.name), set())
                if not wanted.extras <= known:
                    known |= wanted.extras
                    changed = True
    return asked


def _requirements(one: metadata.Distribution, extras: Iterable[str]) -> list[Requirement]:
    """The requirements that hold here, for these extras."""
    held = []
    for text in one.metadata.get_all("Requires-Dist") or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement as error:
            raise DocumentInvalid(f"{one.metadata['Name']}: Requires-Dist {text!r} is no requirement") from error
        if wanted.marker is None or any(_holds(wanted.marker, extra) for extra in ("", *extras)):
            held.append(wanted)
    return held


def _holds(marker: Marker, extra: str) -> bool:
    environment = {name: str(value) for name, value in default_environment().items()}
    return marker.evaluate({**environment, "extra": extra})


def _read(
    name: str, one: metadata.Distribution, site: Path, extras: Iterable[str], present: Iterable[str]
) -> Distribution:
    said: Any = one.metadata
    known = set(present)
    wanted = {normalise(each.name) for each in _requirements(one, extras)}
    supplier, email = _supplier(said)
    located = [Path(str(file.locate())) for file in one.files or ()]
    return Distribution(
        name=name,
        version=one.version,
        summary=said.get("Summary") or "",
        licence_expression=said.get("License-Expression"),
        licence=said.get("License"),
        classifiers=tuple(c for c in said.get_all("Classifier") or () if c.startswith("License ::")),
        licence_files=tuple(_licence_files(one, said.get_all("License-File") or ())),
        supplier=supplier,
        supplier_email=email,
        depends=tuple(sorted((wanted & known) - {name})),
        files=tuple(str(path) for path in located if path.is_file()),
        site=str(site),
        editable="__editable__" in " ".join(path.name for path in located) or _direct(one),
    )


def _direct(one: metadata.Distribution) -> bool:
    """PEP 610: it was installed from a folder, not from a file with a digest."""
    text = one.read_text("direct_url.json")
    return text is not None and "dir_info" in json.loads(text)


def _supplier(said: Any) -> tuple[str | None, str | None]:
    """Who maintains it by its own word, else who wrote it: name and address of the first one that has any."""
    for field in ("Maintainer", "Author"):
        name, address = said.get(field), said.get(f"{field}-email")
        if address and "<" in address:
            given, _, address = address.split(",")[0].partition("<")
            name, address = name or given.strip().strip('"'), address.rstrip("> ")
        if name or address:
            return (name or address), (address if address and "@" in address else None)
    return None, None


def _licence_files(one: metadata.Distribution, named: Sequence[str]) -> Iterable[LicenceFile]:
    """The files that its metadata names as licences; without any, those that are called so."""
    for file in sorted(one.files or (), key=str):
        inside = ".dist-info/" in str(file)
        path = str(file).split(".dist-info/", 1)[-1].removeprefix("licenses/")
        words = ("licen", "copying", "notice")
        if inside and (path in named or (not named and path.lower().startswith(words))):
            located = Path(str(file.locate()))
            if located.is_file():
                yield LicenceFile(path=str(file), text=located.read_text("utf-8", errors="replace"))
