-- Long commands with how far they are, one row each; a total of 0 is not known. Vacuum counts its indexes from
-- PostgreSQL 17, COPY reports from 14.

-- @part vacuum_tasks @pg 13-16
SELECT p.pid, 'VACUUM', p.datid, p.relid, NULL::oid, p.phase,
       CASE WHEN p.phase = 'vacuuming heap' THEN p.heap_blks_vacuumed ELSE p.heap_blks_scanned END,
       CASE WHEN p.phase IN ('scanning heap', 'vacuuming heap') THEN p.heap_blks_total ELSE 0 END, 'blocks',
       CASE WHEN p.index_vacuum_count > 0 THEN 'indexes passed ' || p.index_vacuum_count || ' times' END
  FROM pg_stat_progress_vacuum p

-- @part vacuum_tasks @pg 17-18
SELECT p.pid, 'VACUUM', p.datid, p.relid, NULL::oid, p.phase,
       CASE WHEN p.phase LIKE '%indexes' THEN p.indexes_processed
            WHEN p.phase = 'vacuuming heap' THEN p.heap_blks_vacuumed ELSE p.heap_blks_scanned END,
       CASE WHEN p.phase LIKE '%indexes' THEN p.indexes_total
            WHEN p.phase IN ('scanning heap', 'vacuuming heap') THEN p.heap_blks_total ELSE 0 END,
       CASE WHEN p.phase LIKE '%indexes' THEN 'indexes' ELSE 'blocks' END,
       CASE WHEN p.index_vacuum_count > 0 THEN 'indexes passed ' || p.index_vacuum_count || ' times' END
  FROM pg_stat_progress_vacuum p

-- @part copy_tasks @pg 13-13
-- COPY does not report

-- @part copy_tasks @pg 14-18
UNION ALL
SELECT p.pid, p.command, p.datid, p.relid, NULL, NULL, p.bytes_processed, p.bytes_total, 'B',
       to_char(p.tuples_processed, 'FM999,999,999,999,990') || ' rows'
                                     || CASE p.type WHEN 'PIPE' THEN ' through the connection'
                                                    WHEN 'FILE' THEN ' of a file'
                                                    WHEN 'PROGRAM' THEN ' of a program' ELSE '' END
  FROM pg_stat_progress_copy p

-- @name progress_tasks @pg 13-18
WITH tasks (pid, command, datid, relid, index_relid, phase, done, total, unit, detail) AS (
-- @use vacuum_tasks
UNION ALL
SELECT p.pid, 'ANALYZE', p.datid, p.relid, NULL, p.phase, p.sample_blks_scanned,
       CASE WHEN p.phase LIKE 'acquiring%' THEN p.sample_blks_total ELSE 0 END, 'blocks',
       CASE WHEN p.child_tables_total > 0
            THEN 'partition ' || p.child_tables_done || ' of ' || p.child_tables_total END
  FROM pg_stat_progress_analyze p
UNION ALL
SELECT p.pid, p.command, p.datid, p.relid, nullif(p.index_relid, 0),
       p.phase,
       CASE WHEN p.phase LIKE 'waiting%' THEN p.lockers_done
            WHEN p.tuples_total > 0 THEN p.tuples_done ELSE p.blocks_done END,
       CASE WHEN p.phase LIKE 'waiting%' THEN p.lockers_total
            WHEN p.tuples_total > 0 THEN p.tuples_total ELSE p.blocks_total END,
       CASE WHEN p.phase LIKE 'waiting%' THEN 'sessions' WHEN p.tuples_total > 0 THEN 'rows' ELSE 'blocks' END,
       concat_ws(', ', CASE WHEN p.phase LIKE 'waiting%' AND p.current_locker_pid > 0
                            THEN 'waits for the transaction of pid ' || p.current_locker_pid END,
                       CASE WHEN p.partitions_total > 0
                            THEN 'partition ' || p.partitions_done || ' of ' || p.partitions_total END)
  FROM pg_stat_progress_create_index p
UNION ALL
SELECT p.pid, p.command, p.datid, p.relid, nullif(p.cluster_index_relid, 0), p.phase, p.heap_blks_scanned,
       CASE WHEN p.phase LIKE 'seq scanning%' THEN p.heap_blks_total ELSE 0 END, 'blocks',
       concat_ws(', ', p.heap_tuples_written || ' rows written',
                       CASE WHEN p.index_rebuild_count > 0 THEN p.index_rebuild_count || ' indexes rebuilt' END)
  FROM pg_stat_progress_cluster p
UNION ALL
SELECT p.pid, 'BASE BACKUP', NULL, NULL, NULL, p.phase, p.backup_streamed, coalesce(p.backup_total, 0), 'B',
       CASE WHEN p.tablespaces_total > 1
            THEN 'tablespace ' || p.tablespaces_streamed || ' of ' || p.tablespaces_total END
  FROM pg_stat_progress_basebackup p
-- @use copy_tasks
)
SELECT t.pid, a.backend_start, coalesce(t.command, '') AS command, a.usename::text AS "user",
       d.datname::text AS database,
       concat_ws(' · ', CASE WHEN t.datid <> c.oid THEN 'relation ' || t.relid::text
                             ELSE nullif(t.relid, 0)::regclass::text END,
                 CASE WHEN t.datid = c.oid THEN t.index_relid::regclass::text END) AS subject,
       t.phase, t.done::float8 AS done, t.total::float8 AS total, t.unit, t.detail,
       extract(epoch FROM clock_timestamp() - coalesce(a.query_start, a.xact_start))::float8 AS running_s,
       coalesce(a.backend_type = 'autovacuum worker', false) AS is_automatic, a.application_name AS application,
       a.backend_start IS NULL AND a.query = '<insufficient privilege>' AS is_hidden
  FROM tasks t JOIN pg_database c ON c.datname = current_database() LEFT JOIN pg_database d ON d.oid = t.datid
  LEFT JOIN pg_stat_activity a ON a.pid = t.pid
 ORDER BY running_s DESC NULLS LAST, t.pid;
