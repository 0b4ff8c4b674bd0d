"""The database's history: `env` runs it (through `audit.postgres.migrate`), `versions` is it."""
