"""Whether manifests may be applied: exit code 1, and a line for each word in them that leads nowhere.

usage: ready.py MANIFESTS

What the repository holds cannot be deployed by accident: its digest is all zeros, its names end in `.invalid`
(RFC 2606) and its networks are those of documentation (RFC 5737). The pipeline puts an environment's own in
their places first.
"""

import re
import sys
from pathlib import Path

NOWHERE = {
    "a digest of zeros": re.compile(r"sha256:0{64}"),
    "an identity of zeros": re.compile(r"\b0{8}(?:-0{4}){3}-0{12}\b"),
    "a name that ends in .invalid": re.compile(r"[\w.-]+\.invalid\b"),
    "a network of documentation": re.compile(r"\b(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+(?:/\d+)?"),
    "a file that says that it is not there yet": re.compile(r"\binvalid: .*"),
    "an image without a digest": re.compile(r"(?m)^\s*(?:- )?image: (?!\S+@sha256:[0-9a-f]{64}\s*$).*"),
    "a word that nothing was put in place of": re.compile(r"(?m)[:-] platform$"),
}


# implements: REQ-DEP-017
def nowhere(manifests: str) -> list[str]:
    """`what: the text`, once for each; empty where every word leads somewhere."""
    found = [f"{what}: {each.strip()}" for what, form in NOWHERE.items() for each in form.findall(manifests)]
    return sorted(set(found))


def main(words: list[str]) -> int:
    found = nowhere(Path(words[0]).read_text("utf-8"))
    for each in found:
        sys.stderr.write(f"ready: {each}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
