"""Where advisories come from: OSV through pip-audit, a folder or zip of OSV records, or a dated bundle of all of it.

Each feed has a date of its own: the newest record's, KEV's `dateReleased`, EPSS's `score_date`, the bundle's. One
that is too old, or that cannot say how old it is, is a failure: "none found" in it means nothing.
"""

import csv
import datetime as dt
import gzip
import io
import json
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from sbom.errors import DocumentInvalid, FeedUnusable
from sbom.fields import walk
from sbom.lockfile import normalise
from sbom.vulnerabilities import Audited, Feed, Feeds, Finding
from traceability.marks import implements

MANIFEST: Final = "manifest.json"
FORMAT: Final = "medai.vulnerability-bundle/1"
MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
MAX_EPSS_BYTES: Final = 256 * 1024 * 1024
MAX_BYTES: Final = 4 * 1024 * 1024 * 1024
"""Of all records of a source together, unpacked."""
MAX_RECORDS: Final = 2_000_000
MAX_LAG_DAYS: Final = 7
"""Advisories for Python come every week: a bundle whose newest is older than its day by more was not fetched then."""
TIMEOUT_S: Final = 600
PYPI: Final = "pkg:pypi/"
_OURS: Final = ("kev.json", "epss.csv", MANIFEST)


class Advisories(Struct, frozen=True, kw_only=True):
    """OSV records and the second opinions beside them, with the feeds that they are from."""

    records: tuple[Mapping[str, Any], ...]
    opinions: Feeds
    feeds: tuple[Feed, ...]


@implements("REQ-SBM-004")
def offline(source: Path, *, kev: Path | None, epss: Path | None) -> Advisories:
    """The records of a folder, a zip, or a bundle. Raises `FeedUnusable` for what cannot be relied on."""
    files = _read(source)
    dated = _manifest(files)
    records = tuple(_record(name, text) for name, text in sorted(files.items()) if name.rsplit("/", 1)[-1] not in _OURS)
    if not records:
        raise FeedUnusable(f"{source.name}: no advisory in it; none found in nothing means nothing")
    newest = max(_day(str(each.get("modified", "")), source.name) for each in records)
    if dated is not None and (dated - newest).days > MAX_LAG_DAYS:
        raise FeedUnusable(
            f"{source.name}: it says {dated.isoformat()}, and no record in it is newer than {newest.isoformat()}"
        )
    opinions, used = _opinions(
        kev.read_bytes() if kev else files.get("kev.json"), epss.read_bytes() if epss else files.get("epss.csv")
    )
    feeds = (Feed(name="osv", date=dated or newest, records=len(records)), *used)
    return Advisories(records=records, opinions=opinions, feeds=feeds)


def opinions(kev: Path | None, epss: Path | None) -> tuple[Feeds, tuple[Feed, ...]]:
    """Who is known to exploit what, and how probable it is, with the day of each."""
    return _opinions(kev.read_bytes() if kev else None, epss.read_bytes() if epss else None)


def _opinions(kev: bytes | None, epss: bytes | None) -> tuple[Feeds, tuple[Feed, ...]]:
    exploited: frozenset[str] = frozenset()
    probabilities: dict[str, int] = {}
    used = []
    if kev is not None:
        exploited, day = _kev(kev)
        used.append(Feed(name="kev", date=day, records=len(exploited)))
    if epss is not None:
        probabilities, day = _epss(epss)
        used.append(Feed(name="epss", date=day, records=len(probabilities)))
    return Feeds(exploited=exploited, epss_ppm=probabilities), tuple(used)


@implements("REQ-SBM-004")
def require_fresh(feeds: Sequence[Feed], today: dt.date, max_age_days: int) -> None:
    """Raises `FeedUnusable` naming the first feed that is too old, or of a day that is yet to come."""
    for each in feeds:
        age = (today - each.date).days
        if age > max_age_days:
            raise FeedUnusable(
                f"{each.name}: of {each.date.isoformat()}, {age} days old; at most {max_age_days} are allowed"
            )
        if age < -1:  # a day's difference is a time zone
            raise FeedUnusable(f"{each.name}: of {each.date.isoformat()}, which is yet to come")


