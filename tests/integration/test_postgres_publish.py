"""Publishing over PostgreSQL: a lease that no session holds, and cosignatures that only its holder stores."""

import asyncio
import hashlib
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from psycopg import errors

from audit import anchors_configured, checkpoint, genesis, merkle, note, record, signing
from audit.attestation import adopt
from audit.checkpoint import Checkpoint
from audit.clock import SystemClock
from audit.errors import LeaseLost, LedgerExists, LedgerUnavailable, RecordRefused
from audit.ports import Cosigned, Lease
from audit.postgres import migrate
from audit.postgres.reader import PostgresReader
from audit.postgres.store import APPEND, COSIGN, LEASE, PostgresStore
from audit.publishing import NAME
from audit.publishing_anchors import Source
from tests.ledger_fakes import until
from tests.publishing_fakes import QUICK, FakeAnchor, Watched, policy_of, publishing
from tests.witness_fakes import FakeWitness, serving

LIMIT_S = 30
A_MINUTE_MS = 60_000
POLICY = b"quorum none\n"


class Log:
    """A log of one signed record, and whoever publishes it, each over connections of its own."""

    def __init__(self, database, folder) -> None:
        self.database = database
        self.signer = signing.create(folder / "signing.key", "log.example/published")
        self.opened: list[PostgresStore | PostgresReader] = []
        self.store, self.reader = self.connections()

    def connections(self) -> tuple[PostgresStore, PostgresReader]:
        store, reader = PostgresStore(self.database.writer_url), PostgresReader(self.database.reader_url)
        self.opened += [store, reader]
        return store, reader

    async def begin(self) -> None:
        await genesis.initialise(self.store, self.reader, self.signer, SystemClock())
        await self.publish()

    async def publish(self) -> None:
        head = await self.reader.head()
        stated = Checkpoint(
            origin=self.signer.name, size=head.size, root=merkle.frontier_root(head.size, head.frontier)
        )
        await self.store.publish(head.size, note.sign(checkpoint.format(stated), [self.signer]).encode())

    def publisher(self, *, anchors=None, policy="", watched=None):
        made = anchors_configured.publisher(
            QUICK,
            source=Source(*self.connections(), self.signer.verifier),
            anchors=anchors or {},
            policy=adopt(policy.encode(), [self.signer.verifier]) if policy else None,
            observer=watched or Watched(),
            holder=uuid4(),
            forked=lambda _: None,
        )
        assert made is not None
        return made


@pytest.fixture
def told(database, tmp_path):
    """Runs an async test over a log, bounded in time."""

    def run(test):
        async def whole():
            log = Log(database, tmp_path)
            try:
                await log.begin()
                await asyncio.wait_for(test(log), LIMIT_S)
            finally:
                for one in log.opened:
                    await one.close()

        asyncio.run(whole())

    return run


@pytest.fixture
def witness():
    with serving(FakeWitness("w")) as witness:
        yield witness


def cosigned(**other) -> Cosigned:
    return Cosigned(**{"size": 1, "checkpoint": b"cosigned", "attested": False, "policy": POLICY, **other})


def test_what_witnesses_cosigned_is_served_by_every_process(told, witness):
    async def test(log):
        watched = Watched()
        async with publishing(log.publisher(policy=policy_of({"W": witness}, 1), watched=watched)):
            await until(lambda: watched.met == [1])
        _, another = log.connections()
        served = await another.checkpoint()
        assert served is not None
        assert [line.name for line in note.split(served[1])[1]] == [log.signer.name, witness.cosigner.name]

    told(test)


def test_what_met_a_policy_once_is_not_served_for_ever_once_no_witness_is_asked_for_any_more(told):
    async def test(log):
        lease = await log.store.lease(NAME, uuid4(), A_MINUTE_MS)
        await log.store.cosign(lease, cosigned(attested=True))
        asked, unasked = log.reader, PostgresReader(log.database.reader_url, serves="signed")
        log.opened.append(unasked)
        signed = await asked.signed()
        assert (await asked.checkpoint(), await unasked.checkpoint()) == ((1, b"cosigned"), signed)

    told(test)


def test_of_several_processes_one_leads(told, witness):
    async def test(log):
        watched = Watched()
        several = [log.publisher(policy=policy_of({"W": witness}, 1), watched=watched) for _ in range(4)]
        async with publishing(*several):
            await until(lambda: watched.met == [1])
            await asyncio.sleep(QUICK.lease_ms / 1000)
        assert watched.codes == ["publisher_leads"]

    told(test)


def test_when_the_leader_is_killed_another_leads_by_the_database_s_clock(told):
    async def test(log):
        killed = await log.store.lease(NAME, uuid4(), QUICK.lease_ms)
        assert killed.held
        anchor = FakeAnchor()
        async with publishing(log.publisher(anchors={"container": anchor})):
            await until(lambda: anchor.put_sizes == [1])
        assert (await log.store.lease(NAME, uuid4(), QUICK.lease_ms)).term == killed.term + 2

    told(test)


def test_a_lease_is_kept_over_another_connection_each_time_as_behind_a_pooler(told):
    async def test(log):
        holder, (second, _) = uuid4(), log.connections()
        taken = await log.store.lease(NAME, holder, A_MINUTE_MS)
        await log.store.close()
        kept = await second.lease(NAME, holder, A_MINUTE_MS)
        assert (kept.held, kept.term) == (True, taken.term)

    told(test)


def test_a_lease_outlives_the_connection_that_took_it(told):
    async def test(log):
        await log.store.lease(NAME, uuid4(), A_MINUTE_MS)
        await log.store.close()
        second, _ = log.connections()
        assert not (await second.lease(NAME, uuid4(), A_MINUTE_MS)).held

    told(test)


