-- Resetting statistics: since when they count, how much would be lost, whether the role may; then the reset itself.

-- @name reset_statements_look @pg 13-13
SELECT NULL::timestamptz AS since, (SELECT count(*) FROM {schema}.pg_stat_statements(false))::float8 AS amount,
       has_function_privilege('{schema}.pg_stat_statements_reset(oid,oid,bigint)', 'EXECUTE') AS may;

-- @name reset_statements_look @pg 14-16
SELECT i.stats_reset AS since, (SELECT count(*) FROM {schema}.pg_stat_statements(false))::float8 AS amount,
       has_function_privilege('{schema}.pg_stat_statements_reset(oid,oid,bigint)', 'EXECUTE') AS may
  FROM {schema}.pg_stat_statements_info i;

-- @name reset_statements_look @pg 17-18
SELECT i.stats_reset AS since, (SELECT count(*) FROM {schema}.pg_stat_statements(false))::float8 AS amount,
       has_function_privilege('{schema}.pg_stat_statements_reset(oid,oid,bigint,boolean)', 'EXECUTE') AS may
  FROM {schema}.pg_stat_statements_info i;

-- @name reset_statements @pg 13-18
SELECT {schema}.pg_stat_statements_reset();

-- @name reset_database_look @pg 13-18
SELECT stats_reset AS since, (SELECT count(*) FROM pg_stat_user_indexes)::float8 AS amount,
       has_function_privilege('pg_stat_reset()', 'EXECUTE') AS may
  FROM pg_stat_database WHERE datname = current_database();

-- @name reset_database @pg 13-18
SELECT pg_stat_reset();

-- @name reset_table_look @pg 13-18
SELECT d.stats_reset AS since, pg_stat_get_dead_tuples(to_regclass($1))::float8 AS amount,
       has_function_privilege('pg_stat_reset_single_table_counters(oid)', 'EXECUTE') AS may
  FROM pg_stat_database d WHERE d.datname = current_database() AND to_regclass($1) IS NOT NULL;

-- @name reset_table @pg 13-18
SELECT pg_stat_reset_single_table_counters(to_regclass($1));

-- @name reset_wal_look @pg 14-18
SELECT stats_reset AS since, wal_bytes::float8 AS amount,
       has_function_privilege('pg_stat_reset_shared(text)', 'EXECUTE') AS may FROM pg_stat_wal;

-- @name reset_wal @pg 14-18
SELECT pg_stat_reset_shared('wal');

-- @name reset_io_look @pg 16-18
SELECT max(stats_reset) AS since, sum(coalesce(reads, 0) + coalesce(writes, 0) + coalesce(extends, 0))::float8 AS amount,
       has_function_privilege('pg_stat_reset_shared(text)', 'EXECUTE') AS may FROM pg_stat_io;

-- @name reset_io @pg 16-18
SELECT pg_stat_reset_shared('io');

-- @name reset_checkpoints_look @pg 13-16
SELECT stats_reset AS since, (checkpoints_timed + checkpoints_req)::float8 AS amount,
       has_function_privilege('pg_stat_reset_shared(text)', 'EXECUTE') AS may FROM pg_stat_bgwriter;

-- @name reset_checkpoints_look @pg 17-18
SELECT stats_reset AS since, (num_timed + num_requested)::float8 AS amount,
       has_function_privilege('pg_stat_reset_shared(text)', 'EXECUTE') AS may FROM pg_stat_checkpointer;

-- @name reset_checkpoints @pg 13-16
SELECT pg_stat_reset_shared('bgwriter');

-- @name reset_checkpoints @pg 17-18
SELECT pg_stat_reset_shared('checkpointer');

-- @name reset_archiver_look @pg 13-18
SELECT stats_reset AS since, (archived_count + failed_count)::float8 AS amount,
       has_function_privilege('pg_stat_reset_shared(text)', 'EXECUTE') AS may FROM pg_stat_archiver;

-- @name reset_archiver @pg 13-18
SELECT pg_stat_reset_shared('archiver');
