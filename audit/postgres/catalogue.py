"""What the database's catalogue says of the ledger's schema, held to what the migrations make.

Hashes show what was altered in rows. What keeps rows from being altered by accident, and derives hashes and columns, is
functions, triggers, constraints and rights: whoever may migrate can change these and leave no trace in any row. So they
are compared, line by line, with `catalogue.txt`, which is the catalogue after the newest migration, as a test knows.

More ways to read, and more indexes that are not unique, alter nothing and are passed over. A ledger that was closed
(`audit.postgres.closing`) lacks the rights to write, and is to. A schema of another revision than this program's is not
looked at. Whoever holds the database can lie here too: this finds accidents, and attackers who do not clean up.
"""

from importlib.resources import files
from typing import Any, Final

from msgspec import structs
from psycopg import AsyncConnection

from audit.findings import Found
from audit.postgres import migrate
from audit.postgres.closing import MARK, WHY
from audit.postgres.connections import Connections, Limits
from traceability.marks import implements

NAME: Final = "medai catalogue"
EXPECTED: Final = "catalogue.txt"
MAX_FOUND: Final = 100
# What a closed ledger is not to have any more (`closing.TAKE_AWAY`).
CLOSED: Final = (
    "right EXECUTE on function append(bigint, uuid[], bytea[]) of ledger_writer",
    "right EXECUTE on function publish(bigint, bytea) of ledger_writer",
)

# Names and texts alone: no number that differs from one database to the next, nothing that a release of PostgreSQL adds
# (NOT NULL is a constraint since 18, MAINTAIN a right since 17) or writes otherwise. Who owns something may do all with
# it: the owner's own rights are left out.
CATALOGUE: Final = """
    WITH space AS (SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname = 'ledger'),
    relations AS (
        SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relrowsecurity,
            c.relpersistence FROM pg_class AS c, space
        WHERE c.relnamespace = space.oid AND c.relkind <> 'i' AND c.relkind <> 't'
    ),
    functions AS (
        SELECT p.*, p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS named,
            p.proname || '(' || oidvectortypes(p.proargtypes) || ')' AS called FROM pg_proc AS p, space
        WHERE p.pronamespace = space.oid
    ),
    lists AS (
        SELECT 'schema ledger' AS object, nspacl AS acl, nspowner AS owner, 'n' AS kind FROM space
        UNION ALL SELECT 'table ' || relname, relacl, relowner, 'r' FROM relations
        UNION ALL SELECT 'function ' || called, proacl, proowner, 'f' FROM functions
        UNION ALL SELECT 'column ' || relname || '.' || attname, attacl, relowner, 'c'
            FROM relations JOIN pg_attribute AS a ON a.attrelid = relations.oid WHERE a.attacl IS NOT NULL
    )
    SELECT 'schema ledger owner ' || pg_get_userbyid(nspowner) FROM space
    UNION ALL SELECT 'table ' || relname || ' kind ' || relkind::text || ' owner ' || pg_get_userbyid(relowner)
        || CASE WHEN relrowsecurity THEN ' row security' ELSE '' END
        || CASE relpersistence WHEN 'p' THEN '' ELSE ' not durable' END FROM relations
    UNION ALL SELECT 'more rows of ' || relname || ' in ' || inhrelid::regclass::text
        FROM relations JOIN pg_inherits ON inhparent = relations.oid
    UNION ALL SELECT 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
        || CASE WHEN attnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
        || CASE WHEN attgenerated <> '' OR attidentity <> '' THEN ' generated' ELSE '' END
        FROM relations JOIN pg_attribute AS a ON a.attrelid = relations.oid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE attnum > 0 AND NOT attisdropped
    UNION ALL SELECT 'constraint ' || relname || '.' || conname || ' ' || pg_get_constraintdef(o.oid)
        || CASE WHEN convalidated THEN '' ELSE ' not valid' END
        FROM relations JOIN pg_constraint AS o ON o.conrelid = relations.oid WHERE contype <> 'n'
    UNION ALL SELECT 'index ' || relname || ' ' || pg_get_indexdef(indexrelid)
        || CASE WHEN indisvalid AND indisready THEN '' ELSE ' not valid' END
        || CASE WHEN indexprs IS NULL THEN '' ELSE ' computed' END
        FROM relations JOIN pg_index AS i ON i.indrelid = relations.oid
    UNION ALL SELECT 'trigger ' || relname || '.' || tgname || ' enabled ' || tgenabled::text || ' '
        || pg_get_triggerdef(t.oid)
        FROM relations JOIN pg_trigger AS t ON t.tgrelid = relations.oid WHERE NOT tgisinternal
    UNION ALL SELECT 'foreign key trigger ' || relname || '.' || conname || ' enabled ' || tgenabled::text || ' '
        || tgfoid::regproc::text
        FROM relations JOIN pg_trigger AS t ON t.tgrelid = relations.oid JOIN pg_constraint AS o ON o.oid = tgconstraint
        WHERE tgisinternal
    UNION ALL SELECT 'role ' || rolname || CASE WHEN rolcanlogin THEN ' login' ELSE '' END
        || CASE WHEN rolsuper OR rolcreaterole OR rolbypassrls THEN ' with power' ELSE '' END
        FROM pg_roles WHERE rolname IN ('ledger_owner', 'ledger_writer', 'ledger_reader', 'ledger_pruner')
    UNION ALL SELECT 'policy ' || relname || '.' || polname FROM relations JOIN pg_policy ON polrelid = relations.oid
    UNION ALL SELECT 'rule ' || relname || '.' || rulename FROM relations JOIN pg_rewrite ON ev_class = relations.oid
    UNION ALL SELECT 'function ' || named || ' returns ' || pg_get_function_result(oid) || ' owner '
        || pg_get_userbyid(proowner) || ' ' || (SELECT lanname FROM pg_language AS l WHERE l.oid = prolang)
        || ' ' || provolatile::text || CASE WHEN prosecdef THEN ' security definer' ELSE '' END
        || CASE WHEN proisstrict THEN ' strict' ELSE '' END
        || coalesce(' set ' || array_to_string(proconfig, '; '), '')
        || ' body ' || encode(sha256(convert_to(prosrc, 'UTF8')), 'hex') FROM functions
    UNION ALL SELECT 'right ' || privilege_type || ' on ' || object || ' of '
        || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END
        || CASE WHEN is_grantable THEN ' to grant' ELSE '' END
        FROM lists, aclexplode(coalesce(acl, CASE kind WHEN 'c' THEN NULL ELSE acldefault(kind::"char", owner) END))
        WHERE grantee <> owner AND privilege_type <> 'MAINTAIN'
"""


