"""A licence as an SPDX expression, and where it is known from.

In this order: the metadata's own expression (PEP 639), its `License` field where that is an expression or a name that
everybody uses, its classifiers. A classifier that stands for several licences ("BSD License") is decided by the text
of the licence file, by sentences that only one of them has; where nothing decides, the licence is not known.

Pure.
"""

import re
from functools import lru_cache
from typing import Final, Literal

from boolean import Expression, ParseError
from license_expression import ExpressionError, Licensing, get_spdx_licensing
from msgspec import Struct

from sbom.found import Distribution, LicenceFile

Origin = Literal["License-Expression", "License", "Classifier", "licence text"]


class Licence(Struct, frozen=True, kw_only=True):
    """An SPDX expression, what it was read from, and the files that are its evidence."""

    expression: str
    origin: Origin
    files: tuple[str, ...]


NAMES: Final = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-3-clause license": "BSD-3-Clause",
    "the mit license": "MIT",
    "mit license": "MIT",
    "mpl 2.0": "MPL-2.0",
    "psf": "PSF-2.0",
}
"""What `License` fields say, in lower case, where it is no expression and yet means one licence."""

CLASSIFIERS: Final = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
}
"""The trove classifiers that stand for exactly one SPDX licence."""

# Sentences that one licence has and its relatives have not. The longest lists come first: BSD-3-Clause contains
# everything that BSD-2-Clause says.
_TEXTS: Final = (
    ("Apache-2.0", ("apache license", "version 2.0, january 2004")),
    ("MPL-2.0", ("mozilla public license", "version 2.0")),
    ("LGPL-3.0-only", ("gnu lesser general public license", "version 3, 29 june 2007")),
    (
        "BSD-3-Clause",
        ("redistribution and use in source and binary forms", "neither the name", "endorse or promote products"),
    ),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms", "this list of conditions")),
    ("MIT", ("permission is hereby granted, free of charge", 'the software is provided "as is"')),
    ("ISC", ("permission to use, copy, modify, and/or distribute this software for any purpose",)),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",)),
)


def of(distribution: Distribution) -> Licence | None:
    """The licence that `distribution` declares; None where nothing that it says decides."""
    files = tuple(each.path for each in distribution.licence_files)
    for said, origin in ((distribution.licence_expression, "License-Expression"), (distribution.licence, "License")):
        expression = spdx(said)
        if expression is not None:
            return Licence(expression=expression, origin=origin, files=files)  # type: ignore[arg-type]  # the two above
    texts = tuple(dict.fromkeys(filter(None, map(recognised, distribution.licence_files))))
    named = [classifier.rsplit(" :: ", 1)[-1] for classifier in distribution.classifiers]
    known = tuple(dict.fromkeys(CLASSIFIERS[name] for name in named if name in CLASSIFIERS))
    vague = [name for name in named if name not in CLASSIFIERS and name != "OSI Approved"]
    if known and not vague:
        return Licence(expression=" OR ".join(known) if len(known) > 1 else known[0], origin="Classifier", files=files)
    if len(texts) == 1:
        return Licence(expression=texts[0], origin="licence text", files=files)
    return None


def spdx(said: str | None) -> str | None:
    """The SPDX expression that `said` is, in its usual spelling; None where it is none."""
    if not said or len(said) > 512 or "\n" in said.strip():
        return None
    expression = parsed(NAMES.get(" ".join(said.lower().split()), said.strip()))
    return None if expression is None else str(expression)


def parsed(expression: str) -> Expression | None:
    """The SPDX expression's tree; None for what is none."""
    try:
        tree: Expression | None = _spdx().parse(expression, validate=True, strict=True)
    except (ExpressionError, ParseError, ValueError):
        return None
    return tree


def recognised(file: LicenceFile) -> str | None:
    """The licence whose sentences the file's text has."""
    text = re.sub(r"[\s#*]+", " ", file.text.replace("“", '"').replace("”", '"').lower())
    return next((name for name, sentences in _TEXTS if all(each in text for each in sentences)), None)


@lru_cache(maxsize=1)
def _spdx() -> Licensing:
    return get_spdx_licensing()
