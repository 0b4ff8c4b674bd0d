"""Writes the SHA-512 of each file that pip just installed beside pip's report.  usage: wheel-digests.py REPORT CACHE

pip's report names each file by its SHA-256. Where pip still has the file in its download cache, and it is the one that
the report names, its SHA-512 is taken as well; where not, nothing is written for it. Standard library only.
"""

import hashlib
import json
import sys
from pathlib import Path


def cached(cache: Path, url: str) -> Path:
    """Where pip (CacheControl) keeps the body of `url`: under its SHA-224, the first five digits as folders."""
    name = hashlib.sha224(url.encode()).hexdigest()
    return cache.joinpath("http-v2", *name[:5], f"{name}.body")


def main(report: Path, cache: Path) -> None:
    found = {}
    for entry in json.loads(report.read_bytes())["install"]:
        download = entry["download_info"]
        sha256 = download.get("archive_info", {}).get("hashes", {}).get("sha256")
        path = cached(cache, download["url"].partition("#")[0])
        if sha256 and path.is_file():
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == sha256:
                found[sha256] = hashlib.sha512(content).hexdigest()
    report.with_suffix(".sha512").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
