-- Sessions, locks and long commands, for search_path = pg_catalog (names of relations come out qualified). All of it is
-- in the server's memory; nothing takes a lock on a table. pg_locks can be read by every role, pg_stat_activity hides
-- other roles' states without pg_read_all_stats.

-- @name activity_sessions @pg 13-18
-- $1 int[] pids or NULL for all, $2 characters of a query, $3 how many at most.
SELECT pid, backend_start, usename::text AS "user", datname::text AS database, application_name AS application,
       CASE WHEN client_addr IS NOT NULL THEN host(client_addr) || ':' || client_port
            WHEN client_port = -1 THEN 'local socket' END                                         AS client,
       backend_type AS kind, leader_pid AS leader, state, wait_event_type AS wait_type, wait_event,
       extract(epoch FROM clock_timestamp() - query_start)::float8                                AS query_s,
       extract(epoch FROM clock_timestamp() - xact_start)::float8                                 AS transaction_s,
       extract(epoch FROM clock_timestamp() - state_change)::float8                               AS state_s,
       left(query, $2) AS query, length(query) > $2 AS is_cut,
       backend_start IS NULL AND query = '<insufficient privilege>'                               AS is_hidden,
       pid = pg_backend_pid() AS is_this, query_start, count(*) OVER () AS total
  FROM pg_stat_activity
 WHERE CASE WHEN $1::int[] IS NULL THEN datid IS NOT NULL OR backend_type = 'walsender' ELSE pid = ANY ($1) END
 ORDER BY coalesce(state = 'idle', false), leader_pid IS NOT NULL, coalesce(backend_type <> 'client backend', false),
          xact_start NULLS LAST, query_start, pid
 LIMIT $3;

-- @name activity_limits @pg 13-18
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable,
       current_setting('track_activities')::bool                           AS is_tracked;

-- @name activity_locks @pg 13-13
-- $1 pid, $2 how many at most; the fast path and the transaction's own ids say nothing and are left out.
SELECT l.locktype AS kind, l.mode, l.granted AS is_granted, NULL::float8 AS waited_s, count(*) OVER () AS total,
       CASE WHEN l.database IN (0, c.oid) THEN l.relation::regclass::text
            ELSE 'relation ' || l.relation::text || ' of database ' || d.datname END AS relation,
       l.page, l.tuple, l.transactionid::text AS transaction, l.virtualxid,
       l.classid::regclass::text AS class, l.classid, l.objid, l.objsubid
  FROM pg_locks l JOIN pg_database c ON c.datname = current_database() LEFT JOIN pg_database d ON d.oid = l.database
 WHERE l.pid = $1 AND NOT (l.granted AND l.locktype = 'virtualxid')
 ORDER BY l.granted, l.locktype, l.relation, l.mode
 LIMIT $2;

-- @name activity_locks @pg 14-18
SELECT l.locktype AS kind, l.mode, l.granted AS is_granted,
       extract(epoch FROM clock_timestamp() - l.waitstart)::float8 AS waited_s, count(*) OVER () AS total,
       CASE WHEN l.database IN (0, c.oid) THEN l.relation::regclass::text
            ELSE 'relation ' || l.relation::text || ' of database ' || d.datname END AS relation,
       l.page, l.tuple, l.transactionid::text AS transaction, l.virtualxid,
       l.classid::regclass::text AS class, l.classid, l.objid, l.objsubid
  FROM pg_locks l JOIN pg_database c ON c.datname = current_database() LEFT JOIN pg_database d ON d.oid = l.database
 WHERE l.pid = $1 AND NOT (l.granted AND l.locktype = 'virtualxid')
 ORDER BY l.granted, l.locktype, l.relation, l.mode
 LIMIT $2;

-- @name activity_neighbours @pg 13-18
-- $1 pid: whom it waits for, and who waits for it. pg_blocking_pids stops the lock manager for a moment: waiters only.
SELECT ARRAY(SELECT DISTINCT b FROM unnest(pg_blocking_pids($1)) AS b WHERE b <> $1 ORDER BY b) AS waits_for,
       ARRAY(SELECT DISTINCT coalesce(a.leader_pid, w.pid)
               FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid IS NOT NULL LIMIT 300) w
               LEFT JOIN pg_stat_activity a USING (pid)
              WHERE w.pid <> $1 AND $1 = ANY (pg_blocking_pids(w.pid)) ORDER BY 1)              AS blocks;

-- @name blocking_waits @pg 13-13
-- $1 how many waiters at most. A parallel worker's wait is its leader's.
WITH waiting AS MATERIALIZED (
    SELECT l.*, NULL::float8 AS waited_s, count(*) OVER () AS waiters
      FROM pg_locks l WHERE NOT l.granted AND l.pid IS NOT NULL ORDER BY l.pid LIMIT $1
)
SELECT coalesce(a.leader_pid, w.pid) AS pid, pg_blocking_pids(coalesce(a.leader_pid, w.pid)) AS holders, w.waiters,
       w.locktype AS kind, w.mode, w.granted AS is_granted, w.waited_s,
       CASE WHEN w.database IN (0, c.oid) THEN w.relation::regclass::text
            ELSE 'relation ' || w.relation::text || ' of database ' || d.datname END AS relation,
       w.page, w.tuple, w.transactionid::text AS transaction, w.virtualxid,
       w.classid::regclass::text AS class, w.classid, w.objid, w.objsubid
  FROM waiting w JOIN pg_database c ON c.datname = current_database() LEFT JOIN pg_database d ON d.oid = w.database
  LEFT JOIN pg_stat_activity a ON a.pid = w.pid;