@implements("REQ-SBM-004")
def bundle(target: Path, source: Path, *, kev: Path | None, epss: Path | None, date: dt.date) -> int:
    """Write a zip that carries everything to a site without a network; the same input gives the same bytes."""
    files = {f"osv/{name}": text for name, text in _read(source).items()}
    if kev:
        files["kev.json"] = kev.read_bytes()
    if epss:
        text = epss.read_bytes()
        files["epss.csv"] = _unpacked(text)
    digests = {name: sha256(text).hexdigest() for name, text in sorted(files.items())}
    files[MANIFEST] = json.dumps({"format": FORMAT, "date": date.isoformat(), "sha256": digests}, indent=2).encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return len(files) - 1


def online(components: Sequence[Audited], *, osv_url: str | None = None) -> tuple[Finding, ...]:
    """What pip-audit finds in OSV today. Raises `FeedUnusable` where it could not look one of them up."""
    lines = "".join(f"{each.name}=={each.version}\n" for each in components)
    command = [sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", "--no-deps", "--format", "json"]
    command += [
        "--progress-spinner",
        "off",
        "--vulnerability-service",
        "osv",
        *(("--osv-url", osv_url) if osv_url else ()),
    ]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        file.write(lines)
        file.flush()
        try:
            done = subprocess.run(  # nosec B603  # our own words; names and versions go through a file
                [*command, "--requirement", file.name], capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise FeedUnusable(f"pip-audit did not end within {TIMEOUT_S} s") from error
    try:
        told = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError) as error:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise FeedUnusable(f"pip-audit: {words[-1][:300] if words else 'it said nothing'}") from error
    skipped = [str(each.get("name")) for each in told if "skip_reason" in each]
    if skipped:
        raise FeedUnusable(f"pip-audit could not look up {', '.join(skipped)}")
    refs = {(each.name, each.version): each.ref for each in components}
    missed = refs.keys() - {(each["name"], each["version"]) for each in told}
    if missed:
        raise FeedUnusable(f"pip-audit looked up {len(told)} of {len(refs)} components; not {min(missed)[0]}")
    return tuple(
        Finding(
            id=each["id"],
            aliases=tuple(sorted(each.get("aliases", ()))),
            summary=str(each.get("description", "")).strip().split("\n")[0][:300],
            component=refs[(one["name"], one["version"])],
            name=one["name"],
            version=one["version"],
            fixed_in=tuple(each.get("fix_versions", ())),
            exploited=False,
            epss_ppm=None,
            cvss_tenths=None,
            modified="",
        )
        for one in told
        for each in one.get("vulns", ())
    )


def _read(source: Path) -> dict[str, bytes]:
    """All of them, as long as they are not too many bytes."""
    files: dict[str, bytes] = {}
    total = 0
    for name, content in _files(source):
        total += len(content)
        if total > MAX_BYTES:
            raise FeedUnusable(f"{source.name}: more than {MAX_BYTES} bytes together")
        files[name] = content
    return files


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """The records' files: JSON or YAML, by their path in the folder or zip."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file() and path.suffix in (".json", ".yaml", ".csv"):
                yield path.relative_to(source).as_posix(), _bounded(path.name, path.stat().st_size, path.read_bytes)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            if len(archive.infolist()) > MAX_RECORDS:
                raise FeedUnusable(f"{source.name}: more than {MAX_RECORDS} files")
            for entry in archive.infolist():
                if entry.filename.endswith((".json", ".yaml", ".csv")):
                    yield entry.filename, _bounded(entry.filename, entry.file_size, lambda e=entry: archive.read(e))
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
    ) as error:  # RuntimeError: encrypted, unknown
        raise FeedUnusable(f"{source.name}: neither a folder nor a zip that can be read: {error}") from error


def _bounded(name: str, size: int, read: Any) -> bytes:
    most = MAX_EPSS_BYTES if name == "epss.csv" else MAX_RECORD_BYTES
    if size > most:
        raise FeedUnusable(f"{name}: {size} bytes, at most {most}")
    content: bytes = read()
    return content


def _manifest(files: Mapping[str, bytes]) -> dt.date | None:
    """The day of a bundle, after its files are those that it names; None for a plain folder or zip."""
    if MANIFEST not in files:
        return None
    try:
        told = json.loads(files[MANIFEST])
        digests = told["sha256"]
        day = dt.date.fromisoformat(told["date"])
    except (ValueError, KeyError, TypeError) as error:
        raise FeedUnusable(f"{MANIFEST}: not a bundle's") from error
    if told.get("format") != FORMAT:
        raise FeedUnusable(f"{MANIFEST}: of the format {told.get('format')!r}, expected {FORMAT!r}")
    there = {name: sha256(text).hexdigest() for name, text in files.items() if name != MANIFEST}
    if there != digests:
        wrong = sorted(set(there.items()) ^ set(digests.items()))[0][0]
        raise FeedUnusable(f"bundle: {wrong} is missing, changed or not named in its manifest")
    return day


def _record(name: str, text: bytes) -> Mapping[str, Any]:
    try:
        record = json.loads(text) if name.endswith(".json") else yaml.load(text, _Loader)  # nosec B506  # a safe loader
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise FeedUnusable(f"{name}: neither JSON nor YAML") from error
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise FeedUnusable(f"{name}: not an OSV record: it has no id")
    return record


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # either of two classes
    """Safe YAML whose times stay the text that they are."""


_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def _kev(text: bytes) -> tuple[frozenset[str], dt.date]:
    try:
        told = json.loads(text)
        return frozenset(each["cveID"] for each in told["vulnerabilities"]), _day(told["dateReleased"], "kev")
    except (ValueError, KeyError, TypeError) as error:
        raise FeedUnusable("kev: not CISA's known_exploited_vulnerabilities.json") from error


def _epss(text: bytes) -> tuple[dict[str, int], dt.date]:
    """FIRST's CSV: a comment with `score_date`, then cve,epss,percentile."""
    try:
        comment, _, rest = _unpacked(text).decode("utf-8").partition("\n")
        day = comment.partition("score_date:")[2].partition(",")[0]
        rows = csv.DictReader(io.StringIO(rest))
        return {row["cve"]: round(float(row["epss"]) * 1_000_000) for row in rows}, _day(day, "epss")
    except (ValueError, KeyError, TypeError) as error:
        raise FeedUnusable("epss: not FIRST's CSV with its score_date") from error


def _unpacked(text: bytes) -> bytes:
    """What gzip packed, as long as it is not too much; anything else as it is."""
    if text[:2] != b"\x1f\x8b":
        return text
    try:
        with gzip.open(io.BytesIO(text)) as packed:
            content = packed.read(MAX_EPSS_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FeedUnusable("epss: not gzip that can be unpacked") from error
    if len(content) > MAX_EPSS_BYTES:
        raise FeedUnusable(f"epss: more than {MAX_EPSS_BYTES} bytes unpacked")
    return content


def _day(text: str, what: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError as error:
        raise FeedUnusable(f"{what}: it does not say how old it is") from error


@implements("REQ-SBM-004")
def unaudited(document: Mapping[str, Any]) -> dict[str, int]:
    """How many components that ship are not looked up, by the type of their package URL: nothing is known of them."""
    kinds = Counter(
        str(each.get("purl") or each.get("type")).removeprefix("pkg:").partition("/")[0]
        for each in _shipped(document)
        if not str(each.get("purl", "")).startswith(PYPI)
    )
    return dict(sorted(kinds.items()))


def _shipped(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in walk(document.get("components", ())) if each.get("scope", "required") != "excluded"]


@implements("REQ-SBM-004")
def audited(document: Mapping[str, Any]) -> tuple[Audited, ...]:
    """The Python components of a bill of materials that ship. Raises where there is none, or one has no version."""
    listed = [each for each in _shipped(document) if str(each.get("purl", "")).startswith(PYPI)]
    if not listed:
        raise DocumentInvalid("the bill of materials lists no Python package that ships: nothing would be audited")
    nameless = [str(each["purl"]) for each in listed if not each.get("version")]
    if nameless:
        raise FeedUnusable(f"{nameless[0]}: it has no version to look up")
    return tuple(Audited(ref=each["purl"], name=normalise(each["name"]), version=each["version"]) for each in listed)
