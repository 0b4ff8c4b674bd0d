"""A rotation of the signing key while the service answers: nobody is refused, and every answer can be proved."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec import Struct

from audit import note, receipt
from audit.note import Verifier
from audit.receipt import Policy
from audit.record import KeyRotated
from tests.system.callers import Held, Question, calling
from tests.system.running import Server, eventually, serving

pytestmark = pytest.mark.system

CLIENTS = 4
FINDINGS = 5
"""Findings that each client has before the rotation, and again after it."""
LIMIT_S = 60.0


class Story(Struct, frozen=True, kw_only=True):
    """What happened: the two keys, and what the clients hold."""

    server: Server
    first: str
    second: str
    held: list[Held]
    unanswered: int

    @property
    def signers(self) -> Counter[str]:
        """Which key signed how many answers."""
        policy = Policy(logs=(Verifier.parse(self.first), Verifier.parse(self.second)))
        proofs = [one.response.json()["ledger"]["proof"] for one in self.held]
        return Counter(receipt.open_checkpoint(receipt.parse(proof).checkpoint, policy).signed_by for proof in proofs)


@pytest.fixture(scope="module")
def story(tmp_path_factory, ct_slice) -> Iterator[Story]:
    with serving(tmp_path_factory.mktemp("rotated") / "home") as server:
        first = server.medai("audit", "key").stdout.strip()
        questions = [Question(method="POST", target="/infer", body=ct_slice, media_type="application/dicom")]
        with calling(server, questions, CLIENTS) as callers:
            assert eventually(lambda: min(callers.count(200)) >= FINDINGS, LIMIT_S)
            done = server.medai("ledger", "rotate-key")
            assert done.returncode == 0, done.stderr
            enough = [count + FINDINGS for count in callers.count(200)]
            assert eventually(
                lambda: all(have >= want for have, want in zip(callers.count(200), enough, strict=True)), LIMIT_S
            )
        yield Story(
            server=server, first=first, second=done.stdout.strip(), held=callers.held(),
            unanswered=sum(callers.unanswered),
        )  # fmt: skip


def test_no_client_is_refused_or_left_without_an_answer(story):
    assert ({one.response.status for one in story.held}, story.unanswered) == ({200}, 0)


def test_both_keys_have_signed_answers(story):
    keys = [Verifier.parse(key) for key in (story.first, story.second)]
    assert set(story.signers) == {f"{key.name}+{key.key_hash.hex()}" for key in keys}


def test_every_answer_verifies_with_the_shipped_verifier_and_both_keys(story, repository, tmp_path):
    verifier = repository / "audit" / "verifier.py"
    codes = []
    for number, one in enumerate(story.held[:3] + story.held[-3:]):
        saved = tmp_path / f"{number}.json"
        saved.write_bytes(one.response.body)
        keys = ["--key", story.first, "--key", story.second]
        done = subprocess.run([sys.executable, "-I", "-S", str(verifier), *keys, str(saved)], capture_output=True)
        codes.append(done.returncode)
    assert codes == [0] * 6


def test_the_retired_key_has_signed_nothing_beyond_the_rotation(story, entries_of):
    (rotated,) = [entry for entry in entries_of(story.server) if isinstance(entry.record, KeyRotated)]
    retired = Verifier.parse(story.first)
    sizes = []
    for one in story.held:
        text, signatures = note.split(receipt.parse(one.response.json()["ledger"]["proof"]).checkpoint)
        sizes += [int(text.split("\n")[1])] if signatures[0].key_id == retired.key_hash else []
    assert max(sizes) <= rotated.index + 1


def test_the_service_says_which_key_is_the_log_s_now(story):
    with story.server.client(None) as client:
        assert client.get("/version").json()["ledger"]["verifier_key"] == story.second


def test_the_rotated_ledger_is_verified_as_valid(story):
    done = story.server.medai("audit", "verify", "--json")
    assert (done.returncode, json.loads(done.stdout)["found"]) == (0, [])


def test_the_rotated_ledger_is_verified_as_valid_from_the_first_key_too(story):
    assert story.server.medai("audit", "verify", "--key", story.first).returncode == 0


def test_a_restart_goes_on_with_the_new_key(story):
    assert story.server.stop() == 0
    story.server.start()
    with story.server.client(None) as client:
        assert client.get("/version").json()["ledger"]["verifier_key"] == story.second
