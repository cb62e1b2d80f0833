-- What the health tile of PostgreSQL reads every two seconds, in one round trip: only memory of the server is looked
-- at, no table. Sessions of other roles hide their state and kind without pg_monitor; `hidden` counts them, and
-- `backends` comes from the cumulative statistics, which everybody may read.

-- @name monitor_sample @pg 13-18
WITH sessions AS (
    SELECT count(*) FILTER (WHERE backend_type = 'client backend')                                        AS clients,
           count(*) FILTER (WHERE backend_type = 'client backend' AND state = 'active')                   AS active,
           count(*) FILTER (WHERE backend_type = 'client backend' AND state LIKE 'idle in transaction%'
                              AND application_name NOT LIKE 'qsuite-console/%')                           AS idle_in_tx,
           count(*) FILTER (WHERE wait_event_type = 'Lock')                                               AS lock_waits,
           count(*) FILTER (WHERE query = '<insufficient privilege>')                                     AS hidden,
           count(*) FILTER (WHERE backend_type = 'client backend' AND state = 'active' AND leader_pid IS NULL
                              AND application_name NOT LIKE 'qsuite-console/%'
                              AND query_start < clock_timestamp() - interval '30 seconds')                AS long_queries,
           extract(epoch FROM max(clock_timestamp() - xact_start)
                              FILTER (WHERE backend_type = 'client backend'
                                        AND application_name NOT LIKE 'qsuite-console/%'))::float8        AS oldest_tx_s
      FROM pg_stat_activity
     WHERE pid <> pg_backend_pid()
), counters AS (
    SELECT sum(numbackends)::bigint                                                        AS backends,
           max(xact_commit + xact_rollback) FILTER (WHERE datname = current_database())    AS transactions,
           max(xact_rollback) FILTER (WHERE datname = current_database())                  AS rollbacks,
           max(blks_read) FILTER (WHERE datname = current_database())                      AS blocks_read,
           max(blks_hit) FILTER (WHERE datname = current_database())                       AS blocks_hit,
           max(deadlocks) FILTER (WHERE datname = current_database())                      AS deadlocks,
           max(stats_reset) FILTER (WHERE datname = current_database())                    AS stats_reset
      FROM pg_stat_database
), standbys AS (
    SELECT count(*) AS standbys,
           max(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() END, replay_lsn))::float8
             AS lag_bytes
      FROM pg_stat_replication
)
SELECT extract(epoch FROM clock_timestamp())::float8                        AS at,
       extract(epoch FROM pg_postmaster_start_time())::float8               AS started,
       extract(epoch FROM counters.stats_reset)::float8                     AS reset,
       pg_is_in_recovery()                                                  AS is_standby,
       current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0)  AS usable,
       sessions.clients, sessions.active, sessions.idle_in_tx, sessions.lock_waits, sessions.hidden,
       sessions.long_queries, sessions.oldest_tx_s,
       counters.backends, counters.transactions, counters.rollbacks, counters.blocks_read, counters.blocks_hit,
       counters.deadlocks,
       standbys.standbys, standbys.lag_bytes,
       CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8 AS replay_lag_s
  FROM sessions, counters, standbys;

-- @name monitor_size @pg 13-18
SELECT pg_database_size(current_database())::float8 AS bytes;
