"""What Alembic runs: migrations on the connection that `audit.postgres.migrate` hands over, in its transaction."""

from alembic import context
from sqlalchemy import Connection

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise SystemExit("migrations: run them with `medai migrate`, which chooses the database and takes the lock")
context.configure(
    connection=connection,
    target_metadata=context.config.attributes.get("target_metadata"),
    version_table_schema="public",
    include_schemas=True,
    transactional_ddl=False,  # the caller's transaction holds everything, the lock included
)
context.run_migrations()
