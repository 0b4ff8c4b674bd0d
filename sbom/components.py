"""CycloneDX components, as the JSON that they are: one function for each kind of thing that can hurt.

Raw JSON throughout: cyclonedx-python-lib has no modelCard and drops keys that it does not know when it reads.
Every component has a `bom-ref` that is stable from build to build. What is not known is left out, and named in the
property `medai:unknown`: nothing is filled in.

Pure.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from sbom.found import Distribution, Installed, NativeFile
from sbom.licences import Licence

Component = dict[str, Any]

UNKNOWN: Final = "medai:unknown"
"""The property that names a field that is not known, one for each."""


def properties(values: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(values)]


def with_properties(component: Component, values: Iterable[tuple[str, str]]) -> Component:
    """`component` with these besides its own."""
    own = [(each["name"], each["value"]) for each in component.get("properties", ())]
    merged = properties(dict.fromkeys([*own, *values]))
    return {**component, "properties": merged} if merged else component


def unknown(component: Component, *fields: str) -> Component:
    """`component`, saying that these are not known."""
    return with_properties(component, [(UNKNOWN, field) for field in fields])


# BSI's property taxonomy for CycloneDX (TR-03183-2): how the file that is delivered is to be read.
WHEEL: Final = ("non-executable", "archive", "structured")
NATIVE: Final = ("executable", "no archive", "structured")
MODEL: Final = ("non-executable", "no archive", "structured")


def delivered(component: Component, filename: str, kind: tuple[str, str, str]) -> Component:
    """`component`, saying which file it is delivered as, and what kind of file that is."""
    names = ("executable", "archive", "structured")
    told = [(f"bsi:component:{name}", value) for name, value in zip(names, kind, strict=True)]
    return with_properties(component, [("bsi:component:filename", filename), *told])


def pypi_purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{quote(version)}"


def python(
    distribution: Distribution, base: Component, licence: Licence | None, installed: Installed | None, scope: str
) -> Component:
    """One Python distribution: what cyclonedx-bom says of it, with licence, supplier, digest and scope.

    `scope` is CycloneDX's: `required` for what ships, `excluded` for what only builds, tests or demonstrates.
    """
    purl = pypi_purl(distribution.name, distribution.version)
    made: Component = {
        "bom-ref": purl,
        "type": "library",
        "name": distribution.name,
        "version": distribution.version,
        "description": distribution.summary,
        "scope": scope,
        "purl": purl,
        "externalReferences": _references(base),
    }
    if distribution.supplier is not None:
        made["supplier"] = organisation(distribution.supplier, distribution.supplier_email)
    if licence is not None:
        made["licenses"] = [{"expression": licence.expression, "acknowledgement": "declared"}]
        made["evidence"] = _evidence(distribution, licence)
        made = with_properties(made, [("medai:licence:origin", licence.origin)])
    if installed is not None:
        made["hashes"] = hashes(installed.sha256, installed.sha512)
        made = delivered(made, installed.file, WHEEL)
    missing = [
        field
        for field, known in (
            ("supplier", distribution.supplier),
            ("licence", licence),
            ("hash", installed),
            ("SHA-512", installed and installed.sha512),
        )
        if known is None
    ]
    return _without_empty(unknown(made, *missing))


def native(file: NativeFile, owner_ref: str, scope: str) -> Component:
    """A library or a program that came inside a wheel."""
    made: Component = {
        "bom-ref": f"{owner_ref}#{quote(file.path)}",
        "type": "application" if file.program else "library",
        "name": file.name,
        "scope": scope,
        "purl": f"pkg:generic/{quote(file.name.lower())}?checksum=sha256:{file.sha256}",
        "hashes": hashes(file.sha256, file.sha512),
        "evidence": {"occurrences": [{"location": file.path}]},
    }
    made = with_properties(made, [("medai:bundled-in", owner_ref)])
    made = delivered(made, file.path.rsplit("/", 1)[-1], NATIVE)
    if file.abi is not None:
        made = with_properties(made, [("medai:abi-version", file.abi)])
    return unknown(made, "version", "supplier", "licence")


def model(card: Mapping[str, Any], sha512: str) -> Component:
    """An ONNX model, with what its card says of it as a CycloneDX model card."""
    notice = [card["notice"]] if card.get("notice") else []
    cardinal = {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "classification",
            "datasets": [{"type": "dataset", "name": "training data", "description": card["training_data"]}],
            "inputs": [{"format": "application/dicom"}, {"format": "image/png"}, {"format": "image/jpeg"}],
            "outputs": [{"format": "application/json"}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": each["name"], "value": f"{each['value']:.12g}", "slice": each["data"]}
                for each in card.get("metrics", ())
            ]
        },
        "considerations": {
            "useCases": [card["intended_use"]],
            "technicalLimitations": [*notice, f"Not for: {card['not_for']}", card["limits"]],
        },
    }
    ref = f"pkg:generic/{quote(card['name'])}@{quote(card['version'])}?checksum=sha256:{card['sha256']}"
    made: Component = {
        "bom-ref": ref,
        "type": "machine-learning-model",
        "name": card["name"],
        "version": card["version"],
        "description": card["title"],
        "scope": "required",
        "purl": ref,
        "hashes": hashes(card["sha256"], sha512),
        "licenses": [{"license": {"name": card["licence"], "acknowledgement": "declared"}}],
        "modelCard": cardinal,
    }
    return unknown(delivered(made, "model.onnx", MODEL), "supplier")


def vendored(package: Mapping[str, Any], refs: Sequence[tuple[str, str]]) -> Component:
    """Files of others that are served as they are; `refs` are (path, SHA-256)."""
    files = [
        {"bom-ref": f"{package['purl']}#{quote(path)}", "type": "file", "name": path, "hashes": hashes(sha256)}
        for path, sha256 in refs
    ]
    made: Component = {
        "bom-ref": package["purl"],
        "type": "library",
        "name": package["name"],
        "version": package["version"],
        "scope": "required",
        "purl": package["purl"],
        "hashes": hashes(package["archive_sha256"]),
        "licenses": [{"expression": package["licence"], "acknowledgement": "declared"}],
        "components": files,
    }
    return unknown(made, "supplier")


def own(name: str, version: str, tree_sha256: str, files: int, supplier: Component | None) -> Component:
    """One of our own packages: the digest is over the list of its files' digests, as `installed.tree` makes it."""
    made: Component = {
        "bom-ref": f"urn:medai-flow:package:{name}",
        "type": "library",
        "name": name,
        "version": version,
        "scope": "required",
        "purl": f"pkg:generic/medai-flow/{name}@{quote(version)}",
    }
    if supplier is not None:
        made["supplier"] = supplier
    told = [("medai:tree:sha256", tree_sha256), ("medai:tree:files", str(files))]
    return unknown(with_properties(made, told), "licence", *(() if supplier else ("supplier",)))


