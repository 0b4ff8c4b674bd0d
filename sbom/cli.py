"""`medai sbom`: the bill of materials. Exit codes: 0 done, 1 findings, 2 usage, 3 could not check."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sbom import bom, collect, schema
from sbom.errors import SbomError

EXIT_USAGE = 2


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
    parser.add_argument("--spec-version", choices=("1.6", "1.7"), default="1.6")
    given = parser.parse_args(arguments)
    try:
        places = collect.Places(
            project=given.project, python=given.python, image_root=given.image_root, base_image=given.base_image
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
