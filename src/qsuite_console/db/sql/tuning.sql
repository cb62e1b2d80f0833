-- Settings one by one: for the operation that changes one, and for the pane that lists those worth a look.

-- @name tuning_setting @pg 13-14
SELECT s.name, current_setting(s.name) AS shown, s.unit, s.vartype, s.context, s.category, s.source, s.short_desc,
       s.enumvals::text[] AS choices, s.min_val, s.max_val, s.pending_restart, coalesce(s.sourcefile, '') AS file,
       current_user::text AS role, r.rolsuper AS may_alter, false AS is_grantable,
       has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE') AS may_reload,
       extract(epoch FROM pg_conf_load_time())::float8 AS loaded
  FROM pg_settings s, pg_roles r WHERE s.name = lower($1) AND r.rolname = current_user;

-- @name tuning_setting @pg 15-18
SELECT s.name, current_setting(s.name) AS shown, s.unit, s.vartype, s.context, s.category, s.source, s.short_desc,
       s.enumvals::text[] AS choices, s.min_val, s.max_val, s.pending_restart, coalesce(s.sourcefile, '') AS file,
       current_user::text AS role, has_parameter_privilege(s.name, 'ALTER SYSTEM') AS may_alter, true AS is_grantable,
       has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE') AS may_reload,
       extract(epoch FROM pg_conf_load_time())::float8 AS loaded
  FROM pg_settings s WHERE s.name = lower($1);

-- @name tuning_near @pg 13-18
SELECT name FROM pg_settings WHERE name LIKE '%' || lower($1) || '%' OR lower($1) LIKE '%' || name || '%'
 ORDER BY abs(length(name) - length($1)), name LIMIT 3;

-- @name tuning_written @pg 13-18
SELECT f.setting, f.sourcefile LIKE '%postgresql.auto.conf' AS is_ours, f.applied, f.error
  FROM pg_file_settings f WHERE lower(f.name) = lower($1) ORDER BY f.seqno;

-- @name tuning_statement @pg 13-18
SELECT format('ALTER SYSTEM SET %I = %s', $1::text,
              (SELECT string_agg(quote_literal(value), ', ' ORDER BY place) FROM unnest($2::text[]) WITH ORDINALITY v(value, place)));

-- @name tuning_reset @pg 13-18
SELECT format('ALTER SYSTEM RESET %I', $1::text);

-- @name tuning_libraries @pg 13-18
SELECT value FROM unnest($1::text[]) value
 WHERE NOT EXISTS (SELECT FROM pg_available_extensions e WHERE e.name = value);

-- @name tuning_reload @pg 13-18
SELECT pg_reload_conf();

-- @name tuning_lines @pg 13-18
SELECT name, setting, unit, source, context, vartype, enumvals::text[] AS choices, pending_restart, short_desc,
       coalesce(sourcefile LIKE '%postgresql.auto.conf', false) AS is_ours, boot_val
  FROM pg_settings
 WHERE name = ANY ($1::text[]) OR pending_restart OR sourcefile LIKE '%postgresql.auto.conf'
 ORDER BY name;
