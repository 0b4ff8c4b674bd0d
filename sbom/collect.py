"""What the product is made of, gathered from a checkout, an environment and (where given) an image's root.

The environment is another interpreter's: it is read, never imported. cyclonedx-bom gives the first view of it and of
the locks; everything that it leaves out is added here.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256, sha512
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct
from packaging.requirements import Requirement

from sbom import bom, components, distributions, licences, lockfile, native, policy
from sbom import installed as installed_digests
from sbom.components import Component
from sbom.errors import DocumentInvalid
from sbom.found import Distribution, Installed
from traceability.marks import implements

LOCKS: Final = ("requirements.lock", "requirements-demo.lock", "requirements-dev.lock")
"""From what ships to what only tests: the first that pins a distribution decides its scope."""
MODELS: Final = "service/models"
POLICY: Final = "sbom/policy.toml"
VENDORED: Final = "service/http/static/VENDORED.toml"
TIMEOUT_S: Final = 300
_BASE_IMAGE = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}").fullmatch


class Places(Struct, frozen=True, kw_only=True):
    """Where to look. `image_root` is the unpacked image whose operating-system packages are listed."""

    project: Path
    python: Path
    image_root: Path | None = None
    base_image: str | None = None
    author: Component | None = None
    """Who makes the document and the product, as a CycloneDX organisation."""
    extent: Literal["shipped", "installed"] = "shipped"
    """What ships alone; or everything that is installed, what only builds and tests marked as excluded."""


class Pieces(Struct, kw_only=True):
    """What has been found so far."""

    components: list[Component]
    depends: dict[str, list[str]]
    complete: list[str]
    unknowns: list[str]


@implements("REQ-SBM-001")
def gather(places: Places) -> tuple[bom.Product, bom.Parts]:
    """Everything. Raises `DocumentInvalid` naming the file that cannot be read."""
    project = tomllib.loads((places.project / "pyproject.toml").read_text("utf-8"))
    pieces = Pieces(components=[], depends={bom.ROOT: []}, complete=[], unknowns=[])
    views = _views(places)
    _python(places, project, views, pieces)
    _own(places, project, pieces)
    _models(places.project, pieces)
    _vendored(places.project, pieces)
    _platform(places, pieces)
    _supported(places.project, pieces)
    product = bom.Product(
        name=project["project"]["name"],
        version=project["project"]["version"],
        description=project["project"]["description"],
        commit=_git(places.project, "rev-parse", "HEAD"),
        made_at=_made_at(places.project),
        author=places.author,
        tool_version=version_of("cyclonedx-bom"),
    )
    parts = bom.Parts(
        components=pieces.components,
        depends=pieces.depends,
        complete=[*pieces.complete],
        unknowns=pieces.unknowns,
    )
    return product, parts


def _views(places: Places) -> dict[str, dict[str, Any]]:
    """cyclonedx-bom's components: of the environment by name, and of each lock by name, read at the same time."""
    locks = [lock for lock in LOCKS if (places.project / lock).is_file()]
    commands = [("environment", str(places.python)), *(("requirements", str(places.project / lock)) for lock in locks)]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda command: _cyclonedx(*command), commands))
    names = ("environment", *locks)
    return {
        name: {lockfile.normalise(each["name"]): each for each in view["components"]}
        for name, view in zip(names, made, strict=True)
    }


def _cyclonedx(kind: str, of: str) -> dict[str, Any]:
    # Its own validation is skipped: what comes of its view is validated last.
    command = [sys.executable, "-m", "cyclonedx_py", kind, of, "--of", "JSON", "--sv", "1.6"]
    command += ["--output-reproducible", "--no-validate"]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)  # nosec B603  # our own words
    if done.returncode != 0:
        raise DocumentInvalid(f"cyclonedx-bom could not read {of}: {done.stderr.decode(errors='replace')[-300:]}")
    view: dict[str, Any] = json.loads(done.stdout)
    return view


