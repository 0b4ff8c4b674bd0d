"""A backup that is brought back too old: the service refuses, says what to do, and goes on in a log that says so."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from audit.postgres import embedded
from tests.system.running import Server

pytestmark = pytest.mark.system

ANSWERS = 3
"""Answers before the backup, after it, and in the new log."""


class Story(Struct, frozen=True, kw_only=True):
    """What was seen at each stage, and the saved answers of each."""

    server: Server
    old_key: str
    survived: list[bytes]
    lost: list[bytes]
    anew: list[bytes]
    refusal: "subprocess.CompletedProcess[str]"
    told: "subprocess.CompletedProcess[str]"
    size: int
    """Records of the old log in the backup."""
    signed: int
    """Records of the old log that were signed."""


@pytest.fixture(scope="module")
def story(tmp_path_factory, ct_slice) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("recovered") / "home"
    server = Server(home)
    try:
        survived = _answers(server, ct_slice)
        size = _size(server)
        _copy(home / "postgres", home.with_name("backup"))
        old_key = server.medai("audit", "key").stdout.strip()
        lost = _answers(server, ct_slice)
        signed = _size(server)
        shutil.rmtree(home / "postgres")
        _copy(home.with_name("backup"), home / "postgres")
        refusal = server.medai("serve", *server.arguments())
        told = server.medai("audit", "recover", "--origin", "log.example/recovered")
        anew = _answers(server, ct_slice)
        yield Story(
            server=server, old_key=old_key, survived=survived, lost=lost, anew=anew, refusal=refusal, told=told,
            size=size, signed=signed,
        )  # fmt: skip
    finally:
        server.clean()


def _answers(server: Server, image: bytes) -> list[bytes]:
    """The service starts, answers, and stops in order: everything that it signed is anchored."""
    server.start()
    with server.client() as client:
        answers = [client.infer(image) for _ in range(ANSWERS)]
    assert {answer.status for answer in answers} == {200}
    assert server.stop() == 0
    return [answer.body for answer in answers]


def _size(server: Server) -> int:
    return int(json.loads(server.medai("audit", "verify", "--json").stdout)["size"])


def _copy(source: Path, target: Path) -> None:
    """As `cp -a`: the files belong to the user that PostgreSQL runs as."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def verified(answer: bytes, key: str, repository: Path, folder: Path) -> int:
    """The exit code of the shipped verifier."""
    saved = folder / "answer.json"
    saved.write_bytes(answer)
    verifier = repository / "audit" / "verifier.py"
    return subprocess.run(
        [sys.executable, "-I", "-S", str(verifier), "--key", key, str(saved)], capture_output=True
    ).returncode


def test_the_service_refuses_the_old_backup_and_names_the_way_out(story):
    assert (story.refusal.returncode, "medai audit recover" in story.refusal.stderr) == (2, True)


def test_the_recovery_says_how_much_is_left_and_what_is_lost(story):
    assert story.told.returncode == 0
    assert f"proves {story.size} records" in story.told.stdout
    assert f"records {story.size} to {story.signed - 1} are lost" in story.told.stdout


def test_answers_that_survived_still_verify(story, repository, tmp_path):
    assert [verified(answer, story.old_key, repository, tmp_path) for answer in story.survived] == [0] * ANSWERS


def test_answers_whose_records_are_lost_still_verify_by_the_checkpoint_that_they_carry(story, repository, tmp_path):
    assert [verified(answer, story.old_key, repository, tmp_path) for answer in story.lost] == [0] * ANSWERS


def test_answers_of_the_new_log_verify_with_its_own_key(story, repository, tmp_path):
    key = story.server.medai("audit", "key").stdout.strip()
    assert [verified(answer, key, repository, tmp_path) for answer in story.anew] == [0] * ANSWERS


def test_answers_of_the_new_log_are_not_the_old_key_s(story, repository, tmp_path):
    assert [verified(answer, story.old_key, repository, tmp_path) for answer in story.anew] == [3] * ANSWERS


def test_the_old_log_is_still_read_and_its_lost_records_are_named(story):
    done = story.server.medai(
        "audit", "verify", "--key", story.old_key, "--json", settings={"MEDAI_DATABASE_NAME": "medai"}
    )
    found = [(one["class"], one["first"], one["end"]) for one in json.loads(done.stdout)["found"]]
    assert (done.returncode, found) == (1, [("truncated", story.size, story.signed)])


def test_a_lost_record_s_receipt_is_said_to_be_of_a_lost_record(story, tmp_path):
    saved = tmp_path / "lost.json"
    saved.write_bytes(story.lost[0])
    done = story.server.medai("audit", "verify", "--answer", str(saved), "--key", story.old_key)
    assert (done.returncode, "is one of those that were lost" in done.stdout) == (0, True)


def test_the_new_log_is_valid_and_names_the_one_that_it_continues(story):
    assert story.server.medai("audit", "verify").returncode == 0
    shown = story.server.medai("audit", "record", "0").stdout
    continues = json.JSONDecoder().raw_decode(shown)[0]["continues"]
    assert (continues["verifier_key"], continues["lost_first"]) == (story.old_key, story.size)


def test_the_policy_that_is_printed_lists_both_logs(story):
    policy = story.server.medai("audit", "key", "--policy").stdout
    new_key = story.server.medai("audit", "key").stdout.strip()
    assert [line for line in policy.splitlines() if line.startswith("log ")] == [
        f"log {new_key}",
        f"log {story.old_key}",
    ]


def test_the_embedded_server_keeps_the_old_log_s_database(story):
    with embedded.using(story.server.home) as cluster:
        assert cluster.database == "medai_2"


def test_no_log_is_closed_while_the_service_runs(story):
    story.server.start()
    done = story.server.medai("audit", "recover", "--even-without-loss")
    assert (done.returncode, "`medai serve` runs here" in done.stderr) == (2, True)
    assert story.server.stop() == 0
