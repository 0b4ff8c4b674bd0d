"""The ledger: its roles, its tables, and `ledger.append`, the only way in.

Whoever may run this may become `ledger_owner` and is to be trusted like the superuser. Triggers stop
accidents; what stops a dishonest owner is that checkpoints are kept elsewhere.

SQLSTATEs of our own (class ML): ML001 forked, ML002 caller too far behind, ML003 the batch's data,
ML004 record 0 exists, ML005 no record 0, ML006 the transaction cannot be served, ML007 rows never change.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLES = ("ledger_owner", "ledger_writer", "ledger_reader", "ledger_pruner")
TABLES = ("records", "nodes", "batches", "checkpoints", "writer_lock")

# A role belongs to the whole server: another database may have made it, or may be making it now.
# Since PostgreSQL 16 a CREATEROLE login may act as a role it made only after granting that to itself.
MAKE_ROLES = """
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY string_to_array('{roles}', ',') LOOP
        BEGIN
            IF to_regrole(name) IS NULL THEN
                EXECUTE 'CREATE ROLE ' || quote_ident(name) || ' NOLOGIN';
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    IF NOT pg_has_role(current_user, 'ledger_owner', 'SET') THEN
        EXECUTE 'GRANT ledger_owner TO ' || quote_ident(current_user) || ' WITH INHERIT TRUE, SET TRUE';
    END IF;
END
$$
"""

# STORAGE EXTERNAL: a record is some 1 KB of digests and ids, which compress to nothing for much work.
MAKE_TABLES = """
CREATE TABLE ledger.records (
    idx bigint PRIMARY KEY CHECK (idx >= 0),
    event_id uuid NOT NULL UNIQUE,
    record bytea STORAGE EXTERNAL NOT NULL CHECK (octet_length(record) <= 16384),
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    kind text NOT NULL,
    recorded_at_us bigint NOT NULL,
    request_id uuid,
    correlation_id text,
    actor text,
    peer text,
    route text,
    status smallint,
    code text,
    decision text,
    model text,
    release text,
    patient text,
    study text,
    process_id uuid,
    phase text,
    minute_us bigint,
    of_index bigint
);
CREATE INDEX records_windows_opened ON ledger.records (idx) WHERE phase = 'opened';
CREATE INDEX records_of_index ON ledger.records (of_index) WHERE of_index IS NOT NULL;

