"""The embedded server: started by anyone, at any time, after anything, and nobody else's business."""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from audit.errors import LedgerUnavailable, SettingInvalid
from audit.postgres import embedded, unprivileged
from audit.postgres.embedded import Cluster

IMPORT = "import sys, pathlib; from audit.postgres import embedded; home = pathlib.Path(sys.argv[1])\n"
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can be, or make itself, another user")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where this module's server lives; a test may leave it running or not."""
    home = tmp_path_factory.mktemp("embedded")
    yield home
    embedded.stop(home)


@pytest.fixture
def running(home) -> Cluster:
    return embedded.start(home)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """The home of a server that was made, started and stopped; to be copied, never changed."""
    home = tmp_path_factory.mktemp("stopped") / "home"
    embedded.start(home)
    embedded.stop(home)
    return home


@pytest.fixture
def spoilt(stopped, tmp_path) -> Path:
    """A copy of `stopped` for a test to spoil, with the same owners."""
    home = tmp_path / "home"
    subprocess.run(["cp", "-a", str(stopped), str(home)], check=True)
    return home


def answers(cluster: Cluster) -> bool:
    with psycopg.connect(cluster.admin_url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def status(pid: int, name: str) -> list[str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith(f"{name}:"))


@pytest.mark.verifies("REQ-DEP-010")
def test_starting_twice_gives_the_same_server(home, running):
    assert embedded.start(home) == running


def test_starting_many_times_at_once_starts_one_server(home):
    embedded.stop(home)
    with ThreadPoolExecutor(8) as pool:
        pids = {cluster.pid for cluster in pool.map(embedded.start, [home] * 8)}
    assert len(pids) == 1


def test_a_server_that_runs_is_found_by_any_program(home, running):
    found = subprocess.run(
        [sys.executable, "-c", IMPORT + "print(embedded.running(home).pid)", str(home)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(found.stdout) == running.pid


def test_the_server_outlives_the_program_that_started_it(home):
    embedded.stop(home)
    subprocess.run([sys.executable, "-c", IMPORT + "embedded.start(home)", str(home)], check=True)
    cluster = embedded.running(home)
    assert cluster is not None
    assert answers(cluster)


def test_a_stopped_server_does_not_run(home, running):
    embedded.stop(home)
    assert embedded.running(home) is None
    with pytest.raises(psycopg.OperationalError):
        answers(running)


def test_stopping_what_does_not_run_is_no_error(home, tmp_path):
    embedded.stop(home)
    embedded.stop(home)
    embedded.stop(tmp_path / "never there")


def test_the_first_of_two_users_to_leave_does_not_stop_the_server(home):
    with embedded.using(home):
        with embedded.using(home):
            pass
        assert embedded.running(home) is not None


@pytest.mark.verifies("REQ-DEP-010")
def test_the_last_user_to_leave_stops_the_server(home):
    with embedded.using(home), embedded.using(home) as cluster:
        assert answers(cluster)
    assert embedded.running(home) is None


def test_a_server_that_a_killed_user_left_behind_is_stopped_by_the_next(home):
    script = IMPORT + "import os\nwith embedded.using(home): os._exit(9)"
    subprocess.run([sys.executable, "-c", script, str(home)], check=False, timeout=120)
    assert embedded.running(home) is not None
    with embedded.using(home):
        pass
    assert embedded.running(home) is None


@pytest.mark.verifies("REQ-DEP-010")
def test_what_was_written_is_there_after_a_stop_and_a_start(home, running):
    with psycopg.connect(running.admin_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    embedded.stop(home)
    with psycopg.connect(embedded.start(home).admin_url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
        connection.execute("DROP TABLE kept")


@pytest.mark.verifies("REQ-DEP-010")
def test_it_starts_again_after_it_was_killed(home, running):
    os.kill(running.pid, signal.SIGKILL)
    again = embedded.start(home)
    assert again.pid != running.pid
    assert answers(again)


def test_a_killed_server_does_not_count_as_running(home, running):
    os.kill(running.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while embedded.running(home) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert embedded.running(home) is None


def test_a_pid_file_that_names_another_process_by_now_does_not_stop_it_from_starting(home, running):
    os.kill(running.pid, signal.SIGKILL)
    noted = home / "postgres" / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"], user=noted.stat().st_uid if AS_ROOT else None) as stranger:
        lines = noted.read_text().split("\n")
        noted.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        try:
            assert answers(embedded.start(home))
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_what_an_interrupted_first_start_left_behind_is_swept_away(tmp_path):
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    try:
        assert answers(embedded.start(tmp_path))
        assert not (tmp_path / "postgres.new").exists()
    finally:
        embedded.stop(tmp_path)


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path):
    home = tmp_path / ("long" * 20) / ("longer" * 10)
    cluster = embedded.start(home)
    folder = Path(cluster.secrets.socket_folder)
    try:
        assert answers(cluster)
        assert home not in folder.parents
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        embedded.stop(home)
    assert not folder.exists()


def test_its_files_and_its_socket_are_closed_to_everyone_else(home, running):
    for folder in (home / "postgres", Path(running.secrets.socket_folder), home / "run"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (home / "postgres.json").stat().st_mode & 0o777 == 0o600


def test_it_listens_on_no_network(running):
    with psycopg.connect(running.admin_url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


@pytest.mark.parametrize("login", ["admin_url", "writer_url", "reader_url"])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_nobody_comes_in_without_the_password(running, login, password):
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(conninfo.make_conninfo(getattr(running, login), password=password), passfile="/dev/null")


def test_every_way_in_asks_for_a_password_or_is_closed(running):
    with psycopg.connect(running.admin_url) as connection:
        methods = {method for (method,) in connection.execute("SELECT auth_method FROM pg_hba_file_rules")}
    assert methods == {"scram-sha-256", "reject"}


def test_only_the_administrator_is_a_superuser(running):
    with psycopg.connect(running.admin_url) as connection:
        query = "SELECT rolname, rolsuper FROM pg_roles WHERE rolcanlogin ORDER BY 1"
        assert connection.execute(query).fetchall() == [
            ("medai_admin", True), ("medai_reader", False), ("medai_writer", False),
        ]  # fmt: skip


def test_it_keeps_what_it_acknowledges(running):
    with psycopg.connect(running.admin_url) as connection:
        names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums")
        assert [connection.execute(f"SHOW {name}").fetchone() for name in names] == [("on",)] * 4


def test_a_printed_cluster_shows_no_password(running):
    assert not any(password in repr(running) for password in running.secrets.passwords.values())


def test_its_log_holds_no_statement(home, running):
    with psycopg.connect(running.admin_url, autocommit=True) as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT 'Jane Doe'::integer /* also here: Jane */")
    assert "also here" not in (home / "run" / "postgres.log").read_text()


def test_lost_passwords_are_said_to_be_lost(spoilt):
    (spoilt / "postgres.json").unlink()
    with pytest.raises(SettingInvalid, match=r"postgres\.json"):
        embedded.start(spoilt)


def test_files_of_another_major_version_are_left_alone(spoilt):
    (spoilt / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(SettingInvalid, match="version 15"):
        embedded.start(spoilt)


def test_a_server_that_cannot_start_says_why(spoilt):
    with (spoilt / "postgres" / "postgresql.conf").open("a") as file:
        file.write("\nno_such_setting = 1\n")
    with pytest.raises(LedgerUnavailable, match="no_such_setting"):
        embedded.start(spoilt)


@needs_root
def test_root_does_not_run_it(running):
    assert status(running.pid, "Uid") == [str(pwd.getpwnam("nobody").pw_uid)] * 4
    assert status(running.pid, "Groups") == []


@needs_root
def test_what_root_gives_it_is_at_most_the_right_to_read(running):
    kept = {int(status(running.pid, name)[0], 16) for name in ("CapEff", "CapPrm", "CapAmb")}
    assert kept <= {0, 1 << unprivileged.CAPABILITIES["dac_read_search"]}
    assert status(running.pid, "NoNewPrivs") == ["1"]


@needs_root
def test_root_s_home_is_left_as_closed_as_it_was(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = closed / "checkout" / ".medai"
    above = [closed, tmp_path, *tmp_path.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in above]
    try:
        assert answers(embedded.start(home))
        assert answers(embedded.start(home))
    finally:
        embedded.stop(home)
    assert [(path.stat().st_mode, path.stat().st_uid) for path in above] == before


@needs_root
def test_another_user_s_home_is_refused_with_the_remedy(running, home):
    done = as_nobody("embedded.start(home)", home)
    assert "SettingInvalid" in done.stderr
    assert "MEDAI_HOME" in done.stderr


@needs_root
def test_an_ordinary_user_starts_and_stops_a_server_of_its_own(tmp_path, running):
    home = tmp_path / "theirs"
    home.mkdir()
    os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
    done = as_nobody(
        "import json, os\n"
        "pids = [embedded.start(home).pid, embedded.start(home).pid]; os.kill(pids[0], 9)\n"
        "pids.append(embedded.start(home).pid); embedded.stop(home)\n"
        "print(json.dumps([pids, embedded.running(home) is None, os.geteuid()]))",
        home,
    )
    assert done.stderr == ""
    (first, again, after), stopped, uid = json.loads(done.stdout)
    assert (first, uid, stopped) == (again, pwd.getpwnam("nobody").pw_uid, True)
    assert after != first
    assert answers(running)


def as_nobody(program: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run as `nobody`, with the one right that the interpreter needs where only root may enter its folder."""
    nobody = pwd.getpwnam("nobody")
    drop = [sys.executable, "-I", unprivileged.__file__, str(nobody.pw_uid), str(nobody.pw_gid), "dac_read_search"]
    paths = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}\n"
    return subprocess.run(
        [*drop, sys.executable, "-c", paths + IMPORT + program, str(home)], capture_output=True, text=True, timeout=120
    )