def _python(places: Places, project: Mapping[str, Any], views: Mapping[str, Mapping[str, Any]], pieces: Pieces) -> None:
    """Distributions, the native code in them, and the edges of both."""
    site = site_of(places.python)
    pins = {
        lock: {pin.name: pin for pin in lockfile.parse((places.project / lock).read_text("utf-8"))}
        for lock in LOCKS
        if lock in views
    }
    _agree(pins, views)
    installed = distributions.reports(site.parents[2] / distributions.REPORTS)
    own = lockfile.normalise(project["project"]["name"])
    found = [each for each in distributions.environment(site) if not each.editable and each.name != own]
    if places.extent == "shipped":
        found = [each for each in found if each.name in pins.get(LOCKS[0], {})]
    refs = {each.name: components.pypi_purl(each.name, each.version) for each in found}
    direct = {lockfile.normalise(Requirement(each).name) for each in project["project"]["dependencies"]}
    for each in found:
        lock = next((name for name in pins if each.name in pins[name]), None)
        scope = "required" if lock == LOCKS[0] else "excluded"
        was = _checked(each, installed.get(each.name), pins[lock][each.name] if lock else None)
        made = components.python(
            each, views["environment"].get(each.name, {}), licences.of(each), was, scope if lock else "excluded"
        )
        if lock is None:
            made = components.with_properties(made, [("medai:pinned", "false")])
        files = native.of(each)
        bundled = [components.native(file, refs[each.name], str(made["scope"])) for file in files]
        pieces.components += [made, *bundled]
        needs = [refs[name] for name in each.depends if name in refs]
        pieces.depends[refs[each.name]] = [*needs, *(str(one["bom-ref"]) for one in bundled)]
        pieces.complete.append(refs[each.name])
        if lock == LOCKS[0] and each.name in direct:
            pieces.depends[bom.ROOT].append(refs[each.name])
    absent = sorted(set(pins.get(LOCKS[0], {})) - refs.keys())
    if absent:
        pieces.unknowns.append(f"pinned in {LOCKS[0]} and not installed in the environment read: {', '.join(absent)}")
    if any("hashes" not in each for each in pieces.components if str(each.get("purl", "")).startswith("pkg:pypi/")):
        pieces.unknowns.append(
            "some packages were installed without a report of pip: their wheels' digests are unknown"
        )
    pieces.unknowns.append("native code linked statically into wheels is not visible in their files")


def _agree(pins: Mapping[str, Mapping[str, lockfile.Pin]], views: Mapping[str, Mapping[str, Any]]) -> None:
    """Both readings of each lock, ours and cyclonedx-bom's, name the same distributions at the same versions."""
    for lock, ours in pins.items():
        theirs = {name: each.get("version") for name, each in views[lock].items()}
        if theirs != {name: pin.version for name, pin in ours.items()}:
            raise DocumentInvalid(f"{lock}: cyclonedx-bom reads other distributions in it than it pins")


def _checked(one: Distribution, was: Installed | None, pin: lockfile.Pin | None) -> Installed | None:
    """What pip's report says, where it is of this version. Raises where the lock does not allow that file."""
    if was is None or was.version != one.version:
        return None
    if pin is not None and was.sha256 not in pin.sha256:
        raise DocumentInvalid(f"{one.name} {one.version}: the installed file's digest {was.sha256} is not in the lock")
    return was


def _own(places: Places, said: Mapping[str, Any], pieces: Pieces) -> None:
    packages = [name for name in said["tool"]["setuptools"]["packages"] if "." not in name]
    for name in sorted({*packages, "migrations"}):
        digest, count = installed_digests.tree(places.project / name)
        made = components.own(name, said["project"]["version"], digest, count, places.author)
        pieces.components.append(made)
        pieces.depends[bom.ROOT].append(str(made["bom-ref"]))


def _models(project: Path, pieces: Pieces) -> None:
    for path in sorted((project / MODELS).glob("*/*/card.toml")):
        card = tomllib.loads(path.read_text("utf-8"))
        weights = (path.parent / "model.onnx").read_bytes()
        if sha256(weights).hexdigest() != card["sha256"]:
            raise DocumentInvalid(f"{path}: model.onnx is not the file that the card names")
        made = components.model(card, sha512(weights).hexdigest())
        pieces.components.append(made)
        pieces.depends[bom.ROOT].append(str(made["bom-ref"]))
        pieces.complete.append(str(made["bom-ref"]))


def _vendored(project: Path, pieces: Pieces) -> None:
    path = project / VENDORED
    for package in tomllib.loads(path.read_text("utf-8")).get("package", ()) if path.is_file() else ():
        made = components.vendored(package, sorted(package["sha256"].items()))
        pieces.components.append(made)
        pieces.depends[bom.ROOT].append(str(made["bom-ref"]))


