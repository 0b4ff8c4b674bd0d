"""A hospital's year by docs/operations.md: installed, upgraded, keys rotated, altered, restored too old, recovered."""

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest
from msgspec import Struct
from psycopg import conninfo

from audit.record import KeyRotated, Prediction
from tests.system import procedures
from tests.system.conftest import Entry, entries_at
from tests.system.procedures import Desk
from tests.system.running import Client, Response, Server, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # of a machine that is busy: the whole year is one fixture

LIMIT_S = 60.0
LOOK_LIMIT_S = 240.0
"""The self-audit rests nine times as long as a look took."""
GOOD = (0, "")
EXIT_REFUSED = 2


class Year(Struct, kw_only=True):
    """What was seen; a fact for each test."""

    desk: Desk
    first: Response
    by_new_token: int = 0
    by_old_token: int = 0
    after_rotation: Response | None = None
    password_changed: bool = False
    after_password: int = 0
    upgraded: int = 0
    verdict_alerted: bool = False
    verdict: dict = {}
    answered_while_altered: int = 0
    verdict_ended: bool = False
    refusal: tuple[int, str] = (0, "")
    anew: Response | None = None
    entries: list[Entry] = []


class Hospital:
    """A database server, the logins on it, and the home of one service."""

    def __init__(self, folder: Path, cluster) -> None:
        self.cluster = cluster
        self.word = uuid4().hex[:8]
        self.login = f"op_{self.word}"
        self.passfile = folder / "pgpass"
        self.passfile.touch(mode=0o600)
        self.passfile.write_text(f"*:*:*:{self.login}:first\n")
        self._sql(f"CREATE ROLE {self.login} LOGIN PASSWORD 'first'")
        self.databases = {name: f"op_{self.word}_{name}" for name in ("log", "restored", "next")}
        self._sql(f"CREATE DATABASE {self.databases['log']}")
        self.server = Server(folder / "home", workers=1, settings={"MEDAI_WATCH_INTERVAL_S": "1"})
        self.desk = Desk(folder / "desk", {})
        self.use("log")
        keys = folder / "home" / "keys"
        self.desk.variables |= {
            "ORIGIN": f"hospital.example/{self.word}",
            "WRITER": self.login,
            "PASSFILE": str(self.passfile),
            "PSEUDONYM_KEY": str(keys / "pseudonym.key"),
            "ANCHORS": str(folder / "home" / "anchors"),
            "RESTORED": self.databases["restored"],
            "RESTORED_ADMIN_URL": self.admin_url("restored"),
            "COPY_ADMIN_URL": self.admin_url("restored"),
            "NEXT": self.databases["next"],
            "NEXT_ORIGIN": f"hospital.example/{self.word}-2",
        }

    def _sql(self, statement: str) -> None:
        with psycopg.connect(self._postgres(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _postgres(self) -> str:
        return msgspec.structs.replace(self.cluster, database="postgres").admin_url

    def admin_url(self, name: str) -> str:
        return msgspec.structs.replace(self.cluster, database=self.databases[name]).admin_url

    @property
    def service_url(self) -> str:
        return self.server.settings["MEDAI_DATABASE_URL"]

    def use(self, name: str) -> None:
        """From now on the service and the operator's commands use this database."""
        url = conninfo.make_conninfo(
            host=self.cluster.secrets.socket_folder,
            dbname=self.databases[name],
            user=self.login,
            passfile=str(self.passfile),
        )
        self.server.settings |= {"MEDAI_DATABASE_URL": url, "MEDAI_DATABASE_READER_URL": url}
        self.desk.variables |= self.server.environment | {
            "PATH": self.desk.variables["PATH"],
            "MEDAI_DATABASE_ADMIN_URL": self.admin_url(name),
        }

    def client(self, token_file: str = "ward-7.token") -> Client:
        return Client(self.server.port, (self.desk.folder / token_file).read_text("ascii").strip())

    def infer(self, image: bytes, token_file: str = "ward-7.token") -> Response:
        with self.client(token_file) as client:
            return client.infer(image)

    def verdict_is(self, wanted: str) -> bool:
        """Whether the self-audit comes to it."""
        return eventually(lambda: f"\nmedai_audit_verdict {wanted}\n" in self._metrics(), LOOK_LIMIT_S)

    def _metrics(self) -> str:
        return self.server.internal("/metrics").body.decode()

    def clean(self) -> None:
        self.server.clean()
        for database in self.databases.values():
            self._sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self._sql(f"DROP ROLE {self.login}")


@pytest.fixture(scope="module")
def year(cluster, tmp_path_factory, ct_slice) -> Iterator[Year]:
    hospital = Hospital(tmp_path_factory.mktemp("year"), cluster)
    try:
        yield _lived(hospital, ct_slice)
    finally:
        hospital.clean()


def _lived(hospital: Hospital, image: bytes) -> Year:
    desk, server = hospital.desk, hospital.server
    desk.run("install").check_returncode()
    server.start()
    year = Year(desk=desk, first=hospital.infer(image))
    _rotate(hospital, year, image)
    _upgrade(hospital, year, image)
    desk.run("backup").check_returncode()
    desk.run("restore").check_returncode()
    _alter_and_repair(hospital, year, image)
    _go_back_and_recover(hospital, year, image)
    return year


def _rotate(hospital: Hospital, year: Year, image: bytes) -> None:
    desk, server = hospital.desk, hospital.server
    desk.run("rotate-signing-key")
    year.after_rotation = hospital.infer(image)
    desk.run("rotate-token")
    year.by_new_token = hospital.infer(image, "ward-7-b.token").status
    eventually(lambda: hospital.infer(image).status == 401, LIMIT_S)
    year.by_old_token = hospital.infer(image).status
    desk.run("rotate-database-password")
    year.password_changed = _is_refused(hospital, "first")
    with psycopg.connect(hospital.admin_url("log"), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [hospital.login]
        )
    eventually(lambda: hospital.infer(image, "ward-7-b.token").status == 200, LIMIT_S)
    year.after_password = hospital.infer(image, "ward-7-b.token").status
    desk.run("rotate-pseudonym-key")
    assert server.stop() == 0


def _is_refused(hospital: Hospital, password: str) -> bool:
    try:
        psycopg.connect(hospital.service_url, password=password).close()
    except psycopg.OperationalError:
        return True
    return False


def _upgrade(hospital: Hospital, year: Year, image: bytes) -> None:
    hospital.desk.run("upgrade")
    hospital.server.start()
    year.upgraded = hospital.infer(image, "ward-7-b.token").status


def _alter_and_repair(hospital: Hospital, year: Year, image: bytes) -> None:
    """A superuser changes a record of before the backup; the backup was restored beside."""
    first = year.first.index
    with psycopg.connect(hospital.admin_url("log"), autocommit=True) as connection:
        connection.execute("ALTER TABLE ledger.records DISABLE TRIGGER never_change")
        connection.execute("UPDATE ledger.records SET record = record || ' '::bytea WHERE idx = %s", [first])
        connection.execute("ALTER TABLE ledger.records ENABLE ALWAYS TRIGGER never_change")
    # The look at all of it comes with a restart here, else once a day.
    hospital.server.stop()
    hospital.server.start()
    year.verdict_alerted = hospital.verdict_is("1.0")
    year.answered_while_altered = hospital.infer(image, "ward-7-b.token").status
    hospital.desk.run("tamper-alert")
    year.verdict = json.loads((hospital.desk.folder / "verdict.json").read_text("utf-8"))
    found = year.verdict["found"][0]
    hospital.desk.run("tamper-repair", FIRST=str(found["first"]), END=str(found["end"]))
    year.verdict_ended = hospital.verdict_is("0.0")


def _go_back_and_recover(hospital: Hospital, year: Year, image: bytes) -> None:
    """The database is lost, and the backup is older than what was signed."""
    server = hospital.server
    assert server.stop() == 0
    hospital.use("restored")
    done = server.medai("serve", *server.arguments())
    year.refusal = (done.returncode, done.stderr)
    hospital.desk.run("recover")
    hospital.use("next")
    server.start()
    year.anew = hospital.infer(image, "ward-7-b.token")
    assert server.stop() == 0
    hospital.desk.run("recovered")
    hospital.use("log")
    year.entries = entries_at(hospital.service_url)


def test_every_procedure_of_the_page_is_run_here(year):
    assert set(year.desk.ran) == set(procedures.written())


@pytest.mark.parametrize("name", sorted(procedures.written()))
def test_the_procedure_ends_well_as_it_is_written(year, name):
    assert year.desk.ended(name) == GOOD


def test_what_was_installed_answers(year):
    assert year.first.status == 200


def test_an_answer_after_the_rotation_verifies_with_the_new_key_alone(year, repository):
    assert year.after_rotation is not None
    saved = year.desk.folder / "rotated.json"
    saved.write_bytes(year.after_rotation.body)
    verifier = str(repository / "audit" / "verifier.py")
    codes = [
        subprocess.run(
            [sys.executable, "-I", "-S", verifier, "--key", str(year.desk.folder / key), str(saved)]
        ).returncode
        for key in ("new.vkey", "log.vkey")
    ]
    assert codes == [0, 3]


def test_the_rotation_is_on_record(year):
    assert [type(entry.record) for entry in year.entries].count(KeyRotated) == 1


def test_the_new_token_opens_and_the_old_one_does_not(year):
    assert (year.by_new_token, year.by_old_token) == (200, 401)


def test_the_old_password_is_refused_and_the_service_has_the_new_one(year):
    assert (year.password_changed, year.after_password) == (True, 200)


def test_pseudonyms_bear_the_name_of_the_key_of_their_time(year):
    peers = [entry.record.peer.partition(":")[0] for entry in year.entries if isinstance(entry.record, Prediction)]
    assert sorted(set(peers)) == ["k1", "k2"]
    assert peers == sorted(peers)


def test_keys_that_were_made_by_hand_are_closed_to_others(year):
    key = Path(year.desk.variables["PSEUDONYM_KEY"])
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (key, key.with_name(key.name + ".retired"))}
    assert modes == {0o600}


def test_what_was_upgraded_answers(year):
    assert year.upgraded == 200


def test_an_altered_record_is_alerted_on_while_the_service_goes_on(year):
    assert (year.verdict_alerted, year.answered_while_altered) == (True, 200)


def test_the_verdict_that_was_secured_names_the_altered_record(year):
    found = [(one["class"], one["first"], one["end"]) for one in year.verdict["found"]]
    assert found == [("record_edited", year.first.index, year.first.index + 1)]
    assert "exit code 1" in year.desk.ran["tamper-alert"].stdout


def test_the_evidence_that_was_secured_is_there(year):
    kept = [year.desk.folder / name for name in ("evidence.dump", "evidence-anchors")]
    assert [path.name for path in kept if not path.exists()] == []


def test_the_alert_ends_once_the_rows_are_put_back(year):
    assert year.verdict_ended


def test_a_backup_that_lacks_what_was_signed_is_refused_with_the_way_out(year):
    code, said = year.refusal
    assert (code, "medai audit recover" in said) == (EXIT_REFUSED, True)


def test_the_recovery_says_beforehand_what_is_lost(year):
    assert re.search(r"records \d+ to \d+ are lost", year.desk.ran["recover"].stdout)


def test_the_next_log_answers_as_the_first_did(year):
    assert year.anew is not None
    assert year.anew.status == 200


def test_the_policy_for_auditors_has_both_logs(year):
    lines = (year.desk.folder / "policy").read_text("utf-8").splitlines()
    origins = {line.split()[1].partition("+")[0] for line in lines if line.startswith("log ")}
    assert origins == {year.desk.variables["ORIGIN"], year.desk.variables["NEXT_ORIGIN"]}
