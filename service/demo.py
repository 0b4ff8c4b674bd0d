"""`medai demo`: the whole way of an answer, shown on real studies, and what happens when somebody alters one.

1. start the service as a user would; 2. send studies and show the findings; 3. verify every answer offline, with
an interpreter that has nothing but its standard library; 4. show on copies that an altered answer and a rewritten
database are found. Anything that is not as it has to be ends the demonstration with an error.
"""

import contextlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from service import demo_forgery
from service.demo_service import HOST, DemonstrationFailed, Service, medai, running, serving
from service.demo_studies import Study, studies

VERIFIER: Final = Path(__file__).parent.parent / "audit" / "verifier.py"
SAMPLE: Final = "service/models/ct-lesion-demo/1.0.0/samples/positive.dcm"
NOTICE: Final = "Demonstration model, not for clinical use"


class Cluster(Struct, frozen=True, kw_only=True):
    """How to start the embedded PostgreSQL (its superuser's URL comes back), and how to end it if we started it."""

    start: Callable[[Path], str]
    running: Callable[[Path], bool]
    stop: Callable[[Path], None]


class Answer(Struct, frozen=True, kw_only=True):
    """A finding that came back, and where it was saved with its proof."""

    title: str
    index: int
    probability_ppm: int | None
    path: Path
    receipt: Path


def demonstrate(home: Path, cluster: Cluster, ports: tuple[int, int]) -> int:
    """Run the demonstration with its state under `home`; 0 where everything was as it has to be, else 1.

    `ports` are where a service that already runs here would listen, public and internal: it is then used.
    Whatever was not running before is not running afterwards; the ledger and the saved answers stay.
    """
    folder = home / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    for private in (home, folder):  # parents=True would leave the one above open to others
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
    was_running = cluster.running(home)
    try:
        answers = _show(home, folder, cluster, ports)
    except DemonstrationFailed as error:
        print(f"\nmedai demo: {error}", file=sys.stderr)
        return 1
    finally:
        if not was_running:
            cluster.stop(home)
    _goodbye(folder, answers)
    return 0


def _show(home: Path, folder: Path, cluster: Cluster, ports: tuple[int, int]) -> list[Answer]:
    _step(1, "Starting the service (the first start makes a database cluster and a ledger)")
    found = running(home, *ports) if cluster.running(home) else None
    with contextlib.nullcontext(found) if found else serving(home, folder / "serve.log") as service:
        print(f"    {'it already runs' if found else 'ready'} on http://{HOST}:{service.port}")
        _step(2, f"Sending studies. {NOTICE}")
        print(f"    {'study':<52} {'answer':<34} {'ms':>6} {'index':>6}")
        answers = [answer for study in studies() if (answer := _send(service, study, folder)) is not None]
        print("    The model learnt from synthetic phantoms alone: what it says of the real studies means nothing.")
        key = _save_key(home, folder)
    _step(3, "Verifying every answer offline: Python's standard library, the log's key, nothing else")
    for answer in answers:
        _verify(answer, key)
    print(f"    {len(answers)} answers and {len(answers)} receipts are valid")
    _step(4, "Altering things, on copies")
    judged = next((answer for answer in answers if answer.probability_ppm is not None), None)
    if judged is None:
        raise DemonstrationFailed("no answer has a probability")
    demo_forgery.alter_answer(judged.path, key, VERIFIER)
    demo_forgery.rewrite_database(home, cluster.start(home), judged.index)
    return answers


def _step(number: int, words: str) -> None:
    print(f"\n[{number}/4] {words}", flush=True)


def _send(service: Service, study: Study, folder: Path) -> Answer | None:
    target = "/infer" + (f"?{study.query}" if study.query else "")
    response = service.send("POST", target, body=study.path.read_bytes(), media_type=study.media_type)
    body: dict[str, Any] = json.loads(response.body)
    got = body["finding"]["decision"] if response.status == 200 else body.get("code")
    words = _words(body) if response.status == 200 else f"{response.status} {got}"
    index = response.headers.get("ledger-index", "-")
    print(f"    {study.title[:52]:<52} {words:<34} {response.elapsed_ms:>6} {index:>6}", flush=True)
    if got != study.expected and not (response.status == 200 and study.expected == "finding"):
        raise DemonstrationFailed(f"{study.title}: expected {study.expected}, got {response.status} {got}")
    if not index.isdigit():
        raise DemonstrationFailed(f"{study.title}: the response names no ledger index")
    if response.status != 200:
        return None
    if body["ledger"]["index"] != int(index):
        raise DemonstrationFailed(f"{study.title}: the answer and its Ledger-Index header differ")
    path = folder / f"{int(index):06d}-{study.path.stem}.json"
    receipt = path.with_suffix(".tlog-proof")
    path.write_bytes(response.body)
    receipt.write_text(body["ledger"]["proof"], encoding="utf-8")
    return Answer(
        title=study.title,
        index=int(index),
        probability_ppm=body["finding"].get("probability_ppm"),
        path=path,
        receipt=receipt,
    )


def _words(answer: dict[str, Any]) -> str:
    """A finding for a person: the decision, and the probability or why there is none."""
    finding = answer["finding"]
    reasons = f" ({', '.join(finding['reasons'])})" if finding["reasons"] else ""
    if finding.get("probability_ppm") is None:
        return f"{finding['decision']}{reasons}"
    # Parts per million to per cent, in integers: what is shown is what was signed, cut and not rounded.
    whole, rest = divmod(finding["probability_ppm"], 10_000)
    return f"{finding['decision']} {whole}.{rest // 1_000} % {finding['label']}{reasons}"


def _save_key(home: Path, folder: Path) -> Path:
    printed = medai(home, "audit", "key")
    if printed.returncode:
        raise DemonstrationFailed(f"medai audit key: exit {printed.returncode}: {printed.stderr.strip()}")
    key = folder / "log.vkey"
    key.write_text(printed.stdout, encoding="ascii")
    return key


def _verify(answer: Answer, key: Path) -> None:
    """Both forms of the proof, by the one-file verifier under a bare interpreter."""
    for saved in (answer.path, answer.receipt):
        done = demo_forgery.offline(VERIFIER, saved, key)
        if done.returncode != 0:
            raise DemonstrationFailed(f"{answer.title}: {saved} does not verify: {demo_forgery.words(done)}")
    print(f"    {answer.receipt.name}\n      {demo_forgery.words(done)}", flush=True)


def _goodbye(folder: Path, answers: list[Answer]) -> None:
    print(f"""
Everything was as it has to be. {NOTICE}.
Answers, receipts and the log's key are in {folder}. Where to look next:

    make serve                                    the service on http://127.0.0.1:8080, its documentation at /docs
    curl -sS -H "Authorization: Bearer $(cat {folder.parent}/tokens/infer)" \\
         -H 'Content-Type: application/dicom' --data-binary @{SAMPLE} \\
         http://127.0.0.1:8080/infer
    .venv/bin/medai audit verify                  the whole ledger against its anchor
    .venv/bin/medai audit verify --answer {answers[0].path}
    README.md, ARCHITECTURE.md                    how to run it, and why it is built like this""")
