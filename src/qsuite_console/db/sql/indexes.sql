-- What the indexes panel reads. Indexes of partitions are summed up under the partitioned index: one whose parts are
-- used is used.

-- @name indexes_count @pg 13-18
SELECT count(*) AS indexes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'i' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)';

-- @part index_scanned_at @pg 13-15
           NULL::timestamptz AS scanned_at,

-- @part index_scanned_at @pg 16-18
           pg_stat_get_lastscan(c.oid) AS scanned_at,

-- @name indexes_list @pg 13-18
-- $1 part of the name of index or table, $2 order, $3 limit, $4 whether to ask for sizes, $5 only those in trouble,
-- $6 the redundant ones
WITH locked AS MATERIALIZED (
    SELECT relation FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), part AS MATERIALIZED (
    SELECT c.oid, c.relkind::text AS kind, c.relpages, i.indrelid, i.indisvalid, i.indisready,
           CASE WHEN c.relispartition OR c.relkind = 'I' THEN pg_partition_root(c.oid)::oid ELSE c.oid END AS root,
           c.relkind = 'i' AND $4 AND i.indrelid NOT IN (SELECT relation FROM locked)
             AND c.oid NOT IN (SELECT relation FROM locked) AS is_sized,
           pg_stat_get_numscans(c.oid) AS scans, pg_stat_get_tuples_returned(c.oid) AS entries,
           -- @use index_scanned_at
           CASE WHEN c.relkind = 'i' THEN pg_stat_get_tuples_inserted(i.indrelid) + pg_stat_get_tuples_updated(i.indrelid)
                ELSE 0 END AS writes
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_class t ON t.oid = i.indrelid
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
       AND ($1 = '' OR position(lower($1) IN lower(n.nspname || '.' || c.relname)) > 0
                    OR position(lower($1) IN lower(t.relname)) > 0)
), summed AS (
    SELECT root AS oid, count(*) FILTER (WHERE kind = 'i') AS parts, bool_and(is_sized OR kind = 'I') AS is_sized,
           sum(CASE WHEN is_sized THEN pg_relation_size(oid)
                    ELSE greatest(relpages, 0) * current_setting('block_size')::bigint END) AS bytes,
           sum(scans) AS scans, sum(entries) AS entries, max(scanned_at) AS scanned_at, sum(writes) AS writes,
           array_agg(oid) FILTER (WHERE NOT indisvalid) AS invalid
      FROM part GROUP BY root
), faulty AS MATERIALIZED (
    SELECT i.indexrelid AS oid FROM pg_index i
     WHERE NOT i.indisvalid AND NOT EXISTS (
           SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid OR p.relid = i.indrelid)
), judged AS (
    SELECT s.*, i.indrelid, i.indisunique, i.indisprimary, i.indisvalid,
           s.invalid IS NOT NULL AND EXISTS (SELECT FROM faulty f WHERE f.oid = ANY (s.invalid)) AS is_invalid,
           s.scans = 0 AND NOT i.indisunique AND NOT i.indisprimary AND NOT i.indisreplident AND i.indisvalid
             AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = s.oid) AS is_unused,
           s.oid = ANY ($6::oid[]) AS is_redundant
      FROM summed s JOIN pg_index i ON i.indexrelid = s.oid
), ranked AS (
    SELECT j.*, count(*) OVER () AS indexes,
           row_number() OVER (ORDER BY CASE WHEN $2 <> 'trouble' THEN 0 WHEN is_invalid THEN 3 WHEN is_redundant THEN 2
                                            WHEN is_unused THEN 1 ELSE 0 END DESC,
                              CASE $2 WHEN 'scans' THEN scans WHEN 'writes' THEN writes WHEN 'entries' THEN entries
                                      WHEN 'idle' THEN -scans END DESC NULLS LAST, bytes DESC, oid) AS place
      FROM judged j WHERE NOT $5 OR is_invalid OR is_redundant OR is_unused
)
SELECT r.oid::int8 AS oid, r.oid::regclass::text AS name, r.indrelid::regclass::text AS relation, am.amname::text AS method,
       r.parts, r.is_sized, r.bytes::float8, r.scans::float8, r.entries::float8, r.scanned_at, r.writes::float8,
       r.indisunique AS is_unique, r.indisprimary AS is_primary, r.is_invalid, r.is_unused,
       EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = r.oid) AS is_constraint, r.indexes,
       EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = r.oid) AS is_building,
       pg_get_indexdef(r.oid) AS definition
  FROM ranked r JOIN pg_class c ON c.oid = r.oid JOIN pg_am am ON am.oid = c.relam WHERE r.place <= $3 ORDER BY r.place;

