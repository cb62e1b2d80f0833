"""PostgreSQL: the only package that imports asyncpg. Sessions, named queries, bar tables, ledger and schema."""