def interpreter(version: str, filename: str, sha256: str, sha512: str) -> Component:
    made: Component = {
        "bom-ref": f"pkg:generic/cpython@{version}",
        "type": "application",
        "name": "cpython",
        "version": version,
        "scope": "required",
        "purl": f"pkg:generic/cpython@{version}",
        "cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        "supplier": {"name": "Python Software Foundation", "url": ["https://www.python.org/"]},
        "licenses": [{"expression": "Python-2.0.1", "acknowledgement": "declared"}],
    }
    made["hashes"] = hashes(sha256, sha512)
    return delivered(made, filename, NATIVE)


def debian(package: Mapping[str, str], distribution: str) -> Component:
    """An operating-system package, from a stanza of dpkg's status file."""
    name, version, arch = package["Package"], package["Version"], package["Architecture"]
    purl = f"pkg:deb/{distribution.split('-')[0]}/{quote(name)}@{quote(version)}?arch={arch}&distro={distribution}"
    made: Component = {
        "bom-ref": purl,
        "type": "library",
        "name": name,
        "version": version,
        "description": package.get("Description", "").splitlines()[0] if package.get("Description") else "",
        "scope": "required",
        "purl": purl,
    }
    if package.get("Maintainer"):
        maintainer, _, email = package["Maintainer"].partition("<")
        made["supplier"] = organisation(maintainer.strip(), email.rstrip("> ") or None)
    return _without_empty(unknown(made, "licence", "hash"))


def base_image(reference: str) -> Component:
    """The image that ours is built on, `NAME@sha256:...`."""
    name, _, digest = reference.partition("@sha256:")
    made: Component = {
        "bom-ref": f"urn:medai-flow:base-image:{digest}",
        "type": "container",
        "name": name,
        "version": f"sha256:{digest}",
        "scope": "required",
        "hashes": hashes(digest),
    }
    return unknown(made, "supplier", "licence")


def hashes(sha256: str, sha512: str | None = None) -> list[dict[str, str]]:
    found = [{"alg": "SHA-256", "content": sha256}]
    return found if sha512 is None else [*found, {"alg": "SHA-512", "content": sha512}]


def supported(component: Component, level: str, end: str) -> Component:
    """`component` with its author's word on support, as the policy cites it."""
    return with_properties(component, [("medai:support:level", level), ("medai:support:end", end)])


def organisation(name: str, email: str | None, url: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name}
    if email and "://" in email:  # where an address is asked for, some write their site's
        email, url = None, url or email
    if url:
        made["url"] = [url]
    if email and "@" in email:
        made["contact"] = [{"email": email}]
    return made


def _references(base: Component) -> list[dict[str, str]]:
    """The project's own addresses; none of a package index, which says nothing about the component."""
    kept = [
        {"type": each["type"], "url": each["url"]}
        for each in base.get("externalReferences", ())
        if each["type"] != "distribution" and not _of_an_index(each["url"])
    ]
    unique = {(each["type"], each["url"]): each for each in kept}
    return [unique[key] for key in sorted(unique)]


def _of_an_index(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0].lower()
    return host.startswith(("pypi.", "files.pythonhosted.", "test.pypi."))


def _evidence(distribution: Distribution, licence: Licence) -> Component:
    """The licence files' texts: what an auditor would otherwise have to look for."""
    texts = [
        {
            "license": {
                "name": each.path.rsplit("/", 1)[-1],
                "text": {
                    "contentType": "text/plain",
                    "encoding": "base64",
                    "content": base64.b64encode(each.text.encode()).decode(),
                },
            }
        }
        for each in distribution.licence_files
    ]
    return {"licenses": texts} if texts else {}


def _without_empty(component: Component) -> Component:
    return {name: value for name, value in component.items() if value not in ("", [], {})}
