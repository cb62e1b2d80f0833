-- What the analysis reads, each in a transaction of its own (statistics are frozen within one), with search_path =
-- pg_catalog: names of relations come out qualified and quoted, ready to stand in a statement.

-- @name advice_server @pg 13-18
SELECT current_setting('server_version_num')::int AS version_num, pg_is_in_recovery() AS is_standby,
       host(inet_server_addr()) AS server_address, host(inet_client_addr()) AS client_address,
       pg_has_role('pg_monitor', 'MEMBER') AS is_monitor, clock_timestamp() AS now,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements') AS has_statements;

-- @name advice_settings @pg 13-18
SELECT name, setting, unit, source, context, vartype, boot_val, enumvals::text[] AS choices, pending_restart
  FROM pg_settings WHERE name = ANY ($1::text[]);

-- @name advice_counters @pg 13-18
SELECT extract(epoch FROM clock_timestamp())::float8 AS at, xact_commit AS commits, xact_rollback AS rollbacks,
       blks_read AS blocks_read, blks_hit AS blocks_hit, temp_bytes, deadlocks,
       extract(epoch FROM stats_reset)::float8 AS reset,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       '0/0')::float8 AS wal_bytes
  FROM pg_stat_database WHERE datname = current_database();

-- @name advice_sessions @pg 13-13
SELECT (SELECT sum(numbackends)::int FROM pg_stat_database)                AS sessions,
       current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int          AS usable,
       count(*) FILTER (WHERE query = '<insufficient privilege>')          AS hidden,
       count(*) FILTER (WHERE backend_type = 'client backend' AND state = 'active' AND leader_pid IS NULL
                          AND query_start < clock_timestamp() - interval '30 seconds')            AS long_queries,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%'
                          AND state_change < clock_timestamp() - interval '60 seconds')           AS idle_in_tx,
       coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)
                                   FILTER (WHERE backend_type = 'client backend')), 0)::float8    AS transaction_s,
       coalesce(extract(epoch FROM max(clock_timestamp() - query_start)
                                   FILTER (WHERE wait_event_type = 'Lock')), 0)::float8           AS lock_wait_s
  FROM pg_stat_activity
 WHERE pid <> pg_backend_pid() AND application_name NOT LIKE 'qsuite-console/%';

-- @name advice_sessions @pg 14-18
SELECT (SELECT sum(numbackends)::int FROM pg_stat_database)                AS sessions,
       current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable,
       count(*) FILTER (WHERE query = '<insufficient privilege>')          AS hidden,
       count(*) FILTER (WHERE backend_type = 'client backend' AND state = 'active' AND leader_pid IS NULL
                          AND query_start < clock_timestamp() - interval '30 seconds')            AS long_queries,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%'
                          AND state_change < clock_timestamp() - interval '60 seconds')           AS idle_in_tx,
       coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)
                                   FILTER (WHERE backend_type = 'client backend')), 0)::float8    AS transaction_s,
       coalesce((SELECT extract(epoch FROM max(clock_timestamp() - waitstart)) FROM pg_locks
                  WHERE NOT granted), 0)::float8                                                  AS lock_wait_s
  FROM pg_stat_activity
 WHERE pid <> pg_backend_pid() AND application_name NOT LIKE 'qsuite-console/%';

-- @name advice_checkpoints @pg 13-16
SELECT checkpoints_timed AS timed, checkpoints_req AS requested, stats_reset AS since FROM pg_stat_bgwriter;

-- @name advice_checkpoints @pg 17-18
SELECT num_timed AS timed, num_requested AS requested, stats_reset AS since FROM pg_stat_checkpointer;

-- @name advice_size @pg 13-18
SELECT pg_database_size(current_database()) AS bytes;

-- @name advice_replication @pg 13-18
SELECT count(*) AS standbys, count(*) FILTER (WHERE replay_lsn IS NULL) AS hidden,
       max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() END, replay_lsn))::float8
         AS behind_bytes
  FROM pg_stat_replication;

-- @name advice_slots @pg 13-18
SELECT slot_name::text AS name, safe_wal_size,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       restart_lsn)::bigint AS retained_bytes
  FROM pg_replication_slots WHERE NOT active ORDER BY retained_bytes DESC NULLS LAST;

-- @name advice_archiver @pg 13-18
SELECT failed_count, last_failed_wal, current_setting('archive_mode') <> 'off' AS is_on,
       coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS is_failing
  FROM pg_stat_archiver;

-- @name advice_wraparound @pg 13-18
SELECT datname::text AS name, age(datfrozenxid) AS xid_age,
       100.0 * age(datfrozenxid) / current_setting('autovacuum_freeze_max_age')::float8 AS of_forced,
       100.0 * age(datfrozenxid) / 2146483647.0::float8                                 AS of_shutdown
  FROM pg_database ORDER BY 2 DESC;

