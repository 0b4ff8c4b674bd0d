"""`medai sbom`: the bill of materials. Exit codes: 0 done, 1 findings, 2 usage, 3 could not check."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from sbom import bom, collect, components, fields, schema, standards
from sbom.errors import SbomError
from sbom.standards import STANDARDS, Verdict
from traceability.marks import implements

EXIT_FINDINGS: Final = 1
EXIT_USAGE: Final = 2
SHOWN: Final = 3  # of each missing field, this many components are named on a terminal; JSON names all


def build(arguments: Sequence[str]) -> int:
    """Write the document; nothing is written that is not valid."""
    parser = argparse.ArgumentParser(
        prog="medai sbom build", description="write the CycloneDX document of this product"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--project", type=Path, default=Path(), help="the checkout (default: this folder)")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the environment's interpreter")
    parser.add_argument("--image-root", type=Path, help="an unpacked image, for its operating-system packages")
    parser.add_argument("--base-image", help="the image that ours is built on, NAME@sha256:HEX")
    parser.add_argument("--all", action="store_true", help="what only builds and tests as well, marked as excluded")
    parser.add_argument("--author", help="who makes the product and this document")
    parser.add_argument("--author-email")
    parser.add_argument("--author-url")
    parser.add_argument("--spec-version", choices=("1.6", "1.7"), default="1.6")
    given = parser.parse_args(arguments)
    author = components.organisation(given.author, given.author_email, given.author_url) if given.author else None
    try:
        places = collect.Places(
            project=given.project,
            python=given.python,
            image_root=given.image_root,
            base_image=given.base_image,
            author=author,
            extent="installed" if given.all else "shipped",
        )
        product, parts = collect.gather(places)
        document = bom.encode(bom.assemble(product, parts, spec_version=given.spec_version))
        schema.require_valid(document, strict=True)
    except SbomError as error:
        sys.stderr.write(f"medai: {error.code}: {error}\n")
        return EXIT_USAGE
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_bytes(document)
    print(f"{given.output}: {len(parts.components)} components; not known: {len(parts.unknowns)}")
    for each in parts.unknowns:
        print(f"  {each}")
    return 0


@implements("REQ-SBM-009")
def check(arguments: Sequence[str]) -> int:
    """Judge any CycloneDX 1.4 to 1.7 file: for each standard, a verdict, a score, and which fields are missing."""
    parser = argparse.ArgumentParser(prog="medai sbom check", description="judge a CycloneDX document by the standards")
    parser.add_argument("file", type=Path, help="a CycloneDX JSON document")
    parser.add_argument("--standard", action="append", choices=sorted(STANDARDS), help="only these (default: all)")
    parser.add_argument("--json", type=Path, help="write every verdict to this file")
    given = parser.parse_args(arguments)
    try:
        document = fields.Document(schema.read(given.file))
    except SbomError as error:
        sys.stderr.write(f"medai: {error.code}: {error}\n")
        return EXIT_USAGE
    verdicts = [standards.judge(STANDARDS[name], document) for name in given.standard or STANDARDS]
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(verdicts, order="sorted"), indent=2) + b"\n")
    for verdict in verdicts:
        _show(verdict)
    return 0 if all(verdict.passed for verdict in verdicts) else EXIT_FINDINGS


def _show(verdict: Verdict) -> None:
    word = "complete" if verdict.passed else "incomplete"
    print(f"{verdict.standard}: {word}, {verdict.score_ppm / 10_000:.1f} % of {verdict.asked} fields")
    for field, count in Counter(each.field for each in verdict.missing).most_common():
        names = [schema.plain(each.component or "the document") for each in verdict.missing if each.field == field]
        more = f" and {count - SHOWN} more" if count > SHOWN else ""
        print(f"  {field}: {', '.join(names[:SHOWN])}{more}")
