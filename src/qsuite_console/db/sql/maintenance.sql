-- What vacuum and analyze need to know of tables, before, meanwhile and after.

-- @name maintenance_find @pg 13-18
SELECT c.oid::int8 AS oid, c.relkind::text AS kind FROM pg_class c WHERE c.oid = to_regclass($1::text);

-- @name maintenance_names @pg 13-18
SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1 LIMIT 20000;

-- @name maintenance_tables @pg 13-16
-- $1 tables
SELECT c.oid::int8 AS oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
       greatest(c.relpages, 0)::int8 AS pages, pg_stat_get_live_tuples(c.oid) AS live,
       pg_stat_get_dead_tuples(c.oid) AS dead, pg_stat_get_mod_since_analyze(c.oid) AS modified,
       c.relpages * current_setting('block_size')::int8 AS bytes,
       greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed_at,
       greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed_at,
       CASE WHEN c.relfrozenxid::text <> '0' THEN age(c.relfrozenxid) END AS xid_age, clock_timestamp() AS at,
       current_user::text AS role, pg_is_in_recovery() AS is_standby,
       pg_has_role(c.relowner, 'USAGE')
         OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') AS may
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[]);

-- @name maintenance_tables @pg 17-18
SELECT c.oid::int8 AS oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
       greatest(c.relpages, 0)::int8 AS pages, pg_stat_get_live_tuples(c.oid) AS live,
       pg_stat_get_dead_tuples(c.oid) AS dead, pg_stat_get_mod_since_analyze(c.oid) AS modified,
       c.relpages * current_setting('block_size')::int8 AS bytes,
       greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed_at,
       greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed_at,
       CASE WHEN c.relfrozenxid::text <> '0' THEN age(c.relfrozenxid) END AS xid_age, clock_timestamp() AS at,
       current_user::text AS role, pg_is_in_recovery() AS is_standby,
       has_table_privilege(c.oid, 'MAINTAIN')
         OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') AS may
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[]);

-- @name maintenance_leaves @pg 13-18
SELECT relid::oid::int8 AS oid FROM pg_partition_tree($1::oid::regclass) WHERE isleaf;

-- @name maintenance_needed @pg 13-18
-- Those whose dead rows or changed rows have passed what starts autovacuum, or that are due to be frozen: worst first.
SELECT c.oid::int8 AS oid
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
       SELECT coalesce(max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_vacuum_threshold'),
                       current_setting('autovacuum_vacuum_threshold'))::float8
                + coalesce(max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_vacuum_scale_factor'),
                           current_setting('autovacuum_vacuum_scale_factor'))::float8 * greatest(c.reltuples, 0) AS vacuum,
              coalesce(max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_analyze_threshold'),
                       current_setting('autovacuum_analyze_threshold'))::float8
                + coalesce(max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_analyze_scale_factor'),
                           current_setting('autovacuum_analyze_scale_factor'))::float8 * greatest(c.reltuples, 0) AS analyze
         FROM pg_options_to_table(c.reloptions) p) due
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname !~ '^pg_(toast|temp)'
   AND ($1 AND (pg_stat_get_dead_tuples(c.oid) > due.vacuum
                OR age(c.relfrozenxid) > current_setting('autovacuum_freeze_max_age')::int)
        OR $2 AND pg_stat_get_mod_since_analyze(c.oid) > due.analyze)
 ORDER BY pg_stat_get_dead_tuples(c.oid) DESC, c.relpages DESC, c.oid LIMIT 1000;

-- @name maintenance_progress @pg 13-18
-- $1 what its statement begins with
SELECT a.pid, p.phase, p.heap_blks_total AS total, p.heap_blks_scanned AS scanned, p.index_vacuum_count AS rounds
  FROM pg_stat_activity a JOIN pg_stat_progress_vacuum p USING (pid) WHERE starts_with(a.query, $1)
UNION ALL
SELECT a.pid, p.phase, p.sample_blks_total, p.sample_blks_scanned, 0
  FROM pg_stat_activity a JOIN pg_stat_progress_analyze p USING (pid) WHERE starts_with(a.query, $1);

-- @name maintenance_cancel @pg 13-18
SELECT pid, pg_cancel_backend(pid) AS is_cancelled FROM pg_stat_activity
 WHERE starts_with(query, $1) AND state = 'active' AND pid <> pg_backend_pid();

-- @name maintenance_size @pg 13-18
SELECT pg_total_relation_size($1::oid) AS bytes;
