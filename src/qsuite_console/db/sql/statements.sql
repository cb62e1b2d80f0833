-- What the statements panel reads of pg_stat_statements; {schema} is where the extension lives. Counters come without
-- the texts, which the server keeps in a file: those are asked for once for each statement that is shown.

-- @name statements_counters @pg 13-13
SELECT s.userid::int8 AS userid, s.queryid, true AS toplevel, pg_get_userbyid(s.userid)::text AS role,
       s.calls::float8 AS calls, s.total_exec_time AS total_ms, s.max_exec_time AS max_ms, s.total_plan_time AS plan_ms,
       s.rows::float8 AS rows, s.shared_blks_hit::float8 AS hit, s.shared_blks_read::float8 AS read,
       (s.temp_blks_read + s.temp_blks_written)::float8 AS temp, s.blk_read_time + s.blk_write_time AS io_ms,
       s.wal_bytes::float8 AS wal, NULL::float8 AS jit_ms, count(*) OVER () AS statements
  FROM {schema}.pg_stat_statements(false) s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY s.total_exec_time DESC LIMIT $1;

-- @name statements_counters @pg 14-14
SELECT s.userid::int8 AS userid, s.queryid, s.toplevel, pg_get_userbyid(s.userid)::text AS role,
       s.calls::float8 AS calls, s.total_exec_time AS total_ms, s.max_exec_time AS max_ms, s.total_plan_time AS plan_ms,
       s.rows::float8 AS rows, s.shared_blks_hit::float8 AS hit, s.shared_blks_read::float8 AS read,
       (s.temp_blks_read + s.temp_blks_written)::float8 AS temp, s.blk_read_time + s.blk_write_time AS io_ms,
       s.wal_bytes::float8 AS wal, NULL::float8 AS jit_ms, count(*) OVER () AS statements
  FROM {schema}.pg_stat_statements(false) s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY s.total_exec_time DESC LIMIT $1;

-- @name statements_counters @pg 15-16
SELECT s.userid::int8 AS userid, s.queryid, s.toplevel, pg_get_userbyid(s.userid)::text AS role,
       s.calls::float8 AS calls, s.total_exec_time AS total_ms, s.max_exec_time AS max_ms, s.total_plan_time AS plan_ms,
       s.rows::float8 AS rows, s.shared_blks_hit::float8 AS hit, s.shared_blks_read::float8 AS read,
       (s.temp_blks_read + s.temp_blks_written)::float8 AS temp, s.blk_read_time + s.blk_write_time AS io_ms,
       s.wal_bytes::float8 AS wal, count(*) OVER () AS statements,
       s.jit_generation_time + s.jit_inlining_time + s.jit_optimization_time + s.jit_emission_time AS jit_ms
  FROM {schema}.pg_stat_statements(false) s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY s.total_exec_time DESC LIMIT $1;

-- @name statements_counters @pg 17-18
SELECT s.userid::int8 AS userid, s.queryid, s.toplevel, pg_get_userbyid(s.userid)::text AS role,
       s.calls::float8 AS calls, s.total_exec_time AS total_ms, s.max_exec_time AS max_ms, s.total_plan_time AS plan_ms,
       s.rows::float8 AS rows, s.shared_blks_hit::float8 AS hit, s.shared_blks_read::float8 AS read,
       (s.temp_blks_read + s.temp_blks_written)::float8 AS temp,
       s.shared_blk_read_time + s.shared_blk_write_time AS io_ms, s.wal_bytes::float8 AS wal,
       s.jit_generation_time + s.jit_inlining_time + s.jit_optimization_time + s.jit_emission_time
         + s.jit_deform_time AS jit_ms, count(*) OVER () AS statements
  FROM {schema}.pg_stat_statements(false) s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY s.total_exec_time DESC LIMIT $1;

-- @name statements_texts @pg 13-18
SELECT s.userid::int8 AS userid, s.queryid, left(s.query, $2) AS query
  FROM {schema}.pg_stat_statements(true) s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.queryid = ANY ($1::bigint[]);

-- @name statements_info @pg 13-13
SELECT NULL::bigint AS dealloc, NULL::timestamptz AS since, current_setting('pg_stat_statements.max', true)::int AS most,
       current_setting('block_size')::int AS block_size, clock_timestamp() AS at;

-- @name statements_info @pg 14-18
SELECT dealloc, stats_reset AS since, current_setting('pg_stat_statements.max', true)::int AS most,
       current_setting('block_size')::int AS block_size, clock_timestamp() AS at
  FROM {schema}.pg_stat_statements_info;

-- @name statements_preloaded @pg 13-18
-- is_preloaded is NULL where the role may not see the setting.
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements') AS is_available,
       (SELECT setting ~ '(^|,)\s*"?pg_stat_statements"?\s*(,|$)' FROM pg_settings
         WHERE name = 'shared_preload_libraries') AS is_preloaded;
