-- What runs out: transaction ids, multixacts, numbers of sequences; and what keeps old transaction ids from being frozen.

-- @name limits_databases @pg 13-18
SELECT datname::text AS name, datname = current_database() AS is_here, age(datfrozenxid) AS xid_age,
       mxid_age(datminmxid) AS mxid_age, current_setting('autovacuum_freeze_max_age')::int AS xid_forced,
       current_setting('autovacuum_multixact_freeze_max_age')::int AS mxid_forced
  FROM pg_database ORDER BY greatest(age(datfrozenxid)::float8 / current_setting('autovacuum_freeze_max_age')::float8,
                                     mxid_age(datminmxid)::float8
                                       / current_setting('autovacuum_multixact_freeze_max_age')::float8) DESC, 1
 LIMIT 50;

-- @name limits_tables @pg 13-18
-- The oldest tables of this database, with those of the system: each must be frozen in time. $1 limit
SELECT c.oid::int8 AS oid, c.oid::regclass::text AS name, age(c.relfrozenxid) AS xid_age,
       mxid_age(c.relminmxid) AS mxid_age,
       greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed_at,
       (c.relpages * current_setting('block_size')::float8) AS bytes
  FROM pg_class c WHERE c.relkind IN ('r', 'm', 't')
 ORDER BY greatest(age(c.relfrozenxid)::float8 / current_setting('autovacuum_freeze_max_age')::float8,
                   mxid_age(c.relminmxid)::float8
                     / current_setting('autovacuum_multixact_freeze_max_age')::float8) DESC, c.relpages DESC, 1
 LIMIT $1;

-- @name limits_holders @pg 13-18
SELECT 'session' AS kind, pid::text AS id, coalesce(usename::text, backend_type) AS who, age(backend_xmin) AS age,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS held_s
  FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
UNION ALL
SELECT 'slot', slot_name::text, slot_type, greatest(age(xmin), age(catalog_xmin)), NULL FROM pg_replication_slots
 WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
UNION ALL
SELECT 'prepared transaction', gid, owner::text, age(transaction),
       extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts
 ORDER BY age DESC NULLS LAST LIMIT 10;

-- @name limits_sequences @pg 13-18
-- Those that have used most. A column may be narrower than its sequence: the smaller of both limits counts. $1 limit
WITH owned AS (
    SELECT d.objid, d.refobjid, a.attname, a.atttypid FROM pg_depend d
      JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
       AND d.refobjsubid > 0
), seq AS (
    SELECT c.oid, s.seqincrement, s.seqcycle, s.seqstart, o.refobjid, o.attname,
           CASE WHEN has_sequence_privilege(c.oid, 'SELECT,USAGE') THEN pg_sequence_last_value(c.oid) END AS last_value,
           has_sequence_privilege(c.oid, 'SELECT,USAGE') AS is_readable,
           CASE WHEN s.seqincrement > 0
                THEN least(s.seqmax, CASE o.atttypid WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 ELSE s.seqmax END)
                ELSE greatest(s.seqmin, CASE o.atttypid WHEN 21 THEN -32768 WHEN 23 THEN -2147483648
                                                        ELSE s.seqmin END) END AS edge
      FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid LEFT JOIN owned o ON o.objid = c.oid
     WHERE c.relpersistence <> 't'
), used AS (
    SELECT *, greatest(0, (last_value::numeric - seqstart) / nullif(edge::numeric - seqstart, 0))::float8 AS share
      FROM seq
)
SELECT oid::regclass::text AS name, CASE WHEN refobjid IS NOT NULL THEN
           refobjid::regclass::text || '.' || quote_ident(attname) END AS feeds, last_value, edge AS limit_value, share,
       seqincrement AS increment, seqcycle AS is_cycled, is_readable, count(*) OVER () AS sequences,
       count(*) FILTER (WHERE NOT is_readable) OVER () AS hidden
  FROM used ORDER BY share DESC NULLS LAST, oid LIMIT $1;
