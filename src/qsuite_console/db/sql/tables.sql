-- What the tables panel reads. Partitions (and the children of inheritance: hypertables) are summed up under their root.
-- Sizes take a lock and look at every file: never of a relation that is locked exclusively, and of all only where there
-- are few.

-- @name tables_count @pg 13-18
SELECT count(*) AS relations FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname !~ '^pg_(toast|temp)';

-- @name tables_list @pg 13-18
-- $1 part of the name, $2 order, $3 limit, $4 whether to ask for sizes (else they follow from relpages), $5 roots whose
-- parts are listed too, $6 limit of those of one root
WITH locked AS MATERIALIZED (
    SELECT relation FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), rel AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relkind::text AS kind, c.reltuples, c.relpages, c.reltoastrelid, c.reloptions,
           CASE WHEN c.relfrozenxid::text <> '0' THEN age(c.relfrozenxid) END AS xid_age,
           CASE WHEN c.relminmxid::text <> '0' THEN mxid_age(c.relminmxid) END AS mxid_age,
           CASE WHEN c.relispartition OR c.relkind = 'p' THEN pg_partition_root(c.oid)::oid
                ELSE coalesce((SELECT h.inhparent FROM pg_inherits h WHERE h.inhrelid = c.oid AND h.inhseqno = 1), c.oid)
           END AS root
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND n.nspname !~ '^pg_(toast|temp)'
), wanted AS MATERIALIZED (
    SELECT * FROM rel WHERE $1 = '' OR root IN (
        SELECT r.root FROM rel r WHERE position(lower($1) IN lower(r.nspname || '.' || r.relname)) > 0)
), indexed AS MATERIALIZED (
    SELECT i.indrelid, count(*) AS indexes, sum(pg_stat_get_numscans(i.indexrelid)) AS idx_scans,
           sum(x.relpages)::bigint * current_setting('block_size')::bigint AS bytes,
           bool_or(i.indexrelid IN (SELECT relation FROM locked)) AS is_locked
      FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid IN (SELECT oid FROM wanted) AND x.relkind = 'i' GROUP BY 1
), leaf AS MATERIALIZED (
    SELECT w.*, coalesce(x.indexes, 0) AS indexes, coalesce(x.idx_scans, 0) AS idx_scans, s.is_sized,
           CASE WHEN s.is_sized THEN pg_table_size(w.oid) - s.toast
                ELSE greatest(w.relpages, 0) * current_setting('block_size')::bigint END AS heap_bytes,
           CASE WHEN s.is_sized THEN s.toast
                ELSE coalesce(t.relpages, 0) * current_setting('block_size')::bigint END AS toast_bytes,
           CASE WHEN s.is_sized THEN pg_indexes_size(w.oid) ELSE coalesce(x.bytes, 0) END AS index_bytes,
           CASE WHEN w.kind = 'p' THEN 0 ELSE greatest(w.reltuples, 0)::float8 END AS est_rows,
           CASE WHEN w.kind = 'p' THEN 0 ELSE pg_stat_get_live_tuples(w.oid) END AS live,
           CASE WHEN w.kind = 'p' THEN 0 ELSE pg_stat_get_dead_tuples(w.oid) END AS dead,
           pg_stat_get_mod_since_analyze(w.oid) AS modified,
           pg_stat_get_numscans(w.oid) AS seq_scans, pg_stat_get_tuples_returned(w.oid) AS seq_rows,
           greatest(pg_stat_get_last_vacuum_time(w.oid), pg_stat_get_last_autovacuum_time(w.oid)) AS vacuumed_at,
           greatest(pg_stat_get_last_analyze_time(w.oid), pg_stat_get_last_autoanalyze_time(w.oid)) AS analyzed_at,
           o.is_vacuumed,
           CASE WHEN w.kind = 'p' THEN 0 ELSE least(o.threshold + o.factor * greatest(w.reltuples, 0), o.most) END AS trigger
      FROM wanted w LEFT JOIN indexed x ON x.indrelid = w.oid LEFT JOIN pg_class t ON t.oid = w.reltoastrelid
     CROSS JOIN LATERAL (
           SELECT y.is_sized, CASE WHEN y.is_sized AND w.reltoastrelid <> 0
                                   THEN pg_total_relation_size(w.reltoastrelid) ELSE 0 END AS toast
             FROM (SELECT $4 AND w.kind <> 'p' AND w.oid NOT IN (SELECT relation FROM locked)
                          AND NOT coalesce(x.is_locked, false) AS is_sized) y) s
     CROSS JOIN LATERAL (
           SELECT coalesce(max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_vacuum_threshold'),
                           current_setting('autovacuum_vacuum_threshold'))::float8 AS threshold,
                  coalesce(max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_vacuum_scale_factor'),
                           current_setting('autovacuum_vacuum_scale_factor'))::float8 AS factor,
                  coalesce(nullif(current_setting('autovacuum_vacuum_max_threshold', true), '-1')::float8,
                           'infinity') AS most,
                  coalesce(max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_enabled'),
                           'true')::bool AS is_vacuumed
             FROM pg_options_to_table(w.reloptions) p) o
), summed AS (
    SELECT root AS oid, NULL::oid AS parent, count(*) FILTER (WHERE kind <> 'p') AS parts, sum(indexes) AS indexes,
           sum(idx_scans) AS idx_scans, bool_and(is_sized OR kind = 'p') AS is_sized, sum(heap_bytes) AS heap_bytes,
           sum(toast_bytes) AS toast_bytes, sum(index_bytes) AS index_bytes, sum(est_rows) AS est_rows, sum(live) AS live,
           sum(dead) AS dead, sum(modified) FILTER (WHERE kind <> 'p') AS modified, sum(seq_scans) AS seq_scans,
           sum(seq_rows) AS seq_rows, max(vacuumed_at) AS vacuumed_at, max(analyzed_at) AS analyzed_at,
           bool_and(is_vacuumed) AS is_vacuumed, sum(trigger) AS trigger, max(xid_age) AS xid_age,
           max(mxid_age) AS mxid_age,
           coalesce(max(dead / nullif(trigger, 0)) FILTER (WHERE kind <> 'p'), 0) AS of_trigger
      FROM leaf GROUP BY root
), ranked AS (
    SELECT s.*, count(*) OVER () AS tables, row_number() OVER (ORDER BY CASE $2
               WHEN 'size' THEN heap_bytes + toast_bytes + index_bytes WHEN 'dead' THEN dead WHEN 'due' THEN of_trigger
               WHEN 'rows' THEN greatest(live, est_rows) WHEN 'scans' THEN seq_rows WHEN 'age' THEN xid_age
               WHEN 'vacuum' THEN -coalesce(extract(epoch FROM vacuumed_at), 0) END DESC NULLS LAST,
               heap_bytes + toast_bytes + index_bytes DESC, oid) AS place
      FROM summed s
), parts AS (
    SELECT oid, root AS parent, 1::bigint AS parts, indexes, idx_scans, is_sized, heap_bytes, toast_bytes, index_bytes,
           est_rows, live, dead, modified, seq_scans, seq_rows, vacuumed_at, analyzed_at, is_vacuumed, trigger, xid_age,
           mxid_age, coalesce(dead / nullif(trigger, 0), 0) AS of_trigger,
           row_number() OVER (PARTITION BY root ORDER BY heap_bytes + toast_bytes + index_bytes DESC, oid) AS place
      FROM leaf WHERE root = ANY ($5::oid[]) AND oid <> root AND kind <> 'p'
), shown AS (
    SELECT r.* , NULL::bigint AS part FROM ranked r WHERE place <= $3
    UNION ALL
    SELECT p.oid, p.parent, p.parts, p.indexes, p.idx_scans, p.is_sized, p.heap_bytes, p.toast_bytes, p.index_bytes,
           p.est_rows, p.live, p.dead, p.modified, p.seq_scans, p.seq_rows, p.vacuumed_at, p.analyzed_at, p.is_vacuumed,
           p.trigger, p.xid_age, p.mxid_age, p.of_trigger, r.tables, r.place, p.place
      FROM parts p JOIN ranked r ON r.oid = p.parent WHERE p.place <= $6 AND r.place <= $3
)
SELECT s.oid::int8 AS oid, s.parent::int8 AS parent, s.oid::regclass::text AS name, l.kind, s.parts, s.indexes::int8,
       s.idx_scans::float8, s.is_sized, s.heap_bytes::float8, s.toast_bytes::float8, s.index_bytes::float8, s.est_rows,
       s.live::float8, s.dead::float8, s.modified::float8, s.seq_scans::float8, s.seq_rows::float8, s.vacuumed_at,
       s.analyzed_at, s.is_vacuumed, s.trigger, s.xid_age, s.mxid_age, s.of_trigger::float8, s.tables
  FROM shown s JOIN leaf l ON l.oid = s.oid ORDER BY s.place, s.part NULLS FIRST;

