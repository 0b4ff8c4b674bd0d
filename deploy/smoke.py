"""Asks a service that was just rolled out for a finding, and verifies its receipt with the verifier that auditors use.

usage: smoke.py URL --key VKEY [--keep FOLDER]        the token is in SMOKE_TOKEN
Exit codes: 0 a finding, and its receipt holds; 1 anything else.

The image is a synthetic one of the demonstration model's. A model that does not take it answers with a refusal, and a
refusal has no receipt: such a service gives SMOKE_IMAGE, the path of an image that its model takes.
"""

import argparse
import os
import subprocess  # our own verifier
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "service" / "models" / "ct-lesion-demo" / "1.0.0" / "samples" / "positive.dcm"
ANSWER_LIMIT_S = 30.0


def ask(url: str, token: str, image: bytes) -> bytes:
    """The answer. Raises `OSError` for anything but a finding."""
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise OSError(f"{url}: a token is sent over TLS or not at all")
    request = urllib.request.Request(  # the scheme was looked at just above
        f"{url}/infer", data=image, method="POST",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/dicom"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_LIMIT_S) as answer:  # nosec B310  # as above
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        raise OSError(f"{url}/infer: {error.code} {error.read(2_000).decode('utf-8', 'replace')}") from error


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="smoke.py")
    parser.add_argument("url")
    parser.add_argument("--key", required=True, help="the log's verifier key, or a file that holds it")
    parser.add_argument("--keep", type=Path, default=Path("build/smoke"), help="where the answer is kept")
    given = parser.parse_args(words)
    try:
        image = Path(os.environ.get("SMOKE_IMAGE") or SAMPLE).read_bytes()
        answer = ask(given.url.rstrip("/"), os.environ["SMOKE_TOKEN"], image)
    except OSError as error:
        sys.stderr.write(f"smoke: {error}\n")
        return 1
    given.keep.mkdir(parents=True, exist_ok=True)
    kept = given.keep / "answer.json"
    kept.write_bytes(answer)
    verifier = [sys.executable, "-I", "-S", str(ROOT / "audit" / "verifier.py"), "--key", given.key, str(kept)]
    done = subprocess.run(verifier, capture_output=True, text=True, check=False)  # nosec B603  # our own file
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    (given.keep / "verdict.txt").write_text(done.stdout + done.stderr, "utf-8")
    return 0 if done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
