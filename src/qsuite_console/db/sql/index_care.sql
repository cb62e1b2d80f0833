-- What index jobs need to know of indexes, before, meanwhile and after; and the questions that recommended indexes serve,
-- where no other file has them.

-- @name care_resolve @pg 13-18
-- $1 names as SQL, looked for where the role itself finds them.
SELECT w.name, to_regclass(w.name)::oid::int8 AS oid FROM unnest($1::text[]) AS w (name)
 WHERE to_regclass(w.name) IS NOT NULL;

-- @name care_tables @pg 13-18
-- $1 tables
SELECT c.oid::int8 AS oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
       pg_has_role(c.relowner, 'USAGE') AS may, current_user::text AS role, pg_is_in_recovery() AS is_standby,
       s.pages, s.pages * current_setting('block_size')::int8 AS bytes, s.rows
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(greatest(p.relpages, 0)), 0)::int8 AS pages,
              coalesce(sum(greatest(p.reltuples, 0)), 0)::int8 AS rows
         FROM pg_class p WHERE p.oid = c.oid AND c.relkind <> 'p'
            OR c.relkind = 'p' AND p.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)) s
 WHERE c.oid = ANY ($1::oid[]) AND c.relkind IN ('r', 'm', 'p');

-- @name care_tree @pg 13-18
-- $1 a partitioned table: it and all below it, parents first.
SELECT t.relid::oid::int8 AS oid, t.parentrelid::oid::int8 AS parent, t.level, c.relkind::text AS kind,
       format('%I.%I', n.nspname, c.relname) AS name, c.relname::text AS short, greatest(c.relpages, 0)::int8 AS pages
  FROM pg_partition_tree($1::oid::regclass) t JOIN pg_class c ON c.oid = t.relid
  JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY t.level, c.relname;

-- @name care_indexes @pg 13-18
-- $1 tables, $2 indexes, $3 a name without schema, $4 whether all faulty ones: whatever one of these names. An index may be
-- in the making while another session holds the lock of a build on its table; who that is, a role without pg_monitor
-- does not see, but the lock everybody does.
SELECT c.oid::int8 AS oid, c.relname::text AS name, n.nspname::text AS schema, i.indrelid::int8 AS table_oid,
       format('%I.%I', tn.nspname, t.relname) AS "table", c.relkind::text AS kind, am.amname::text AS method,
       k.keys, k.include, coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS predicate,
       pg_get_indexdef(c.oid) AS definition, greatest(c.relpages, 0) * current_setting('block_size')::int8 AS bytes,
       i.indisvalid AND i.indisready AS is_valid, i.indislive AS is_live, i.indisunique AS is_unique,
       c.relispartition AS is_attached, i.indisreplident AS is_replica_identity,
       NOT i.indisvalid AND EXISTS (
           SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND l.pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum)) AS is_building,
       coalesce((SELECT o.conname FROM pg_constraint o WHERE o.conindid = c.oid
                  ORDER BY o.contype = 'f', o.conname LIMIT 1), '')::text AS "constraint",
       pg_has_role(t.relowner, 'USAGE') AS may
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_am am ON am.oid = c.relam JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
 CROSS JOIN LATERAL (
       SELECT array_agg(coalesce(a.attname, pg_get_indexdef(i.indexrelid, s.n, false))
                        || CASE WHEN o.opcdefault THEN '' ELSE ' ' || o.opcname END
                        || CASE WHEN coalesce(a.attcollation, i.indcollation[s.n - 1]) = i.indcollation[s.n - 1] THEN ''
                                ELSE ' COLLATE ' || i.indcollation[s.n - 1] END
                        || CASE i.indoption[s.n - 1] WHEN 3 THEN ' DESC' WHEN 1 THEN ' DESC NULLS LAST'
                                                     WHEN 2 THEN ' NULLS FIRST' ELSE '' END
                        ORDER BY s.n) FILTER (WHERE s.n <= i.indnkeyatts) AS keys,
              coalesce(array_agg(a.attname::text ORDER BY s.n) FILTER (WHERE s.n > i.indnkeyatts), '{}') AS include
         FROM generate_series(1, i.indnatts) AS s (n)
         LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[s.n - 1]
         LEFT JOIN pg_opclass o ON o.oid = i.indclass[s.n - 1] AND s.n <= i.indnkeyatts) k
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
   AND (i.indrelid = ANY ($1::oid[]) OR i.indexrelid = ANY ($2::oid[])
        OR $3 <> '' AND c.relname = $3
        OR $4 AND NOT (i.indisvalid AND i.indisready AND i.indislive))
 ORDER BY c.relispartition, t.relname, c.relname;

