-- What `doctor` and `init` ask of a server: one round trip each, nothing that needs a privilege.

-- @name doctor_server
SELECT current_setting('server_version_num')::int                    AS version_num,
       current_setting('server_version')                             AS version,
       current_user                                                  AS role,
       current_database()                                            AS database,
       clock_timestamp()                                             AS now,
       pg_is_in_recovery()                                           AS is_standby,
       current_setting('default_transaction_read_only')::boolean     AS is_read_only,
       pg_has_role(current_user, 'pg_monitor', 'USAGE')              AS has_monitor,
       has_database_privilege(current_user, current_database(), 'CREATE')
         OR coalesce(has_schema_privilege(current_user, current_schema(), 'CREATE'), false) AS has_create,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb

-- @name doctor_tables
-- $1 text[]: names, optionally schema-qualified
SELECT name,
       to_regclass(name) IS NOT NULL                                                              AS is_present,
       coalesce(has_table_privilege(current_user, to_regclass(name), 'SELECT'), false)            AS has_select,
       coalesce(has_table_privilege(current_user, to_regclass(name), 'INSERT, UPDATE'), false)    AS has_write
  FROM unnest($1::text[]) AS name