-- @part redundant_indexes
-- Duplicates, left prefixes of another index, and a hash index beside a b-tree of its column.
-- Pairs are found by their vectors alone, which the planner can hash; expressions are compared only within pairs.
WITH pair AS MATERIALIZED (
    SELECT a.indexrelid, b.indexrelid AS covering, b.indisunique,
           CASE WHEN am.amname = 'hash' THEN 'hash beside b-tree'
                WHEN a.indnkeyatts = b.indnkeyatts
                     AND (a.indkey::int2[])[a.indnkeyatts:a.indnatts - 1] = (b.indkey::int2[])[b.indnkeyatts:b.indnatts - 1]
                THEN 'duplicate' ELSE 'left prefix' END AS why
      FROM pg_index a JOIN pg_index b ON b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
      JOIN pg_class ac ON ac.oid = a.indexrelid JOIN pg_am am ON am.oid = ac.relam
      JOIN pg_class bc ON bc.oid = b.indexrelid JOIN pg_am bm ON bm.oid = bc.relam
      JOIN pg_namespace n ON n.oid = ac.relnamespace
     WHERE NOT a.indisunique AND NOT a.indisprimary AND b.indisvalid AND NOT ac.relispartition AND bm.amname = 'btree'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
       AND (am.amname = 'hash' AND a.indkey[0] = b.indkey[0] AND a.indkey[0] <> 0
            OR am.amname = 'btree' AND a.indnkeyatts <= b.indnkeyatts
               AND (a.indkey::int2[])[0:a.indnkeyatts - 1] = (b.indkey::int2[])[0:a.indnkeyatts - 1]
               AND (a.indclass::oid[])[0:a.indnkeyatts - 1] = (b.indclass::oid[])[0:a.indnkeyatts - 1]
               AND (a.indcollation::oid[])[0:a.indnkeyatts - 1] = (b.indcollation::oid[])[0:a.indnkeyatts - 1]
               AND (a.indoption::int2[])[0:a.indnkeyatts - 1] = (b.indoption::int2[])[0:a.indnkeyatts - 1]
               AND coalesce((a.indkey::int2[])[a.indnkeyatts:a.indnatts - 1], '{}') <@ b.indkey::int2[])
), found AS (
    SELECT DISTINCT ON (p.indexrelid) p.indexrelid, p.covering, p.why
      FROM pair p JOIN pg_index a ON a.indexrelid = p.indexrelid JOIN pg_index b ON b.indexrelid = p.covering
     WHERE (a.indpred IS NULL AND b.indpred IS NULL
            OR pg_get_expr(a.indpred, a.indrelid) = pg_get_expr(b.indpred, b.indrelid))
       AND (a.indexprs IS NULL AND b.indexprs IS NULL
            OR pg_get_expr(a.indexprs, a.indrelid) = pg_get_expr(b.indexprs, b.indrelid))
       AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = p.indexrelid)
       AND (p.why <> 'duplicate' OR p.indisunique OR p.indexrelid > p.covering)
     ORDER BY p.indexrelid, p.why = 'duplicate' DESC, p.indisunique DESC, p.covering
)

-- @name indexes_redundant @pg 13-18
-- biggest first; $1 limit
-- @use redundant_indexes
SELECT f.indexrelid::int8 AS oid, f.indexrelid::regclass::text AS name, f.covering::regclass::text AS covered_by, f.why,
       count(*) OVER () AS found
  FROM found f JOIN pg_class c ON c.oid = f.indexrelid ORDER BY c.relpages DESC, f.indexrelid LIMIT $1;

-- @name indexes_missing @pg 13-18
-- Foreign keys without an index, and tables that are read from end to end again and again. $1 part of the name, $2 limit
WITH counted AS MATERIALIZED (
    SELECT c.oid, pg_stat_get_numscans(c.oid) AS scans, pg_stat_get_tuples_returned(c.oid) AS read,
           greatest(c.reltuples, 0)::float8 AS rows, pg_stat_get_live_tuples(c.oid) AS live
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND n.nspname !~ '^pg_(toast|temp)'
), suspects AS (
    SELECT 'foreign key' AS kind, k.conrelid AS oid, k.conname::text AS name, pg_get_constraintdef(k.oid) AS definition,
           greatest(t.reltuples, 0)::float8 AS rows, NULL::float8 AS scans, NULL::float8 AS rows_per_scan,
           NULL::float8 AS share,
           (pg_stat_get_tuples_updated(k.confrelid) + pg_stat_get_tuples_deleted(k.confrelid))::float8 AS parent_changes,
           k.confrelid::regclass::text AS parent,
           (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY o.ord)
              FROM unnest(k.conkey) WITH ORDINALITY o(attnum, ord)
              JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.attnum) AS columns,
           greatest(t.reltuples, 0)::float8 AS weight
      FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
     WHERE k.contype = 'f' AND k.conparentid = 0 AND (t.reltuples > 10000 OR t.relkind = 'p')
       AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
                          AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
    UNION ALL
    SELECT 'full scans', c.oid, NULL, NULL, greatest(c.rows, c.live), c.scans::float8,
           (c.read / c.scans)::float8, c.read / nullif(c.read + x.read, 0)::float8, NULL, NULL, NULL, c.read::float8
      FROM counted c CROSS JOIN LATERAL (
           SELECT coalesce(sum(pg_stat_get_tuples_returned(i.indexrelid)), 0) AS read
             FROM pg_index i WHERE i.indrelid = c.oid) x
     WHERE c.scans > 50 AND greatest(c.rows, c.live) > 10000 AND c.read / c.scans > 10000
)
SELECT s.kind, s.oid::int8 AS oid, s.oid::regclass::text AS relation, s.name, s.definition, s.rows, s.scans,
       s.rows_per_scan, s.share, s.parent_changes, s.parent, s.columns, count(*) OVER () AS found
  FROM suspects s WHERE $1 = '' OR position(lower($1) IN lower(s.oid::regclass::text)) > 0
 ORDER BY s.weight DESC, s.oid LIMIT $2;

-- @name statistics_since @pg 13-18
SELECT stats_reset AS since, clock_timestamp() AS at, pg_is_in_recovery() AS is_standby,
       pg_postmaster_start_time() AS started_at
  FROM pg_stat_database WHERE datname = current_database();
