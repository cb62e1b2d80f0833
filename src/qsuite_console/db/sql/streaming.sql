-- Copying rows from one relation to another: what the two are made of, and where a copy stands.

-- @name stream_find
-- $1 a name as it is, quoted or not; $2 the same with every part quoted
SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = coalesce(to_regclass($2::text), to_regclass($1::text));

-- @name stream_columns
-- $1 oid of a relation; domains are told by what they are made of
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       CASE WHEN bn.nspname = 'pg_catalog' THEN b.typname ELSE '' END AS base,
       CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END::int4 AS modifier,
       a.attnotnull OR t.typnotnull AS is_required,
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS has_default,
       a.attgenerated <> '' OR a.attidentity = 'a' AS is_generated
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
  JOIN pg_namespace bn ON bn.oid = b.typnamespace
 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum;

-- @name stream_types
-- $1 oids of types in the order of a query's columns
SELECT format_type(t.oid, NULL) AS type, CASE WHEN bn.nspname = 'pg_catalog' THEN b.typname ELSE '' END AS base
  FROM unnest($1::oid[]) WITH ORDINALITY AS given(oid, place)
  JOIN pg_type t ON t.oid = given.oid
  JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
  JOIN pg_namespace bn ON bn.oid = b.typnamespace
 ORDER BY given.place;

-- @name stream_keys
-- $1 oid of a table: what no two rows share, the primary key first
SELECT i.indisprimary AS is_primary,
       array_agg(a.attname ORDER BY k.place)::text[] AS columns, bool_and(a.attnotnull) AS is_total
  FROM pg_index i
  CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indimmediate
   AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
 GROUP BY i.indexrelid, i.indisprimary
 ORDER BY i.indisprimary DESC, i.indexrelid;

-- @name stream_rights
-- $1 oid of a table
SELECT has_table_privilege($1::oid, 'INSERT') AS may_insert, has_table_privilege($1::oid, 'UPDATE') AS may_update,
       has_table_privilege($1::oid, 'SELECT') AS may_select, pg_is_in_recovery() AS is_standby,
       current_user::text AS role, EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::oid AND NOT tgisinternal
                                              AND tgenabled <> 'D') AS has_triggers,
       to_regclass('qsuite_console.stream') IS NOT NULL
         OR has_database_privilege(current_database(), 'CREATE')
         OR coalesce(has_schema_privilege(to_regnamespace('qsuite_console')::oid, 'CREATE'), false) AS may_keep;

-- @name stream_table
CREATE TABLE IF NOT EXISTS qsuite_console.stream (
    stream text PRIMARY KEY, attempt int4 NOT NULL, state jsonb NOT NULL, updated_at timestamptz NOT NULL DEFAULT now()
);

-- @name stream_open
-- $1 stream, $2 attempt: makes it this attempt's own; no row where a later one has it
INSERT INTO qsuite_console.stream AS s (stream, attempt, state) VALUES ($1, $2::int4, '{}')
ON CONFLICT (stream) DO UPDATE SET attempt = excluded.attempt, updated_at = now() WHERE s.attempt <= excluded.attempt
RETURNING s.state::text AS state;

-- @name stream_save
-- $1 stream, $2 attempt, $3 state
UPDATE qsuite_console.stream SET state = $3::text::jsonb, updated_at = now() WHERE stream = $1 AND attempt = $2::int4;

-- @name stream_forget
-- $1 stream; those nobody came back to go too
DELETE FROM qsuite_console.stream WHERE stream = $1 OR updated_at < now() - interval '30 days';
