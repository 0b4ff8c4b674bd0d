"""The whole way to a witnessed answer: a log with two keys, two witnesses, a policy, and a stranger who verifies."""

import contextlib
import json
import subprocess
import sys

import pytest

from tests.system.running import eventually, serving
from tests.system.witnessing import home
from tests.witness_log import tree

pytestmark = pytest.mark.system

WITNESSED_WITHIN_S = 60.0


class Story:
    """What there is once an answer was witnessed."""

    def __init__(self, server, folder, answer, index):
        self.server, self.folder, self.answer, self.index = server, folder, answer, index
        self.policy = folder / "policy"

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path


@pytest.fixture(scope="module")
def story(tmp_path_factory, ct_slice):
    folder = tmp_path_factory.mktemp("story")
    with contextlib.ExitStack() as running:
        server = running.enter_context(serving(folder / "home", workers=1))
        first = server.medai("audit", "key").stdout.strip()
        assert server.medai("ledger", "init", "--ml-dsa").returncode == 0
        second = server.medai("audit", "key", "--ml-dsa").stdout.strip()
        origin = first.partition("+")[0]
        lines = [f"log {first}", f"log {second}"]
        for at, options in ((1, ()), (2, ("--ml-dsa",))):
            witness = home(folder / f"w{at}", *options)
            entry = f'[[log]]\norigin = "{origin}"\nkeys = ["{first}", "{second}"]\n'
            (witness.path / "logs.toml").write_text(entry, "utf-8")
            port = running.enter_context(witness.running()).port
            lines.append(f"witness W{at} {witness.vkeys()[-1]} http://127.0.0.1:{port}/")
        policy = "\n".join([*lines, "group both all W1 W2", "quorum both", ""])
        (folder / "policy").write_text(policy, "utf-8")
        server.stop()
        server.settings |= {
            "MEDAI_POLICY_FILE": str(folder / "policy"), "MEDAI_PUBLISH_WITNESS_INTERVAL_MS": "200",
        }  # fmt: skip
        server.start()
        with server.client() as client:
            answer = client.infer(ct_slice)
        (folder / "answer.json").write_bytes(answer.body)

        def witnessed():
            proof = server.medai("audit", "proof", str(answer.index))
            (folder / "answer.tlog-proof").write_text(proof.stdout, "utf-8")
            return proof.returncode == 0

        assert eventually(witnessed, WITNESSED_WITHIN_S), server.said()
        yield Story(server, folder, folder / "answer.json", answer.index)


def bare(story, repository, *arguments):
    command = [sys.executable, "-I", "-S", repository / "audit" / "verifier.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_an_upgraded_receipt_is_witnessed_to_the_stand_alone_verifier(story, repository):
    found = bare(story, repository, "--policy", story.policy, story.folder / "answer.tlog-proof")
    assert (found.returncode, "witnessed by W1, W2 (2 of 2)." in found.stdout) == (0, True)


def test_an_upgraded_receipt_is_witnessed_to_the_command(story):
    words = ("--policy", str(story.policy), "--receipt", str(story.folder / "answer.tlog-proof"), "--json")
    found = json.loads(story.server.medai("audit", "verify", *words).stdout)
    assert (found["exit_code"], found["words"].endswith("witnessed by W1, W2 (2 of 2)")) == (0, True)


def test_the_answer_as_it_was_given_is_not_witnessed_yet(story):
    found = story.server.medai("audit", "verify", "--policy", str(story.policy), "--answer", str(story.answer))
    assert (found.returncode, "not witnessed; the policy asks for 2 of W1, W2" in found.stdout) == (3, True)


def test_the_answer_as_it_was_given_verifies_by_the_post_quantum_key_alone(story, repository):
    second = story.server.medai("audit", "key", "--ml-dsa").stdout.strip()
    policy = story.write("post-quantum", f"log {second}\nquorum none\n")
    assert bare(story, repository, "--policy", policy, story.answer).returncode == 0


def test_the_whole_ledger_is_witnessed_to_the_command(story):
    def verified():
        found = story.server.medai("audit", "verify", "--policy", str(story.policy))
        return (found.returncode, "witnessed by W1, W2 (2 of 2) up to size " in found.stdout) == (0, True)

    assert eventually(verified, WITNESSED_WITHIN_S)


def test_the_whole_ledger_does_not_meet_a_policy_of_other_witnesses(story):
    others = home(story.folder / "others")
    keys = "\n".join(story.policy.read_text("utf-8").splitlines()[:2])
    policy = story.write("others-policy", f"{keys}\nwitness O {others.vkeys()[0]}\nquorum O\n")
    found = story.server.medai("audit", "verify", "--policy", str(policy))
    assert (found.returncode, "the policy asks for O" in found.stdout) == (3, True)


def test_the_whole_ledger_is_not_that_of_another_logs_policy(story):
    policy = story.write("other-log", f"log {tree().signer.verifier}\nquorum none\n")
    assert story.server.medai("audit", "verify", "--policy", str(policy)).returncode == 1


def test_a_policy_and_a_key_are_not_taken_together(story):
    words = ("--policy", str(story.policy), "--key", str(tree().signer.verifier), "--answer", str(story.answer))
    assert story.server.medai("audit", "verify", *words).returncode == 2


def test_a_policy_that_cannot_be_read_is_no_verdict(story):
    words = ("--policy", str(story.answer), "--answer", str(story.answer))
    found = story.server.medai("audit", "verify", *words)
    assert (found.returncode, found.stdout, "setting_invalid: --policy: answer.json" in found.stderr) == (2, "", True)
