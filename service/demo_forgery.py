"""What somebody with power might do to an answer or to the database, done to copies, and how it is found."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psycopg
from psycopg import conninfo, sql

from audit.settings import places
from service.demo_service import DemonstrationFailed, medai

COPY: Final = "medai_demo_copy"
ANCHOR_LIMIT_S: Final = 10
Alter = Callable[[int, bytes], bytes]


def offline(verifier: Path, saved: Path, key: Path) -> "subprocess.CompletedProcess[str]":
    """The one-file verifier under an interpreter that ignores site-packages and the environment."""
    return subprocess.run(  # nosec B603  # our own interpreter and our own file
        [sys.executable, "-I", "-S", str(verifier), "--key", str(key), str(saved)],
        capture_output=True,
        text=True,
        check=False,
    )


def words(done: "subprocess.CompletedProcess[str]") -> str:
    """A command's verdict in one line: the line that says so, else its last, after what it found first."""
    lines = [line.strip() for line in (done.stdout.strip() or done.stderr.strip()).splitlines()] or ["(nothing said)"]
    verdict = next((line for line in lines if line.startswith("VERDICT")), f"exit {done.returncode}: {lines[-1]}")
    found = lines[0] if done.returncode and len(lines) > 1 and not verdict.startswith("VERDICT") else None
    return f"{found}\n      {verdict}" if found else verdict


def alter_answer(answer: Path, key: Path, verifier: Path) -> None:
    """One digit of a copy of a saved answer is changed; the verifier has to say so with exit code 1."""
    altered = answer.with_name(f"altered-{answer.name}")
    body = answer.read_text(encoding="utf-8")
    changed = re.sub(r'("probability_ppm":\s*)(\d)', lambda m: m[1] + str((int(m[2]) + 1) % 10 or 1), body, count=1)
    if changed == body:
        raise DemonstrationFailed(f"{answer}: there is no probability to alter")
    altered.write_text(changed, encoding="utf-8")
    done = offline(verifier, altered, key)
    print(f"    one digit of a saved answer's probability changed ({altered.name}):\n      {words(done)}")
    if done.returncode != 1:
        raise DemonstrationFailed("an altered answer was not found")


def rewrite_database(home: Path, admin_url: str, index: int) -> None:
    """The superuser rewrites record `index` in a copy of the database and recomputes leaf, chain and tree.

    Nothing inside the copy contradicts anything else afterwards. The anchor does: exit code 1.
    """
    copy_url = conninfo.make_conninfo(admin_url, dbname=COPY)
    try:
        environment = _environment(home, admin_url, copy_url, index)
        _create_copy(home, admin_url, copy_url, environment)
        honest = medai(home, "audit", "verify", environment=environment)
        print(f"    a copy of the database, untouched:\n      {words(honest)}", flush=True)
        if honest.returncode != 0:
            raise DemonstrationFailed("an untouched copy of the database does not verify")
        with psycopg.connect(admin_url) as source, psycopg.connect(copy_url) as copy:
            _empty(copy)
            _fill(source, copy, lambda at, body: _flipped(body) if at == index else body)
        forged = medai(home, "audit", "verify", environment=environment)
        print(
            f"    record {index} rewritten by the superuser, all hashes recomputed:\n      {words(forged)}", flush=True
        )
        if forged.returncode != 1:
            raise DemonstrationFailed("a rewritten database was not found")
    except psycopg.Error as error:
        raise DemonstrationFailed(f"the copy of the database: {error}") from error
    finally:
        _drop_copy(admin_url)


def _environment(home: Path, admin_url: str, copy_url: str, index: int) -> dict[str, str]:
    """What makes `medai` look at the copy: its database, and a copy of the anchors that was made before it, since
    a service that still runs goes on appending and anchoring. Record `index` is anchored when this returns."""
    until = time.monotonic() + ANCHOR_LIMIT_S
    with psycopg.connect(admin_url, autocommit=True) as source:
        # A checkpoint is published after it was anchored.
        while not source.execute("SELECT 1 FROM ledger.checkpoints WHERE size > %s LIMIT 1", (index,)).fetchone():
            if time.monotonic() > until:
                raise DemonstrationFailed(f"record {index} was not anchored within {ANCHOR_LIMIT_S} s")
            time.sleep(0.1)
    anchors = home / "demo" / "anchors-copy"
    shutil.copytree(places({**os.environ, "MEDAI_HOME": str(home)}).anchors, anchors)
    urls = dict.fromkeys(("MEDAI_DATABASE_URL", "MEDAI_DATABASE_READER_URL", "MEDAI_DATABASE_ADMIN_URL"), copy_url)
    return {**urls, "MEDAI_ANCHOR_FOLDER": str(anchors)}


def _create_copy(home: Path, admin_url: str, copy_url: str, environment: Mapping[str, str]) -> None:
    _drop_copy(admin_url)
    with psycopg.connect(admin_url, autocommit=True) as source:
        source.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(COPY)))
    migrated = medai(home, "migrate", environment=environment)
    if migrated.returncode:
        raise DemonstrationFailed(f"medai migrate on the copy: {words(migrated)}")
    with psycopg.connect(admin_url) as source, psycopg.connect(copy_url) as copy:
        _fill(source, copy, lambda _, body: body)
        rows = source.execute("SELECT size, checkpoint FROM ledger.checkpoints").fetchall()
        with copy.cursor() as cursor:
            cursor.executemany("INSERT INTO ledger.checkpoints VALUES (%s, %s)", rows)


def _fill(source: psycopg.Connection, copy: psycopg.Connection, alter: Alter) -> None:
    """Append every record of `source` to `copy`, batch by batch, through `alter`; one transaction each."""
    batches = source.execute("SELECT first, size FROM ledger.batches ORDER BY size").fetchall()
    for first, size in batches:
        rows = source.execute(
            "SELECT idx, event_id, record FROM ledger.records WHERE idx >= %s AND idx < %s ORDER BY idx", (first, size)
        ).fetchall()
        ids, bodies = [row[1] for row in rows], [alter(row[0], row[2]) for row in rows]
        copy.execute("SELECT ledger.append(%s, %s::uuid[], %s::bytea[])", (first, ids, bodies))


def _empty(copy: psycopg.Connection) -> None:
    """What triggers refuse to accidents, a superuser does: they are switched off, then the rows are gone."""
    for table in ("records", "nodes", "batches"):
        name = sql.Identifier("ledger", table)
        copy.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(name))
        copy.execute(sql.SQL("TRUNCATE {}").format(name))
        for trigger in ("never_change", "never_truncate"):
            copy.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(name, sql.Identifier(trigger)))


def _flipped(body: bytes) -> bytes:
    """The same record with the opposite decision, still canonical."""
    opposite = {"positive": "negative", "negative": "positive", "abstain": "negative"}
    decision = json.loads(body)["finding"]["decision"]
    return body.replace(f'"decision":"{decision}"'.encode(), f'"decision":"{opposite[decision]}"'.encode())


def _drop_copy(admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as source:
        source.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(COPY)))
