-- What every panel needs to know of the server and of the console's role in it before it asks anything. USAGE, not
-- MEMBER: the views look at the privileges a role has without SET ROLE.

-- @name panels_server @pg 13-18
SELECT current_setting('server_version_num')::int               AS version_num,
       quote_ident(current_user)                                AS role,
       current_database()::text                                 AS database,
       current_setting('is_superuser') = 'on'                   AS is_superuser,
       pg_has_role('pg_monitor', 'USAGE')                       AS is_monitor,
       pg_has_role('pg_read_all_stats', 'USAGE')                AS reads_all_stats,
       pg_has_role('pg_signal_backend', 'USAGE')                AS can_signal,
       pg_is_in_recovery()                                      AS is_standby,
       (SELECT array_agg(e.extname::text ORDER BY e.oid) FROM pg_extension e)                        AS extensions,
       (SELECT array_agg(quote_ident(n.nspname) ORDER BY e.oid)
          FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace)                         AS schemas;