def _platform(places: Places, pieces: Pieces) -> None:
    """The interpreter, the operating system's packages and the base image, as far as they were given."""
    executable = places.python.resolve()
    text = subprocess.run(  # nosec B603  # the interpreter that is described
        [executable, "-c", "import platform; print(platform.python_version())"],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=True,
    ).stdout.strip()  # fmt: skip
    content = executable.read_bytes()
    made = components.interpreter(text, executable.name, sha256(content).hexdigest(), sha512(content).hexdigest())
    pieces.components.append(made)
    pieces.depends[bom.ROOT].append(str(made["bom-ref"]))
    if places.author is None:
        pieces.unknowns.append("the author of the document was not named")
    if places.base_image is None:
        pieces.unknowns.append("the base image was not named")
    elif _BASE_IMAGE(places.base_image) is None:
        raise DocumentInvalid(f"{places.base_image}: name the base image by digest, NAME@sha256:HEX")
    else:
        pieces.components.append(components.base_image(places.base_image))
    if places.image_root is None:
        pieces.unknowns.append("the image's root was not given: its operating-system packages are not listed")
        return
    debian_packages(places.image_root, pieces)


def _supported(project: Path, pieces: Pieces) -> None:
    """What the policy knows of each component's support, by the component's own author's word."""
    path = project / POLICY
    rules = policy.parse(path.read_text("utf-8")) if path.is_file() else policy.Policy()
    known = [(each, policy.supported(rules, each)) for each in pieces.components]
    pieces.components = [components.supported(each, said.level, said.end) if said else each for each, said in known]


@implements("REQ-SBM-002")
def debian_packages(root: Path, pieces: Pieces) -> None:
    """The packages of an unpacked image, and who needs whom. Raises `DocumentInvalid` where its notes are not there."""
    stanzas = {
        each["Package"]: each
        for each in _stanzas(root / "var/lib/dpkg")
        if "installed" in each.get("Status", "installed")
    }
    try:
        lines = (root / "etc/os-release").read_text("utf-8").splitlines()
    except OSError as error:
        raise DocumentInvalid(f"{root}: etc/os-release cannot be read: {error.strerror}") from error
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    distribution = f"{release.get('ID', 'debian')}-{release.get('VERSION_ID', '0')}".replace('"', "")
    made = {name: components.debian(each, distribution) for name, each in sorted(stanzas.items())}
    provided = {
        virtual.split("(")[0].split(":")[0].strip(): name
        for name, each in stanzas.items()
        for virtual in each.get("Provides", "").split(",")
        if virtual.strip()
    }
    for name, component in made.items():
        wanted = ",".join(stanzas[name].get(field, "") for field in ("Depends", "Pre-Depends"))
        alternatives = [
            re.split(r"[\s(:]", option.strip())[0] for each in wanted.split(",") for option in each.split("|")
        ]
        needed = {provided.get(option, option) for option in alternatives} & made.keys()
        ref = str(component["bom-ref"])
        pieces.components.append(component)
        pieces.depends[ref] = [str(made[each]["bom-ref"]) for each in sorted(needed - {name})]
        pieces.complete.append(ref)
        pieces.depends[bom.ROOT].append(ref)


def _stanzas(folder: Path) -> Iterator[dict[str, str]]:
    """dpkg's status file; images without dpkg keep one file a package in `status.d`."""
    files = [folder / "status"] if (folder / "status").is_file() else sorted((folder / "status.d").glob("*"))
    files = [each for each in files if each.suffix != ".md5sums"]
    if not files:
        raise DocumentInvalid(f"{folder}: neither dpkg's status nor status.d is there")
    for file in files:
        for block in re.split(r"\n\n+", file.read_text("utf-8", errors="replace").strip()):
            fields: dict[str, str] = {}
            name = ""
            for line in block.splitlines():
                if line[:1] in (" ", "\t"):
                    fields[name] += "\n" + line.strip()
                else:
                    name, _, value = line.partition(":")
                    fields[name] = value.strip()
            if {"Package", "Version", "Architecture"} <= fields.keys():
                yield fields


def site_of(python: Path) -> Path:
    """The site-packages folder of an environment's interpreter, found without running it."""
    found = sorted(python.parent.parent.glob("lib/python3.*/site-packages"))
    if not found:
        raise DocumentInvalid(f"{python}: no virtual environment: its folder has no lib/python3.*/site-packages")
    return found[-1]


def _git(project: Path, *words: str) -> str | None:
    done = subprocess.run(  # nosec B603 B607  # our own words
        ["git", "-C", str(project), *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _made_at(project: Path) -> str | None:
    """The commit's time: a document of the same commit has the same bytes."""
    seconds = _git(project, "log", "-1", "--format=%ct")
    if not seconds:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