def test_nobody_takes_the_lease_over_while_its_holder_stores(told, database):
    async def test(log):
        holder = uuid4()
        lease = await log.store.lease(NAME, holder, 500)
        parameters = (NAME, holder, lease.term, 1, b"cosigned", POLICY, False)
        with psycopg.connect(database.writer_url) as storing, psycopg.connect(database.writer_url) as taking:
            storing.execute(COSIGN, parameters)
            taking.execute("SET lock_timeout = '2s'")
            with pytest.raises(errors.LockNotAvailable):  # longer than the lease was
                taking.execute(LEASE, (NAME, uuid4(), 500))
            storing.commit()
        assert [one.checkpoint for one in await log.reader.cosigned(0, 1, 10)] == [b"cosigned"]

    told(test)


def test_a_lease_that_somebody_made_up_stores_nothing(told):
    async def test(log):
        await log.store.lease(NAME, uuid4(), A_MINUTE_MS)
        made_up = Lease(name=NAME, holder=uuid4(), term=1, held=True, remaining_ms=A_MINUTE_MS)
        with pytest.raises(LeaseLost):
            await log.store.cosign(made_up, cosigned())

    told(test)


def test_a_policy_is_stored_once_under_its_digest(told, database):
    async def test(log):
        lease = await log.store.lease(NAME, uuid4(), A_MINUTE_MS)
        for signed in (b"one", b"two"):
            await log.store.cosign(lease, cosigned(checkpoint=signed))
        with psycopg.connect(database.reader_url) as connection:
            rows = connection.execute("SELECT digest, policy FROM ledger.policies", binary=True).fetchall()
        assert rows == [(hashlib.sha256(POLICY).digest(), POLICY)]

    told(test)


@pytest.mark.parametrize("larger", ["checkpoint", "policy"])
def test_what_is_larger_than_any_of_its_kind_is_refused(told, larger):
    async def test(log):
        lease = await log.store.lease(NAME, uuid4(), A_MINUTE_MS)
        with pytest.raises(RecordRefused):
            await log.store.cosign(lease, cosigned(**{larger: bytes(262_145)}))

    told(test)


@pytest.mark.parametrize("missing", ["checkpoint", "policy", "attested"])
def test_null_is_no_argument_of_cosign(told, database, missing):
    async def test(log):
        lease = await log.store.lease(NAME, uuid4(), A_MINUTE_MS)
        given = {"checkpoint": b"cosigned", "policy": POLICY, "attested": False, missing: None}
        with (
            psycopg.connect(database.writer_url, autocommit=True) as connection,
            pytest.raises(errors.NotNullViolation),
        ):
            connection.execute(COSIGN, (NAME, lease.holder, lease.term, 1, *given.values()))

    told(test)


@pytest.mark.parametrize("statement", ["UPDATE ledger.leases SET term = 7", "DELETE FROM ledger.leases"])
def test_the_writer_changes_leases_by_their_functions_alone(database, statement):
    with psycopg.connect(database.writer_url) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


def test_a_publisher_whose_connections_are_cut_goes_on_with_new_ones(told, database, witness):
    async def test(log):
        watched = Watched()
        async with publishing(log.publisher(policy=policy_of({"W": witness}, 1), watched=watched)):
            await until(lambda: watched.met == [1])
            with psycopg.connect(database.admin_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await log.store.append(1, *one_more())
            await log.publish()
            await until(lambda: watched.met[-1] == 2)

    told(test)


def one_more():
    """One more record; any that is valid."""
    entry = record.Outage(
        format=record.FORMAT, event_id=record.new_event_id(), recorded_at_us=1, process_id=record.new_event_id(),
        from_us=1, to_us=1, refused=0,
    )  # fmt: skip
    return [record.event_uuid(entry)], [record.encode(entry)]


def test_a_database_without_the_newest_schema_says_so(told, database):
    async def test(log):
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            connection.execute("DROP FUNCTION ledger.lease(text, uuid, integer)")
        with pytest.raises(LedgerUnavailable, match="medai migrate"):
            await log.store.lease(NAME, uuid4(), A_MINUTE_MS)

    told(test)


def to_revision(database, revision, move):
    """Alembic's own `move`, upgrade or downgrade, as `audit.postgres.migrate` runs it."""
    with migrate._transaction(database.admin_url) as connection:
        move(migrate._config(connection), revision)


def test_a_ledger_of_the_first_revision_is_brought_to_the_newest_with_its_records(database, entries):
    to_revision(database, "0001", command.downgrade)
    with psycopg.connect(database.writer_url, autocommit=True) as connection:
        connection.execute(APPEND, (0, *entries.sent(entries.genesis())))
        connection.execute("SELECT ledger.publish(1, 'signed')")
    migrate.upgrade(database.admin_url)
    with psycopg.connect(database.writer_url, autocommit=True) as connection:
        lease = connection.execute(LEASE, (NAME, uuid4(), A_MINUTE_MS)).fetchone()
    assert lease is not None
    assert lease[0] is True
    assert migrate.current(database.admin_url) == migrate.head()


def test_cosigned_checkpoints_are_not_dropped_by_going_back(told, database):
    async def test(log):
        lease = await log.store.lease(NAME, uuid4(), A_MINUTE_MS)
        await log.store.cosign(lease, cosigned())
        with pytest.raises(LedgerExists):
            to_revision(database, "0001", command.downgrade)
        assert len(await log.reader.cosigned(0, 1, 10)) == 1

    told(test)