-- @name tables_sizes @pg 13-18
-- $1 roots: the exact sizes of what is shown, where the listing itself went by relpages
WITH locked AS MATERIALIZED (
    SELECT relation FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), leaf AS (
    SELECT r.oid AS root, c.oid, c.reltoastrelid FROM unnest($1::oid[]) r(oid)
      JOIN pg_class c ON c.oid = r.oid AND c.relkind IN ('r', 'm')
    UNION ALL
    SELECT r.oid, c.oid, c.reltoastrelid FROM unnest($1::oid[]) r(oid) CROSS JOIN LATERAL pg_partition_tree(r.oid) t
      JOIN pg_class c ON c.oid = t.relid AND t.relid <> r.oid AND t.isleaf AND c.relkind = 'r'
    UNION ALL
    SELECT h.inhparent, c.oid, c.reltoastrelid FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
     WHERE h.inhparent = ANY ($1::oid[]) AND c.relkind = 'r' AND NOT c.relispartition
), free AS MATERIALIZED (
    SELECT * FROM leaf WHERE root NOT IN (
        SELECT l.root FROM leaf l WHERE l.oid IN (SELECT relation FROM locked)
            OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = l.oid AND i.indexrelid IN (SELECT relation FROM locked)))
)
SELECT root::int8 AS oid, sum(pg_table_size(oid) - t.bytes)::float8 AS heap_bytes, sum(t.bytes)::float8 AS toast_bytes,
       sum(pg_indexes_size(oid))::float8 AS index_bytes
  FROM free CROSS JOIN LATERAL (SELECT CASE WHEN free.reltoastrelid <> 0
                                            THEN pg_total_relation_size(free.reltoastrelid) ELSE 0 END AS bytes) t
 GROUP BY root;

