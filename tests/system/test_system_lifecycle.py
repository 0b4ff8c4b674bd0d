"""How the service begins and ends: once a home, in order at SIGTERM, and with a database of one's own."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import msgspec
import psycopg
import pytest

from audit import evidence, note
from audit.postgres import logins
from audit.receipt import Policy
from audit.record import ServiceStopped, Window
from tests.system import processes
from tests.system.callers import Question, calling
from tests.system.running import Client, Server, eventually, serving

pytestmark = pytest.mark.system

LIMIT_S = 120.0
CLOSED_WITHIN_S = 20.0
EXIT_USAGE = 2


class TestASecondServe:
    def test_on_the_same_home_it_refuses_to_start(self, server):
        second = Server(server.home)
        done = second.medai("serve", *second.arguments())
        assert (done.returncode, "another `medai serve` runs here" in done.stderr) == (EXIT_USAGE, True)

    def test_on_a_port_that_is_taken_it_refuses_to_start(self, server, tmp_path):
        second = Server(tmp_path / "home")
        second.port = server.port
        done = second.medai("serve", *second.arguments())
        assert (done.returncode, f"port {server.port}" in done.stderr) == (EXIT_USAGE, True)

    def test_neither_disturbs_the_first(self, server, ct_slice):
        with server.client() as client:
            assert client.infer(ct_slice).status == 200


class TestSettings:
    @pytest.mark.parametrize("name, value", [
        ("MEDAI_MAX_PIXEL", "1000"),
        ("MEDAI_MAX_PIXELS", "many"),
        ("MEDAI_WORKERS", "0"),
        ("MEDAI_LEDGER_LINGER_US", "-1"),
        ("MEDAI_MODEL_FOLDERS", "nowhere"),
        ("MEDAI_ANCHOR_FOLDER", "/dev/null"),
    ])  # fmt: skip
    def test_one_that_cannot_be_obeyed_ends_the_start_and_is_named(self, tmp_path, name, value):
        unable = Server(tmp_path / "home", settings={name: value})
        try:
            done = unable.medai("serve", *unable.arguments())
        finally:
            unable.clean()
        assert (done.returncode, "Traceback" in done.stderr) == (EXIT_USAGE, False)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, ct_slice):
    """A server that answered some, was told to stop under load, and has stopped; with what its clients hold."""
    server = Server(tmp_path_factory.mktemp("stopped") / "home")
    try:
        server.start()
        with server.client(None) as anyone:
            assert anyone.get("/docs").status == 200
        infer = Question(method="POST", target="/infer", body=ct_slice, media_type="application/dicom")
        with calling(server, [infer], 4) as callers:
            assert eventually(lambda: min(callers.count(200)) > 5, LIMIT_S)
            code = server.stop()
        left = server.left_running()
        server.start()  # to read what the ledger has
        yield server, code, left, callers.held()
    finally:
        server.clean()


class TestSigterm:
    def test_it_ends_the_service_with_exit_code_zero(self, stopped):
        assert stopped[1] == 0

    def test_it_leaves_no_process_running(self, stopped):
        assert stopped[2] == []

    def test_whoever_was_answered_holds_a_proof_or_was_told_to_come_back(self, stopped):
        server, _, _, held = stopped
        policy = Policy(logs=(note.Verifier.parse(server.medai("audit", "key").stdout.strip()),))
        findings = [one.response for one in held if one.response.code != "draining"]
        assert [one for one in findings if evidence.check_answer(one.body, policy).exit_code != 0] == []

    def test_each_worker_records_that_it_stopped(self, stopped, entries_of):
        server = stopped[0]
        ended = [entry.record for entry in entries_of(server) if isinstance(entry.record, ServiceStopped)]
        assert len({one.process_id for one in ended}) == server.workers

    def test_the_workers_record_how_many_requests_they_had(self, stopped, entries_of):
        server, _, _, held = stopped
        ended = [entry.record for entry in entries_of(server) if isinstance(entry.record, ServiceStopped)]
        assert sum(one.requests for one in ended) == 1 + len(held)

    def test_open_windows_are_closed_with_their_count(self, stopped, entries_of):
        windows = [entry.record for entry in entries_of(stopped[0]) if isinstance(entry.record, Window)]
        pages = [window for window in windows if window.subject == "public"]
        assert [(window.phase, window.count) for window in pages] == [("opened", None), ("closed", 1)]

    def test_the_ledger_goes_on_under_the_same_key(self, stopped, ct_slice):
        server = stopped[0]
        with server.client() as client:
            answer = client.infer(ct_slice)
        policy = Policy(logs=(note.Verifier.parse(server.medai("audit", "key").stdout.strip()),))
        assert (evidence.check_answer(answer.body, policy).exit_code, server.medai("audit", "verify").returncode) == (
            0,
            0,
        )


class TestAKill:
    def test_the_next_start_closes_at_once_and_without_a_count_what_was_left_open(self, server, entries_of):
        with server.client(None) as anyone:
            opened = anyone.get("/docs").index
        server.kill()
        server.start()

        def closings():
            windows = [entry.record for entry in entries_of(server) if isinstance(entry.record, Window)]
            return [window.count for window in windows if window.opens_index == opened]

        # Well within the minute and the grace that a process of another home would be given.
        assert eventually(lambda: closings() == [None], CLOSED_WITHIN_S)


@pytest.fixture(scope="module")
def own_database(cluster):
    """URLs of an empty database on a server that is none of ours, as its owner would write them."""
    name = f"own_{uuid4().hex}"
    postgres = msgspec.structs.replace(cluster, database="postgres").admin_url
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield {
        variable: f"postgresql://{login}:{quote(cluster.secrets.passwords[login], safe='')}@/{name}"
        f"?host={quote(cluster.secrets.socket_folder, safe='')}"
        for variable, login in (
            ("MEDAI_DATABASE_URL", logins.WRITER),
            ("MEDAI_DATABASE_READER_URL", logins.READER),
            ("MEDAI_DATABASE_ADMIN_URL", logins.ADMIN),
        )
    }
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def own(own_database, tmp_path_factory, ct_slice):
    """The whole way with a database of one's own: what each command said, the server, and an answer's file."""
    folder = tmp_path_factory.mktemp("own")
    unmigrated = Server(folder / "home", settings=own_database)
    steps = {}
    steps["serve without a schema"] = unmigrated.medai("serve", *unmigrated.arguments())
    steps["migrate"] = unmigrated.medai("migrate")
    steps["serve without a ledger"] = unmigrated.medai("serve", *unmigrated.arguments())
    steps["init"] = unmigrated.medai("ledger", "init", "--origin", "pacs.example.org/own")
    steps["init again"] = unmigrated.medai("ledger", "init")
    steps["issue"] = unmigrated.medai("token", "issue", "ward", "--scope", "infer")
    with serving(folder / "home", settings=own_database) as server:
        path = folder / "answer.json"
        with Client(server.port, steps["issue"].stdout.strip()) as client:
            path.write_bytes(client.infer(ct_slice).body)
        yield server, steps, path


class TestADatabaseOfOnesOwn:
    @pytest.mark.parametrize("step, code, said", [
        ("serve without a schema", EXIT_USAGE, "ledger"),
        ("migrate", 0, ""),
        ("serve without a ledger", EXIT_USAGE, "medai ledger init"),
        ("init", 0, ""),
        ("init again", EXIT_USAGE, "ledger_exists"),
        ("issue", 0, ""),
    ])  # fmt: skip
    def test_each_step_says_how_it_went(self, own, step, code, said):
        done = own[1][step]
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done

    def test_an_answer_from_it_verifies(self, own):
        server, _, path = own
        assert server.medai("audit", "verify", "--answer", str(path)).returncode == 0

    def test_the_whole_database_is_valid(self, own):
        assert own[0].medai("audit", "verify").returncode == 0

    def test_the_ledger_has_the_origin_that_was_asked_for(self, own):
        assert own[0].medai("audit", "key").stdout.startswith("pacs.example.org/own+")

    def test_nothing_embedded_is_there(self, own):
        assert sorted(path.name for path in own[0].home.iterdir() if path.name.startswith("postgres")) == []

    def test_no_postgresql_is_started(self, own):
        server = own[0]
        assert server.process is not None
        commands = [process.command for process in processes.tree(server.process.pid)]
        assert [command for command in commands if "postgres" in command] == []

    def test_no_development_tokens_are_made(self, own):
        assert not (own[0].home / "tokens").exists()

    def test_no_worker_knows_the_owners_login(self, own, own_database):
        password = own_database["MEDAI_DATABASE_ADMIN_URL"]
        given = [Path(f"/proc/{worker.pid}/environ").read_bytes() for worker in own[0].worker_processes()]
        assert [environment for environment in given if password.encode() in environment] == []


def test_a_clean_copy_of_the_command_line_names_its_commands():
    done = subprocess.run([sys.executable, "-m", "service"], capture_output=True, text=True)
    assert (done.returncode, "medai audit verify" in done.stdout) == (EXIT_USAGE, True)
