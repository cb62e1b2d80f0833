-- @name pooler_server @pg 13-18
SELECT (SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database)   AS sessions,
       current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable;
