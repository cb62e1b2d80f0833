-- A stand-in for pg_stat_statements 1.12, whose library the test's server does not have: the same names and types, its
-- rows in a table. Texts and ids of other roles are hidden as the original hides them.
CREATE TABLE @extschema@.counted (
    userid oid, dbid oid, toplevel boolean, queryid bigint, query text, plans bigint, total_plan_time float8,
    calls bigint, total_exec_time float8, min_exec_time float8, max_exec_time float8, mean_exec_time float8, rows bigint,
    shared_blks_hit bigint, shared_blks_read bigint, temp_blks_read bigint, temp_blks_written bigint,
    shared_blk_read_time float8, shared_blk_write_time float8, wal_bytes numeric, jit_generation_time float8,
    jit_inlining_time float8, jit_optimization_time float8, jit_emission_time float8, jit_deform_time float8
);
CREATE TABLE @extschema@.begun (dealloc bigint, stats_reset timestamptz);
INSERT INTO @extschema@.begun VALUES (3, '2026-11-01 00:00:00+00');
CREATE VIEW @extschema@.pg_stat_statements_info AS SELECT * FROM @extschema@.begun;
GRANT USAGE ON SCHEMA @extschema@ TO PUBLIC;
GRANT SELECT ON @extschema@.pg_stat_statements_info, @extschema@.counted TO PUBLIC;

CREATE FUNCTION @extschema@.pg_stat_statements(showtext boolean) RETURNS SETOF @extschema@.counted
LANGUAGE sql STABLE AS $$
    SELECT userid, dbid, toplevel, CASE WHEN may THEN queryid END,
           CASE WHEN NOT showtext THEN NULL WHEN may THEN query ELSE '<insufficient privilege>' END, plans,
           total_plan_time, calls, total_exec_time, min_exec_time, max_exec_time, mean_exec_time, rows, shared_blks_hit,
           shared_blks_read, temp_blks_read, temp_blks_written, shared_blk_read_time, shared_blk_write_time, wal_bytes,
           jit_generation_time, jit_inlining_time, jit_optimization_time, jit_emission_time, jit_deform_time
      FROM (SELECT c.*, pg_has_role('pg_read_all_stats', 'USAGE') OR userid = current_user::regrole AS may
              FROM @extschema@.counted c) x
$$;

CREATE FUNCTION @extschema@.pg_stat_statements_reset(
    userid oid DEFAULT 0, dbid oid DEFAULT 0, queryid bigint DEFAULT 0, minmax_only boolean DEFAULT false
) RETURNS timestamptz LANGUAGE sql AS $$
    DELETE FROM @extschema@.counted;
    UPDATE @extschema@.begun SET stats_reset = clock_timestamp(), dealloc = 0 RETURNING stats_reset
$$;
REVOKE ALL ON FUNCTION @extschema@.pg_stat_statements_reset FROM PUBLIC;