MAY_READ_REVISION: Final = "SELECT has_table_privilege(to_regclass('public.alembic_version'), 'SELECT') IS TRUE"
REVISION: Final = "SELECT version_num FROM public.alembic_version"


@implements("REQ-AUD-021")
async def changed(url: str, limits: Limits) -> tuple[Found, ...]:
    """What is not as the migrations make it. Raises `LedgerUnavailable`."""
    connections = Connections(url, limits, application_name=NAME)

    async def lines(statement: str) -> list[str]:
        async def work(connection: AsyncConnection[Any]) -> list[str]:
            rows = await (await connection.execute(statement)).fetchall()
            return [str(row[0]) for row in rows if row[0] is not None]

        return await connections.run(work)

    try:
        readable = await lines(MAY_READ_REVISION) == [str(True)]
        revision, known = "".join(await lines(REVISION)) if readable else "", migrate.head()
        if revision != known:
            words = f"of revision {revision}" if revision else "of a revision that this login may not read"
            message = f"the schema is {words}, this program knows {known}: it was not looked at (medai migrate)"
            return (structs.replace(_found(message), altered=False),)
        closed = any(line.startswith(MARK) for line in await lines(WHY))
        return differences(frozenset(await lines(CATALOGUE)), closed_lines=CLOSED if closed else ())
    finally:
        await connections.close()


@implements("REQ-AUD-021")
def differences(found: frozenset[str], *, closed_lines: tuple[str, ...] = ()) -> tuple[Found, ...]:
    """Each line that is missing or too many."""
    expected = expected_lines() - frozenset(closed_lines)
    missing = [f"missing: {line}" for line in sorted(expected - found)]
    added = [f"not of the migrations: {line}" for line in sorted(found - expected) if not _is_harmless(line)]
    return tuple(_found(line) for line in [*missing, *added][:MAX_FOUND])


@implements("REQ-AUD-021")
def expected_lines() -> frozenset[str]:
    """The catalogue after the newest migration."""
    return frozenset(files("audit.postgres").joinpath(EXPECTED).read_text("utf-8").splitlines())


def _found(message: str) -> Found:
    return Found(fault="schema_changed", part="schema", first=0, end=0, message=message)


def _is_harmless(line: str) -> bool:
    reads = line.startswith(("right SELECT ", "right USAGE on schema")) and not line.endswith(" to grant")
    # An index may compute what it is over, by a function of anybody's, with the rights of whoever appends.
    plain = line.startswith("index ") and " UNIQUE " not in line and " WHERE " not in line
    return reads or (plain and not line.endswith(" computed"))
