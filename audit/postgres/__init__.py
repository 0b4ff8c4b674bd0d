"""PostgreSQL as the only writer: `embedded` runs one, `tables` describes it, `store` speaks to it."""