-- @name blocking_waits @pg 14-18
WITH waiting AS MATERIALIZED (
    SELECT l.*, extract(epoch FROM clock_timestamp() - l.waitstart)::float8 AS waited_s, count(*) OVER () AS waiters
      FROM pg_locks l WHERE NOT l.granted AND l.pid IS NOT NULL ORDER BY l.waitstart, l.pid LIMIT $1
)
SELECT coalesce(a.leader_pid, w.pid) AS pid, pg_blocking_pids(coalesce(a.leader_pid, w.pid)) AS holders, w.waiters,
       w.locktype AS kind, w.mode, w.granted AS is_granted, w.waited_s,
       CASE WHEN w.database IN (0, c.oid) THEN w.relation::regclass::text
            ELSE 'relation ' || w.relation::text || ' of database ' || d.datname END AS relation,
       w.page, w.tuple, w.transactionid::text AS transaction, w.virtualxid,
       w.classid::regclass::text AS class, w.classid, w.objid, w.objsubid
  FROM waiting w JOIN pg_database c ON c.datname = current_database() LEFT JOIN pg_database d ON d.oid = w.database
  LEFT JOIN pg_stat_activity a ON a.pid = w.pid;

-- @name blocking_prepared @pg 13-18
-- Which prepared transactions hold what is waited for: in pg_locks without a pid, known by the lock on their own xid.
SELECT DISTINCT coalesce(a.leader_pid, w.pid) AS pid, p.gid, p.owner::text AS owner, p.database::text AS database,
       extract(epoch FROM clock_timestamp() - p.prepared)::float8 AS age_s
  FROM pg_locks w
  JOIN pg_locks h ON h.granted AND h.pid IS NULL AND h.locktype = w.locktype
   AND (h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
       IS NOT DISTINCT FROM
       (w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid)
  JOIN pg_locks x ON x.pid IS NULL AND x.granted AND x.locktype = 'transactionid'
   AND x.virtualtransaction = h.virtualtransaction
  JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
  LEFT JOIN pg_stat_activity a ON a.pid = w.pid
 WHERE NOT w.granted AND w.pid IS NOT NULL;

-- @name blocking_settings @pg 13-18
SELECT extract(epoch FROM current_setting('deadlock_timeout')::interval)::float8 AS deadlock_s;

-- @name explain_subject @pg 13-18
-- $1 pid. The text is cut by the server at track_activity_query_size bytes, one of them for its end.
SELECT a.backend_start, a.query_start, a.query, a.state, a.usename::text AS "user", a.datname::text AS database,
       a.backend_type AS kind, a.datname = current_database() AS is_here,
       a.backend_start IS NULL AND a.query = '<insufficient privilege>' AS is_hidden,
       octet_length(a.query) >= s.size - 4 AS is_cut, s.size,
       coalesce((SELECT substr(o.setting, 13)
                   FROM pg_db_role_setting r CROSS JOIN LATERAL unnest(r.setconfig) AS o(setting)
                  WHERE r.setdatabase IN (0, a.datid) AND r.setrole IN (0, a.usesysid)
                    AND o.setting LIKE 'search\_path=%'
                  ORDER BY (r.setdatabase <> 0)::int + 2 * (r.setrole <> 0)::int DESC LIMIT 1),
                '"$user", public') AS search_path
  FROM pg_stat_activity a CROSS JOIN (SELECT pg_size_bytes(current_setting('track_activity_query_size')) AS size) s
 WHERE a.pid = $1;

-- @name explain_scope @pg 13-18
SELECT set_config('search_path', $1, true);

-- @name session_target @pg 13-18
-- $1 pid: what an operator is told before a signal is sent.
SELECT a.pid, a.backend_start, a.usename::text AS "user", a.datname::text AS database,
       a.application_name AS application,
       CASE WHEN a.client_addr IS NOT NULL THEN host(a.client_addr) || ':' || a.client_port
            WHEN a.client_port = -1 THEN 'local socket' END                                       AS client,
       a.backend_type AS kind, a.leader_pid AS leader, a.state, a.wait_event_type AS wait_type, a.wait_event,
       a.query_start, left(a.query, 2000) AS query, false AS is_cut,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8                              AS query_s,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8                               AS transaction_s,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8                             AS state_s,
       a.backend_xid IS NOT NULL AS has_written, a.pid = pg_backend_pid() AS is_this,
       a.backend_start IS NULL AND a.query = '<insufficient privilege>'                           AS is_hidden,
       coalesce(r.rolsuper, false)                                                                AS is_superuser,
       CASE WHEN r.oid IS NULL THEN NULL  -- a process of the server: it decides itself
            ELSE current_setting('is_superuser') = 'on'
              OR NOT r.rolsuper AND (pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))
       END                                                                                        AS may_signal
  FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
 WHERE a.pid = $1;

-- @name session_cancel @pg 13-18
-- $1 pid, $2 backend_start, $3 query_start or NULL: looked at and signalled in one statement.
SELECT a.pid, pg_cancel_backend(a.pid) AS is_signalled
  FROM pg_stat_activity a
 WHERE a.pid = $1 AND a.backend_start = $2 AND ($3::timestamptz IS NULL OR a.query_start = $3) AND a.state = 'active'
   AND a.pid <> pg_backend_pid() AND a.application_name <> $4 AND NOT starts_with(a.application_name, $4 || '/');

-- @name session_terminate @pg 13-18
SELECT a.pid, pg_terminate_backend(a.pid) AS is_signalled
  FROM pg_stat_activity a
 WHERE a.pid = $1 AND a.backend_start = $2
   AND a.pid <> pg_backend_pid() AND a.application_name <> $3 AND NOT starts_with(a.application_name, $3 || '/');

-- @name session_now @pg 13-18
-- $1 pid, $2 backend_start.
SELECT state, query_start, application_name AS application FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2;
