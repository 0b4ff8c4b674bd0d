"""Checkpoints with cosignatures, the policies that they were judged by, and the lease of whoever collects them.

Rows of `cosigned` and `policies` never change: what comes in later for a size is a further version of it, which
carries what the one before it carried. `attested` is the verdict of that row's policy when it was stored, so that
every process serves the same checkpoint; it can be worked out again from the row and its policy. The one row that is
updated is the lease: it is nobody's evidence, and losing it costs a few seconds.

SQLSTATEs of our own (class ML), besides those of the first revision: ML008 the lease is not, or no longer, held.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# As in the first revision: another login may migrate this time.
BECOME_OWNER = """
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'ledger_owner', 'SET') THEN
        EXECUTE 'GRANT ledger_owner TO ' || quote_ident(current_user) || ' WITH INHERIT TRUE, SET TRUE';
    END IF;
END
$$
"""

# 262144: the 32 witnesses of C2SP tlog-policy, "Implementation limits", are less than half of it as ML-DSA-44
# cosignatures (2432 bytes each, in base64), and less still as keys of a policy.
MAKE_TABLES = """
CREATE TABLE ledger.policies (
    digest bytea PRIMARY KEY CHECK (digest = sha256(policy)),
    policy bytea NOT NULL CHECK (octet_length(policy) <= 262144)
);

CREATE TABLE ledger.cosigned (
    size bigint NOT NULL REFERENCES ledger.checkpoints (size),
    version smallint NOT NULL CHECK (version BETWEEN 1 AND 1000),
    attested boolean NOT NULL,
    policy bytea NOT NULL REFERENCES ledger.policies (digest),
    checkpoint bytea NOT NULL CHECK (octet_length(checkpoint) <= 262144),
    PRIMARY KEY (size, version)
);
CREATE INDEX cosigned_attested ON ledger.cosigned (size, version) WHERE attested;

CREATE TABLE ledger.leases (
    name text PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 64),
    holder uuid NOT NULL,
    term bigint NOT NULL CHECK (term > 0),
    expires_at timestamptz NOT NULL
);
"""
MAKE_GUARDS = """
CREATE TRIGGER never_change BEFORE UPDATE OR DELETE ON ledger.{table}
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON ledger.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER never_change;
ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER never_truncate;
"""

# One statement, so that it works behind a transaction pooler. The conflicting row is locked before it is judged, and
# clock_timestamp() is read then: whoever waited for the lock judges by the time at which it was given.
MAKE_LEASE = """
CREATE FUNCTION ledger.lease(
    name text, holder uuid, ttl_ms integer, OUT held boolean, OUT term bigint, OUT remaining_ms bigint
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name IS NULL OR holder IS NULL OR ttl_ms IS NULL OR ttl_ms NOT BETWEEN 1 AND 3600000 THEN
        RAISE EXCEPTION USING ERRCODE = 'ML003',
            MESSAGE = 'ledger: expected a lease''s name, a holder and 1 to 3600000 ms';
    END IF;
    INSERT INTO ledger.leases AS l (name, holder, term, expires_at)
        VALUES (lease.name, lease.holder, 1, clock_timestamp() + ttl_ms * interval '1 millisecond')
        ON CONFLICT ON CONSTRAINT leases_pkey DO UPDATE SET
            term = CASE WHEN l.holder = excluded.holder AND l.expires_at > clock_timestamp() THEN l.term
                        ELSE l.term + 1 END,
            holder = excluded.holder,
            expires_at = clock_timestamp() + ttl_ms * interval '1 millisecond'
        WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
        RETURNING l.term INTO term;
    held := FOUND;
    SELECT l.term, greatest(0, ceil(extract(epoch FROM l.expires_at - clock_timestamp()) * 1000))
        INTO term, remaining_ms FROM ledger.leases AS l WHERE l.name = lease.name;
END
$$
"""
MAKE_RELEASE = """
CREATE FUNCTION ledger.release(name text, holder uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE ledger.leases AS l SET expires_at = clock_timestamp()
        WHERE l.name = release.name AND l.holder = release.holder AND l.expires_at > clock_timestamp();
END
$$
"""

# The lease's row stays locked until the commit: nobody else takes it over in between.
MAKE_COSIGN = """
CREATE FUNCTION ledger.cosign(
    lease_name text, holder uuid, term bigint, size bigint, checkpoint bytea, policy bytea, attested boolean
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest ledger.cosigned;
BEGIN
    PERFORM FROM ledger.leases AS l WHERE l.name = lease_name AND l.holder = cosign.holder AND l.term = cosign.term
        AND l.expires_at > clock_timestamp() FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ML008', MESSAGE = 'ledger: the lease is not, or no longer, held';
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.checkpoints AS c WHERE c.size = cosign.size) THEN
        RAISE EXCEPTION USING ERRCODE = 'ML003',
            MESSAGE = 'ledger: no signed checkpoint of size ' || coalesce(size, -1) || ' is published';
    END IF;
    INSERT INTO ledger.policies VALUES (sha256(cosign.policy), cosign.policy) ON CONFLICT DO NOTHING;
    SELECT * INTO newest FROM ledger.cosigned AS c WHERE c.size = cosign.size ORDER BY c.version DESC LIMIT 1;
    IF (newest.checkpoint, newest.policy, newest.attested)
        IS NOT DISTINCT FROM (cosign.checkpoint, sha256(cosign.policy), cosign.attested) THEN
        RETURN;
    END IF;
    INSERT INTO ledger.cosigned
        VALUES (size, coalesce(newest.version, 0) + 1, attested, sha256(cosign.policy), checkpoint);
END
$$
"""

FUNCTIONS = (
    "lease(text, uuid, integer)",
    "release(text, uuid)",
    "cosign(text, uuid, bigint, bigint, bytea, bytea, boolean)",
)


def upgrade() -> None:
    op.execute(BECOME_OWNER)
    op.execute("SET LOCAL ROLE ledger_owner")
    op.execute(MAKE_TABLES)
    for table in ("policies", "cosigned"):
        op.execute(MAKE_GUARDS.format(table=table))
    for function in (MAKE_LEASE, MAKE_RELEASE, MAKE_COSIGN):
        op.execute(function)
    for signature in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION ledger.{signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION ledger.{signature} TO ledger_writer")
    for table in ("policies", "cosigned", "leases"):
        op.execute(f"GRANT SELECT ON ledger.{table} TO ledger_reader")
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Undo `upgrade`. Refused while a checkpoint with cosignatures exists: nobody can make it again."""
    op.execute("SET LOCAL ROLE ledger_owner")
    op.execute(
        """
        DO $$
        BEGIN
            LOCK TABLE ledger.cosigned IN ACCESS EXCLUSIVE MODE;
            IF EXISTS (SELECT FROM ledger.cosigned) THEN
                RAISE EXCEPTION USING ERRCODE = 'ML007',
                    MESSAGE = 'ledger: checkpoints with cosignatures are never dropped; keep this database';
            END IF;
        END
        $$
        """
    )
    for signature in FUNCTIONS:
        op.execute(f"DROP FUNCTION ledger.{signature}")
    for table in ("leases", "cosigned", "policies"):
        op.execute(f"DROP TABLE ledger.{table}")
    op.execute("RESET ROLE")