-- @name advice_tables @pg 13-18
WITH options AS (
    SELECT s.relid, c.reltuples,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_threshold')    AS threshold,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_scale_factor') AS factor,
           max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_enabled')             AS enabled
      FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
      LEFT JOIN LATERAL pg_options_to_table(c.reloptions) o ON true
     WHERE c.relkind IN ('r', 'm') GROUP BY 1, 2
)
SELECT s.relid::regclass::text AS name, s.n_live_tup AS live, s.n_dead_tup AS dead, s.n_mod_since_analyze AS modified,
       coalesce(o.enabled, 'true')::bool AS is_vacuumed, o.factor IS NOT NULL AS has_own_factor,
       greatest(s.last_vacuum, s.last_autovacuum) IS NULL AS never_vacuumed,
       greatest(s.last_analyze, s.last_autoanalyze) IS NULL AS never_analyzed,
       s.n_dead_tup / nullif(least(
           coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold'))::float8
             + coalesce(o.factor, current_setting('autovacuum_vacuum_scale_factor'))::float8 * greatest(o.reltuples, 0),
           coalesce(nullif(current_setting('autovacuum_vacuum_max_threshold', true), '-1')::float8, 'infinity')
       ), 0) AS of_trigger
  FROM pg_stat_user_tables s JOIN options o USING (relid)
 ORDER BY s.n_dead_tup DESC, s.n_live_tup DESC, 1 LIMIT 2000;

-- @name advice_indexes_invalid @pg 13-18
SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS relation,
       pg_relation_size(i.indexrelid) AS bytes
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE NOT i.indisvalid AND c.relkind = 'i'
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                    WHERE p.index_relid = i.indexrelid OR p.relid = i.indrelid)
 ORDER BY 1;

-- @name advice_indexes_redundant @pg 13-18
-- as in the indexes panel
-- @use redundant_indexes
SELECT f.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS relation,
       f.covering::regclass::text AS covered_by, f.why, pg_relation_size(f.indexrelid) AS bytes
  FROM found f JOIN pg_index i ON i.indexrelid = f.indexrelid JOIN pg_class c ON c.oid = f.indexrelid
 ORDER BY c.relpages DESC, f.indexrelid LIMIT 50;

-- @name advice_indexes_unused @pg 13-18
SELECT s.indexrelid::regclass::text AS name, s.relid::regclass::text AS relation, s.idx_scan AS scans,
       pg_relation_size(s.indexrelid) AS bytes,
       extract(epoch FROM clock_timestamp() - d.stats_reset)::float8 / 86400 AS days
  FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)
  JOIN pg_stat_database d ON d.datname = current_database()
 WHERE s.idx_scan = 0 AND NOT i.indisunique AND NOT i.indisprimary AND NOT i.indisreplident AND i.indisvalid
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
   AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
   AND pg_relation_size(s.indexrelid) > 100 * 1024 * 1024
   AND d.stats_reset < clock_timestamp() - interval '30 days'
 ORDER BY bytes DESC LIMIT 50;

-- @name advice_foreign_keys @pg 13-18
SELECT c.conname::text AS name, c.conrelid::regclass::text AS relation, t.reltuples::bigint AS rows,
       pg_stat_get_tuples_updated(c.confrelid) + pg_stat_get_tuples_deleted(c.confrelid) AS parent_changes,
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.ord)
          FROM unnest(c.conkey) WITH ORDINALITY k(attnum, ord)
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum) AS columns
  FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
 WHERE c.contype = 'f' AND c.conparentid = 0 AND t.reltuples > 100000
   AND pg_stat_get_tuples_updated(c.confrelid) + pg_stat_get_tuples_deleted(c.confrelid) > 0
   AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
                      AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)
 ORDER BY t.reltuples DESC, 1;

-- @name advice_prepared @pg 13-18
SELECT gid AS name, extract(epoch FROM clock_timestamp() - prepared)::float8 AS age_s FROM pg_prepared_xacts
 ORDER BY prepared;

-- @name advice_extensions @pg 13-18
SELECT e.extname::text AS name, e.extversion AS version, n.nspname::text AS schema, a.default_version AS available
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  LEFT JOIN pg_available_extensions a ON a.name = e.extname ORDER BY 1;

-- @name advice_statements @pg 13-18
SELECT left(s.query, 500) AS name, s.calls::float8 AS calls, s.total_exec_time AS total_ms, s.mean_exec_time AS mean_ms,
       s.rows::float8 AS rows, s.shared_blks_read::float8 AS blocks_read
  FROM {schema}.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
 WHERE d.datname = current_database() ORDER BY s.total_exec_time DESC LIMIT 10;

-- @name advice_biggest @pg 13-18
-- One table that is locked by DDL must not hide all others: its size can't be asked for, so it is left out.
SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS name,
       sum(greatest(c.reltuples, 0))::float8 AS rows, sum(pg_total_relation_size(c.oid))::float8 AS bytes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname !~ '^pg_(toast|temp)'
   AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = c.oid AND l.granted AND l.mode = 'AccessExclusiveLock'
                      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
 GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 10;

-- @name advice_memory @pg 13-14
SELECT NULL::text AS huge_pages, NULL::bigint AS huge_pages_needed;

-- @name advice_memory @pg 15-16
SELECT NULL::text AS huge_pages, current_setting('shared_memory_size_in_huge_pages')::bigint AS huge_pages_needed;

-- @name advice_memory @pg 17-18
SELECT current_setting('huge_pages_status') AS huge_pages,
       current_setting('shared_memory_size_in_huge_pages')::bigint AS huge_pages_needed;

-- @name advice_partitions @pg 13-18
-- A query that can't leave out partitions locks each of them and each of their indexes.
SELECT p.partrelid::regclass::text AS name, t.partitions, t.relations
  FROM pg_partitioned_table p
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE k.isleaf) AS partitions,
              count(*) + (SELECT count(*) FROM pg_index i WHERE i.indrelid IN (SELECT relid FROM pg_partition_tree(p.partrelid)))
                AS relations
         FROM pg_partition_tree(p.partrelid) k) t
 WHERE pg_partition_root(p.partrelid) = p.partrelid
 ORDER BY t.relations DESC, 1 LIMIT 1;
