-- What the rules on reading and partitioning look at; as the other questions of the analysis.

-- @name advice_scans @pg 13-18
-- Tables of which most rows were read by going through all of it, again and again.
SELECT c.oid::regclass::text AS name, pg_stat_get_live_tuples(c.oid) AS live, pg_stat_get_numscans(c.oid) AS scans,
       pg_stat_get_tuples_returned(c.oid)::float8 AS read, x.fetched::float8 AS fetched,
       (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS since
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
       SELECT coalesce(sum(pg_stat_get_tuples_returned(i.indexrelid)), 0) AS fetched FROM pg_index i
        WHERE i.indrelid = c.oid) x
 WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname !~ '^pg_(toast|temp)' AND pg_stat_get_numscans(c.oid) > 50
   AND pg_stat_get_live_tuples(c.oid) > 10000
   AND pg_stat_get_tuples_returned(c.oid) / pg_stat_get_numscans(c.oid) > 10000
 ORDER BY 4 DESC, 1 LIMIT 50;

-- @name advice_horizon @pg 13-18
-- Tables partitioned by one column of time, into which rows come: until when there are partitions, and what lies in the
-- default one. A bound that is no time (MAXVALUE) has no end.
WITH parted AS (
    SELECT p.partrelid AS oid, p.partdefid, a.atttypid FROM pg_partitioned_table p
      JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
     WHERE p.partstrat = 'r' AND p.partnatts = 1
       AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
), bounds AS (
    SELECT i.inhparent AS oid, i.inhrelid,
           substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \((.+)\)$') AS upper
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN parted p ON p.oid = i.inhparent
), ends AS (
    SELECT p.oid, p.partdefid, count(*) FILTER (WHERE b.upper IS NOT NULL) AS partitions,
           bool_or(b.upper = 'MAXVALUE') AS is_endless,
           max(CASE WHEN b.upper ~ '^''\d{4}-' THEN trim('''' FROM b.upper)::timestamptz END) AS until,
           sum((SELECT sum(pg_stat_get_tuples_inserted(t.relid)) FROM pg_partition_tree(b.inhrelid) t)) AS inserted
      FROM parted p JOIN bounds b ON b.oid = p.oid GROUP BY 1, 2
)
SELECT e.oid::regclass::text AS name, e.partitions, e.until, e.inserted::float8 AS inserted,
       extract(epoch FROM e.until - clock_timestamp())::float8 / 86400 AS days,
       nullif(e.partdefid, 0)::regclass::text AS strays_in,
       CASE WHEN e.partdefid <> 0 THEN greatest(pg_stat_get_live_tuples(e.partdefid), d.reltuples::bigint, 0) END AS strays,
       CASE WHEN e.until = date_trunc('month', e.until) THEN format(
           'CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L);', n.nspname,
           c.relname || '_p' || to_char(e.until, 'YYYYMM'), e.oid::regclass, e.until, e.until + interval '1 month')
       END AS next_month
  FROM ends e JOIN pg_class c ON c.oid = e.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class d ON d.oid = nullif(e.partdefid, 0)
 WHERE NOT coalesce(e.is_endless, false) AND e.partitions > 0 ORDER BY e.until, 1 LIMIT 200;