CREATE TABLE ledger.nodes (
    height smallint NOT NULL CHECK (height > 0 AND height % 8 = 0),
    idx bigint NOT NULL CHECK (idx >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (height, idx)
);

CREATE TABLE ledger.batches (
    size bigint PRIMARY KEY,
    first bigint NOT NULL CHECK (first >= 0 AND first < size),
    chain bytea NOT NULL CHECK (octet_length(chain) = 32),
    frontier bytea[] NOT NULL
);

CREATE TABLE ledger.checkpoints (
    size bigint PRIMARY KEY CHECK (size > 0),
    checkpoint bytea NOT NULL CHECK (octet_length(checkpoint) <= 16384)
);

CREATE TABLE ledger.writer_lock (only_row boolean PRIMARY KEY CHECK (only_row));
INSERT INTO ledger.writer_lock VALUES (true);
"""

# The row trigger also fires for logical replication's apply worker; TRUNCATE has statement triggers only.
# implements: REQ-LED-016
MAKE_GUARD = """
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'ML007',
        MESSAGE = 'ledger: ' || TG_OP || ' on ' || TG_TABLE_NAME || ' refused; rows of the ledger never change';
END
$$;
REVOKE ALL ON FUNCTION ledger.refuse_change() FROM PUBLIC;
"""
# implements: REQ-LED-016
MAKE_GUARD_OF = """
CREATE TRIGGER never_change BEFORE UPDATE OR DELETE ON ledger.{table}
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON ledger.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER never_change;
ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER never_truncate;
"""

MAKE_REFUSE = """
CREATE FUNCTION ledger.refuse(reason text) RETURNS uuid LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'ML003', MESSAGE = reason;
END
$$;
REVOKE ALL ON FUNCTION ledger.refuse(text) FROM PUBLIC;
"""

# Formulae: leaf = SHA-256(0x00 || record), node = SHA-256(0x01 || left || right) (RFC 6962 section 2.1);
# c[i] = SHA-256(0x02 || c[i-1] || leaf[i]), c[-1] = SHA-256(0x03 || origin).
# enable_seqscan: a session keeps the plan that it made while the ledger was small, and would scan it for ever.
# plan_cache_mode: planning each statement anew took as long as carrying it out. jit: for large reports, not for this.
# 1024 records a batch and 65536 leaves given back bound one call's memory to some 20 MB.
# implements: REQ-LED-017
MAKE_APPEND = """
CREATE FUNCTION ledger.append(
    known_size bigint, event_ids uuid[], records bytea[],
    OUT first bigint, OUT frontier_before bytea[], OUT frontier_after bytea[], OUT chain_after bytea,
    OUT between_leaves bytea[], OUT batch_leaves bytea[]
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    batch integer := coalesce(cardinality(records), 0);
    size bigint;
    chain bytea;
    stack bytea[];
    depth integer;
    known integer;
    lowest bigint;
    highest bigint;
    geneses integer;
    leaf bytea;
    node bytea;
    place bigint;
    height integer;
BEGIN
    -- 1. Each statement below must see what was committed before it began.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'ML006',
            MESSAGE = 'ledger: expected isolation read committed, got ' || current_setting('transaction_isolation');
    END IF;
    IF known_size IS NULL OR known_size < 0 OR batch NOT BETWEEN 1 AND 1024
        OR array_ndims(records) <> 1 OR array_ndims(event_ids) IS DISTINCT FROM 1
        OR cardinality(event_ids) <> batch
        OR array_position(event_ids, NULL) IS NOT NULL OR array_position(records, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'ML003',
            MESSAGE = 'ledger: expected a size and 1 to 1024 records with as many ids, none of them null';
    END IF;
    -- 2. Durable when COMMIT returns. A SET clause of the function would be undone before COMMIT.
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    -- 3. One writer at a time. The row lock writes WAL: even a retry that inserts nothing waits for its flush.
    PERFORM FROM ledger.writer_lock AS l WHERE l.only_row FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ML006', MESSAGE = 'ledger: the lock row is gone; migrate the database anew';
    END IF;
    SELECT b.size, b.chain, b.frontier INTO size, chain, stack FROM ledger.batches AS b ORDER BY b.size DESC LIMIT 1;
    IF NOT FOUND THEN
        size := 0;
        stack := '{}';
    END IF;
    IF size < known_size THEN
        RAISE EXCEPTION USING ERRCODE = 'ML001',
            MESSAGE = 'ledger: the caller knows ' || known_size || ' records, the database has ' || size;
    END IF;
    -- 4. A batch that is known in full is answered as it was the first time; in part, it is refused.
    SELECT count(*), min(r.idx), max(r.idx) INTO known, lowest, highest
        FROM ledger.records AS r WHERE r.event_id = ANY (event_ids);
    IF known > 0 THEN
        SELECT b.chain, b.frontier INTO chain_after, frontier_after
            FROM ledger.batches AS b WHERE b.size = lowest + batch AND b.first = lowest;
        IF NOT FOUND OR known <> batch OR highest - lowest <> batch - 1 THEN
            RAISE EXCEPTION USING ERRCODE = 'ML003',
                MESSAGE = 'ledger: ' || known || ' of ' || batch || ' ids are known, and not as this batch';
        END IF;
        SELECT array_agg(r.leaf_hash ORDER BY r.idx) INTO batch_leaves
            FROM unnest(event_ids, records) WITH ORDINALITY AS b (event_id, record, nth)
            JOIN ledger.records AS r ON r.idx = lowest + b.nth - 1 AND r.event_id = b.event_id AND r.record = b.record;
        IF cardinality(batch_leaves) IS DISTINCT FROM batch THEN
            RAISE EXCEPTION USING ERRCODE = 'ML003',
                MESSAGE = 'ledger: the ids are known with other bytes or in another order';
        END IF;
        first := lowest;
        SELECT coalesce((SELECT b.frontier FROM ledger.batches AS b WHERE b.size = lowest), '{}') INTO frontier_before;
    ELSE
        first := size;
        frontier_before := stack;
    END IF;
    -- 5. What others wrote since the caller last looked, for it to extend its own tree with.
    IF first - known_size > 65536 THEN
        RAISE EXCEPTION USING ERRCODE = 'ML002', MESSAGE = 'ledger: the caller knows ' || known_size
            || ' records, more than 65536 fewer than ' || first || '; read the ledger again';
    END IF;
    between_leaves := '{}';
    IF first > known_size THEN
        SELECT array_agg(r.leaf_hash ORDER BY r.idx) INTO between_leaves
            FROM ledger.records AS r WHERE r.idx >= known_size AND r.idx < append.first;
    END IF;
    IF known > 0 THEN
        RETURN;
    END IF;
    -- 6. The records, their leaf hashes, and the columns to search by, all derived from the bytes.
    WITH stored AS (
        INSERT INTO ledger.records
        SELECT append.first + b.nth - 1,
            CASE WHEN j ->> 'event_id' = b.event_id::text AND j ->> 'format' = 'medai.record/1' THEN b.event_id
                 ELSE ledger.refuse('ledger: expected format medai.record/1 and the event id it came with') END,
            b.record, sha256('\\x00'::bytea || b.record),
            j ->> 'kind', (j ->> 'recorded_at_us')::bigint, (j ->> 'request_id')::uuid, j ->> 'correlation_id',
            j ->> 'actor', j ->> 'peer', j ->> 'route', (j ->> 'status')::smallint, j ->> 'code',
            j -> 'finding' ->> 'decision', (j -> 'model' ->> 'name') || '@' || (j -> 'model' ->> 'version'),
            j ->> 'release', j -> 'subject' ->> 'patient', j -> 'subject' ->> 'study', (j ->> 'process_id')::uuid,
            j ->> 'phase', (j ->> 'minute_us')::bigint, coalesce(j ->> 'of_index', j ->> 'opens_index')::bigint
        FROM unnest(event_ids, records) WITH ORDINALITY AS b (event_id, record, nth),
            LATERAL (SELECT convert_from(b.record, 'UTF8')::jsonb OFFSET 0) AS parsed (j)
        RETURNING idx, leaf_hash, kind
    )
    SELECT array_agg(s.leaf_hash ORDER BY s.idx), count(*) FILTER (WHERE s.kind = 'genesis')
        INTO batch_leaves, geneses FROM stored AS s;
    -- 7. Record 0, and no other, is the genesis; it is alone in its batch and its origin starts the chain.
    IF first = 0 THEN
        IF geneses <> 1 OR batch <> 1 THEN
            RAISE EXCEPTION USING ERRCODE = 'ML005', MESSAGE = 'ledger: no record 0 yet; run medai ledger init';
        END IF;
        chain := sha256('\\x03'::bytea || convert_to(convert_from(records[1], 'UTF8')::jsonb ->> 'origin', 'UTF8'));
        IF chain IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'ML003', MESSAGE = 'ledger: the genesis names no origin';
        END IF;
    ELSIF geneses > 0 THEN
        RAISE EXCEPTION USING ERRCODE = CASE batch WHEN 1 THEN 'ML004' ELSE 'ML003' END,
            MESSAGE = 'ledger: record 0 is there already; a log begins once';
    END IF;
    -- 8. The chain and the frontier. As many subtrees merge as the record's index has trailing ones.
    place := first;
    depth := cardinality(stack);
    FOREACH leaf IN ARRAY batch_leaves LOOP
        chain := sha256('\\x02'::bytea || chain || leaf);
        node := leaf;
        height := 0;
        WHILE (place >> height) & 1 = 1 LOOP
            node := sha256('\\x01'::bytea || stack[depth] || node);
            depth := depth - 1;
            height := height + 1;
            IF height % 8 = 0 THEN
                INSERT INTO ledger.nodes VALUES (height, place >> height, node);
            END IF;
        END LOOP;
        depth := depth + 1;
        stack[depth] := node;
        place := place + 1;
    END LOOP;
    chain_after := chain;
    frontier_after := trim_array(stack, cardinality(stack) - depth);
    INSERT INTO ledger.batches VALUES (place, first, chain_after, frontier_after);
END
$$
"""

MAKE_PUBLISH = """
CREATE FUNCTION ledger.publish(size bigint, checkpoint bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.batches AS b WHERE b.size = publish.size) THEN
        RAISE EXCEPTION USING ERRCODE = 'ML003', MESSAGE = 'ledger: no batch ends at size ' || coalesce(size, -1);
    END IF;
    INSERT INTO ledger.checkpoints VALUES (publish.size, publish.checkpoint) ON CONFLICT DO NOTHING;
    IF NOT FOUND AND publish.checkpoint IS DISTINCT FROM
        (SELECT c.checkpoint FROM ledger.checkpoints AS c WHERE c.size = publish.size) THEN
        RAISE EXCEPTION USING ERRCODE = 'ML003',
            MESSAGE = 'ledger: another checkpoint of size ' || size || ' is published';
    END IF;
END
$$
"""

# A managed service may keep the control file to itself: then the identifier is null.
MAKE_READY = """
CREATE FUNCTION ledger.ready(
    OUT in_recovery boolean, OUT durable boolean, OUT system_identifier text, OUT timeline bigint, OUT size bigint
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    in_recovery := pg_is_in_recovery();
    durable := current_setting('fsync') = 'on';
    BEGIN
        system_identifier := (pg_control_system()).system_identifier::text;
    EXCEPTION WHEN insufficient_privilege THEN
        system_identifier := NULL;
    END;
    IF in_recovery THEN
        timeline := (pg_control_checkpoint()).timeline_id;
    ELSE
        -- The first eight hexadecimal digits of a WAL file's name are its timeline; the newest is being written.
        timeline := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint;
    END IF;
    size := coalesce((SELECT max(b.size) FROM ledger.batches AS b), 0);
END
$$
"""

FUNCTIONS = ("append(bigint, uuid[], bytea[])", "publish(bigint, bytea)", "ready()")


# implements: REQ-SEC-020, REQ-LED-016
def upgrade() -> None:
    op.execute(MAKE_ROLES.format(roles=",".join(ROLES)))
    op.execute("CREATE SCHEMA ledger AUTHORIZATION ledger_owner")
    # Everything belongs to the owner from its first moment; EXECUTE is never PUBLIC's, not for an instant.
    op.execute("SET LOCAL ROLE ledger_owner")
    op.execute(MAKE_TABLES)
    op.execute(MAKE_GUARD)
    for table in TABLES:
        op.execute(MAKE_GUARD_OF.format(table=table))
    for function in (MAKE_REFUSE, MAKE_APPEND, MAKE_PUBLISH, MAKE_READY):
        op.execute(function)
    op.execute("GRANT USAGE ON SCHEMA ledger TO ledger_writer, ledger_reader")
    for function in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION ledger.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION ledger.{function} TO ledger_writer")
    for table in ("records", "nodes", "batches", "checkpoints"):
        op.execute(f"GRANT SELECT ON ledger.{table} TO ledger_reader")
    op.execute("RESET ROLE")


# implements: REQ-DEP-008
def downgrade() -> None:
    """Undo `upgrade` but for the roles, which other databases may share. Refused while a record exists."""
    op.execute("SET LOCAL ROLE ledger_owner")
    op.execute(
        """
        DO $$
        BEGIN
            -- No record may slip in between the look and the drop.
            LOCK TABLE ledger.records IN ACCESS EXCLUSIVE MODE;
            IF EXISTS (SELECT FROM ledger.records) THEN
                RAISE EXCEPTION USING ERRCODE = 'ML007',
                    MESSAGE = 'ledger: a ledger with records is never dropped; keep this database, migrate another';
            END IF;
        END
        $$
        """
    )
    op.execute("DROP SCHEMA ledger CASCADE")
    op.execute("RESET ROLE")
