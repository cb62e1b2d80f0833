-- What partition jobs read: tables partitioned by a range of time, their parts, and what strayed into the default one.

-- @name partitioned_tables @pg 13-18
-- Every root partitioned by one range of a time; "may" is whether the role may change it.
SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, a.attname AS key, t.typname AS type,
       nullif(p.partdefid, 0)::int8 AS default_oid, d.relname AS default_name, dn.nspname AS default_schema,
       pg_has_role(c.relowner, 'USAGE') AS may
  FROM pg_partitioned_table p
  JOIN pg_class c ON c.oid = p.partrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_class d ON d.oid = p.partdefid
  LEFT JOIN pg_namespace dn ON dn.oid = d.relnamespace
 WHERE p.partstrat = 'r' AND p.partnatts = 1 AND t.typname IN ('timestamptz', 'timestamp', 'date')
   AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT LIKE '\_timescaledb\_%'
 ORDER BY n.nspname, c.relname;

-- @name partitions_of @pg 13-18
-- $1 the root, $2 the type of its key. Parts with bounds as instants: those without a zone are read as UTC. An open end
-- (MINVALUE, MAXVALUE) comes as NULL; the default partition is left out.
SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, greatest(c.reltuples, 0)::int8 AS rows,
       CASE WHEN $2 = 'timestamptz' THEN b.low::timestamptz ELSE b.low::timestamp AT TIME ZONE 'UTC' END AS low,
       CASE WHEN $2 = 'timestamptz' THEN b.high::timestamptz ELSE b.high::timestamp AT TIME ZONE 'UTC' END AS high
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS x (text)
 CROSS JOIN LATERAL (SELECT (regexp_match(x.text, 'FROM \(''([^'']+)''\)'))[1] AS low,
                            (regexp_match(x.text, 'TO \(''([^'']+)''\)'))[1] AS high) b
 WHERE i.inhparent = $1::int8::oid AND x.text <> 'DEFAULT'
 ORDER BY low NULLS FIRST;
