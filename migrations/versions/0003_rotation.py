"""A process never writes past a rotation of the log's key that it has not read.

`ledger.append` gives a caller the leaf hashes of what others wrote since it last looked, not the records. If one of
these is a rotation, the caller would sign the next tree with the old key. So it is told that it is behind (ML002), as
it is where too many records came in between: it then reads the ledger itself, finds the rotation and tries again.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# As in the revisions before: another login may migrate this time.
BECOME_OWNER = """
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'ledger_owner', 'SET') THEN
        EXECUTE 'GRANT ledger_owner TO ' || quote_ident(current_user) || ' WITH INHERIT TRUE, SET TRUE';
    END IF;
END
$$
"""

MAKE_INDEX = "CREATE INDEX records_key_rotated ON ledger.records (idx) WHERE kind = 'key_rotated'"

# What follows this line of the function's fifth step has the caller's size and the place of the batch.
BEFORE = "    between_leaves := '{}';\n"
CHECK = """    IF first > known_size AND EXISTS (
        SELECT FROM ledger.records AS r WHERE r.kind = 'key_rotated' AND r.idx >= known_size AND r.idx < append.first
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'ML002', MESSAGE = 'ledger: the log''s key was rotated after the '
            || known_size || ' records that the caller knows; read the ledger again';
    END IF;
"""

# The function as it stands, with one text in place of another: its rights and settings stay. A function without that
# text exactly once is not the one that this was written for.
EDIT = """
DO $edit$
DECLARE
    written text := pg_get_functiondef('ledger.append(bigint, uuid[], bytea[])'::regprocedure);
    old text := $old${old}$old$;
BEGIN
    IF cardinality(string_to_array(written, old)) <> 2 THEN
        RAISE EXCEPTION 'ledger: ledger.append is not the function that this revision changes';
    END IF;
    EXECUTE replace(written, old, $new${new}$new$);
END
$edit$
"""


def upgrade() -> None:
    op.execute(BECOME_OWNER)
    op.execute("SET LOCAL ROLE ledger_owner")
    op.execute(MAKE_INDEX)
    op.execute(EDIT.format(old=BEFORE, new=CHECK + BEFORE))
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Undo `upgrade`. Refused while the log's key was rotated: what is left would sign with a retired key."""
    op.execute("SET LOCAL ROLE ledger_owner")
    op.execute(
        """
        DO $$
        BEGIN
            LOCK TABLE ledger.records IN ACCESS EXCLUSIVE MODE;
            IF EXISTS (SELECT FROM ledger.records WHERE kind = 'key_rotated') THEN
                RAISE EXCEPTION USING ERRCODE = 'ML007',
                    MESSAGE = 'ledger: a log whose key was rotated needs this revision; keep this database';
            END IF;
        END
        $$
        """
    )
    op.execute(EDIT.format(old=CHECK, new=""))
    op.execute("DROP INDEX ledger.records_key_rotated")
    op.execute("RESET ROLE")