-- @name care_leaves @pg 13-18
-- $1 an index: its parts that hold entries, or itself.
SELECT t.relid::oid::int8 AS oid FROM pg_partition_tree($1::oid::regclass) t WHERE t.isleaf
UNION SELECT c.oid::int8 FROM pg_class c WHERE c.oid = $1::oid AND c.relkind = 'i' ORDER BY 1;

-- @name care_size @pg 13-18
SELECT sum(pg_relation_size(o))::int8 AS bytes FROM unnest($1::oid[]) o;

-- @name care_progress @pg 13-18
-- $1 what its statement begins with.
SELECT a.pid, p.phase || CASE WHEN p.phase LIKE 'waiting%' AND p.lockers_total > 0
                              THEN ', ' || p.lockers_done || ' of ' || p.lockers_total
                                   || coalesce(', pid ' || nullif(p.current_locker_pid, 0), '')
                              WHEN p.phase LIKE '%loading%' AND p.tuples_total > 0
                              THEN ', ' || 100 * p.tuples_done / p.tuples_total || ' %' ELSE '' END AS phase,
       p.blocks_total AS total, p.blocks_done AS scanned
  FROM pg_stat_activity a JOIN pg_stat_progress_create_index p USING (pid) WHERE starts_with(a.query, $1);

-- @name care_transactions @pg 13-18
-- Transactions that a concurrent build has to wait for, the oldest first.
SELECT pid, application_name AS application, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age_s
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '1 minute'
 ORDER BY xact_start LIMIT 3;

-- @name serves_calendar @pg 13-18
-- $1 exchange, $2 instant.
SELECT session_date FROM {{calendar}} WHERE exchange = $1 AND open_at <= $2 ORDER BY open_at DESC LIMIT 1;

-- @name serves_orders_of_user @pg 13-18
SELECT id, side, status, created_at FROM execution_engine_order WHERE created_by_id = $1 ORDER BY created_at DESC LIMIT 50;

-- @name serves_orders_of_ticker @pg 13-18
SELECT id, side, status, created_at FROM execution_engine_order WHERE ticker_id = $1 ORDER BY created_at DESC LIMIT 50;

-- @name serves_orders_of_window @pg 13-18
SELECT status, count(*) FROM execution_engine_order WHERE created_at >= $1 AND created_at < $2 GROUP BY status;

-- @name serves_fills_of_orders @pg 13-18
SELECT order_id, sum(quantity) FROM execution_engine_execution WHERE order_id = ANY ($1::bigint[]) GROUP BY order_id;

-- @name serves_fills_of_window @pg 13-18
SELECT count(*), sum(quantity * price) FROM execution_engine_execution WHERE executed_at >= $1 AND executed_at < $2;

-- @name serves_last_runs @pg 13-18
SELECT p.id, p.name, r.created_at, r.status FROM pipelines p
  LEFT JOIN LATERAL (SELECT q.created_at, q.status FROM pipeline_runs q
                      WHERE q.pipeline_id = p.id ORDER BY q.created_at DESC LIMIT 1) r ON true
 ORDER BY p.name;

-- @name serves_runs_of_window @pg 13-18
SELECT status, count(*), avg(completed_at - started_at) FROM pipeline_runs
 WHERE created_at >= $1 AND created_at < $2 GROUP BY status;

-- @name serves_active_runs @pg 13-18
SELECT id, pipeline_id, status FROM pipeline_runs WHERE status IN ('pending', 'running') ORDER BY created_at;

-- @name serves_runs_of_user @pg 13-18
SELECT id, status FROM pipeline_runs WHERE triggered_by_id = $1;

-- @name serves_tasks_of_run @pg 13-18
SELECT task_name, status FROM task_runs WHERE pipeline_run_id = $1;

-- @name serves_parted_tasks_of_run @pg 13-18
SELECT task_name, status FROM task_runs_partitioned WHERE pipeline_run_id = $1;