-- @name tables_bloat @pg 13-18
-- $1 tables. Pages that the rows would need, from the planner's mean widths: 24 bytes of header and 4 of line pointer a
-- row, rounded up to 8, 24 bytes of header a page, the fillfactor kept. Empty where the role may not read the columns.
WITH big AS MATERIALIZED (
    SELECT c.oid, c.relname, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY ($1::oid[]) AND c.relkind IN ('r', 'm') AND c.relpages >= 16 AND c.reltuples > 0
), width AS (
    SELECT b.oid, w.* FROM big b CROSS JOIN LATERAL (
           SELECT sum((1 - s.null_frac) * s.avg_width) AS bytes, max(s.null_frac) > 0 AS has_nulls, count(*) AS columns
             FROM pg_stats s WHERE s.schemaname = b.nspname AND s.tablename = b.relname AND NOT s.inherited) w
), page AS (
    SELECT c.oid, c.relpages, c.reltuples, w.bytes, current_setting('block_size')::int AS block,
           24 + CASE WHEN w.has_nulls AND w.columns > 8 THEN 8 * ceil((w.columns - 8) / 64.0)::int ELSE 0 END AS header,
           coalesce((SELECT p.option_value FROM pg_options_to_table(c.reloptions) p
                      WHERE p.option_name = 'fillfactor'), '100')::int AS fill
      FROM width w JOIN pg_class c ON c.oid = w.oid
     WHERE (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
           = w.columns
), need AS (
    SELECT *, ceil(reltuples / greatest(1, floor((block - 24) * fill / 100.0
                                                 / (ceil((header + bytes) / 8.0) * 8 + 4)))) AS pages FROM page
)
SELECT oid::int8 AS oid, (relpages::bigint * block)::float8 AS bytes,
       (greatest(0, relpages - pages)::bigint * block)::float8 AS wasted FROM need;

-- @name table_facts @pg 13-18
-- $1 table
SELECT c.oid::regclass::text AS name, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
       c.relpersistence::text AS persistence, coalesce(pg_get_partkeydef(c.oid), '') AS partition_key,
       coalesce(pg_get_expr(c.relpartbound, c.oid), '') AS bound, coalesce(c.reloptions, '{}')::text[] AS options,
       pg_stat_get_tuples_inserted(c.oid)::float8 AS inserted, pg_stat_get_tuples_updated(c.oid)::float8 AS updated,
       pg_stat_get_tuples_hot_updated(c.oid)::float8 AS hot_updated, pg_stat_get_tuples_deleted(c.oid)::float8 AS deleted,
       pg_stat_get_vacuum_count(c.oid)::int AS vacuums, pg_stat_get_autovacuum_count(c.oid)::int AS autovacuums,
       pg_stat_get_analyze_count(c.oid)::int AS analyzes, pg_stat_get_autoanalyze_count(c.oid)::int AS autoanalyzes,
       pg_stat_get_last_vacuum_time(c.oid) AS last_vacuum, pg_stat_get_last_autovacuum_time(c.oid) AS last_autovacuum,
       pg_stat_get_last_analyze_time(c.oid) AS last_analyze,
       pg_stat_get_last_autoanalyze_time(c.oid) AS last_autoanalyze,
       pg_stat_get_blocks_hit(c.oid)::float8 / nullif(pg_stat_get_blocks_fetched(c.oid), 0) AS hit_share,
       (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS since
  FROM pg_class c WHERE c.oid = $1::oid AND c.relkind IN ('r', 'm', 'p');

-- @name table_columns @pg 13-18
-- $1 table, $2 limit
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS is_required,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS default_value, s.null_frac::float8 AS null_share,
       s.n_distinct::float8 AS distinct_values, s.avg_width AS width, count(*) OVER () AS columns
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
                      AND s.inherited = (c.relkind = 'p')
 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum LIMIT $2;

-- @name table_indexes @pg 13-18
-- $1 table
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition, i.indisvalid AS is_valid,
       t.scans::float8 AS scans, t.pages * current_setting('block_size')::float8 AS bytes
  FROM pg_index i CROSS JOIN LATERAL (
       SELECT sum(pg_stat_get_numscans(x.oid)) AS scans, sum(greatest(x.relpages, 0)) AS pages FROM pg_class x
        WHERE x.oid = i.indexrelid OR x.relkind = 'i' AND x.oid IN (SELECT relid FROM pg_partition_tree(i.indexrelid))) t
 WHERE i.indrelid = $1::oid ORDER BY i.indisprimary DESC, i.indisunique DESC, 1;

-- @name table_constraints @pg 13-18
-- $1 table
SELECT conname::text AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
 WHERE conrelid = $1::oid AND contype IN ('c', 'f', 'x') ORDER BY contype, conname LIMIT 100;

-- @name tables_settings @pg 13-18
SELECT current_setting('autovacuum_freeze_max_age')::int AS freeze_max_age, pg_postmaster_start_time() AS started_at,
       (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS since;
