-- The platform's pipelines and runs. Newest means made last: runs that wait have no start, and NULL would come first.
-- Each page is found by where the last one ended, never by counting; equal instants are told apart by the number.

-- @name pipelines_path
-- The panels' connection looks into pg_catalog only: find the platform's tables where the role itself would.
SELECT set_config('search_path', coalesce((
    SELECT substr(c.setting, length('search_path=') + 1)
      FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c (setting)
     WHERE c.setting LIKE 'search\_path=%'
       AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
       AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
     ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC
     LIMIT 1), '"$user", public'), true);

-- @name pipelines_list
-- $1 patterns that a name must all be like, $2 status of the last run ('' any), $3 most.
SELECT p.id, p.name, p.status, r.id AS run_id, r.status AS run_status, r.created_at, r.started_at, r.completed_at,
       left(r.error_message, 2000) AS error, count(*) OVER () AS total
  FROM {{pipelines}} p
  LEFT JOIN LATERAL (SELECT q.id, q.status, q.created_at, q.started_at, q.completed_at, q.error_message
                       FROM {{pipeline_runs}} q
                      WHERE q.pipeline_id = p.id
                      ORDER BY q.created_at DESC, q.id DESC LIMIT 1) r ON true
 WHERE p.name ILIKE ALL ($1::text[]) AND ($2::text = '' OR r.status = $2)
 ORDER BY p.name
 LIMIT $3;

-- @name pipelines_statistics
-- $1 from, $2 to, both of created_at. One row for each pipeline, and one with pipeline_id NULL for all of them.
SELECT r.pipeline_id, count(*) AS total,
       count(*) FILTER (WHERE r.status = 'pending') AS pending,
       count(*) FILTER (WHERE r.status = 'running') AS running,
       count(*) FILTER (WHERE r.status = 'success') AS success,
       count(*) FILTER (WHERE r.status = 'failed') AS failed,
       count(*) FILTER (WHERE r.status = 'cancelled') AS cancelled,
       avg(t.took_s) FILTER (WHERE r.status = 'success') AS mean_s,
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY t.took_s) FILTER (WHERE r.status = 'success') AS spread_s
  FROM {{pipeline_runs}} r
 CROSS JOIN LATERAL (SELECT extract(epoch FROM r.completed_at - r.started_at)::float8 AS took_s) t
 WHERE r.created_at >= $1 AND r.created_at < $2{{and}}
 GROUP BY GROUPING SETS ((r.pipeline_id), ());

-- @name pipelines_active
-- The predicate exactly as in the partial index.
SELECT count(*) FILTER (WHERE r.status = 'pending') AS pending,
       count(*) FILTER (WHERE r.status = 'running') AS running,
       min(r.started_at) FILTER (WHERE r.status = 'running') AS oldest_at
  FROM {{pipeline_runs}} r
 WHERE r.status IN ('pending', 'running');

-- @name pipelines_runs_older
-- $1 from, $2 to, $3 and $4 instant and number of the run that the page lies below, $5 most.
SELECT r.id, r.pipeline_id, p.name AS pipeline, r.status, r.created_at, r.started_at, r.completed_at,
       left(r.error_message, 2000) AS error
  FROM (SELECT r.id, r.pipeline_id, r.status, r.created_at, r.started_at, r.completed_at, r.error_message
          FROM {{pipeline_runs}} r
         WHERE r.created_at >= $1 AND r.created_at < $2 AND r.created_at <= $3 AND (r.created_at, r.id) < ($3, $4){{and}}
         ORDER BY r.created_at DESC, r.id DESC
         LIMIT $5) r
  LEFT JOIN {{pipelines}} p ON p.id = r.pipeline_id
 ORDER BY r.created_at DESC, r.id DESC;

-- @name pipelines_runs_newer
-- The same for the page above a run; its rows come newest first too.
SELECT r.id, r.pipeline_id, p.name AS pipeline, r.status, r.created_at, r.started_at, r.completed_at,
       left(r.error_message, 2000) AS error
  FROM (SELECT r.id, r.pipeline_id, r.status, r.created_at, r.started_at, r.completed_at, r.error_message
          FROM {{pipeline_runs}} r
         WHERE r.created_at >= $1 AND r.created_at < $2 AND r.created_at >= $3 AND (r.created_at, r.id) > ($3, $4){{and}}
         ORDER BY r.created_at, r.id
         LIMIT $5) r
  LEFT JOIN {{pipelines}} p ON p.id = r.pipeline_id
 ORDER BY r.created_at DESC, r.id DESC;

-- @name pipelines_name
SELECT p.name FROM {{pipelines}} p WHERE p.id = $1;

-- @name pipelines_named
-- $1 a whole name, $2 patterns that a name must all be like otherwise, $3 most. The one of that name comes first.
SELECT p.id, p.name FROM {{pipelines}} p WHERE p.name = $1 OR p.name ILIKE ALL ($2::text[])
 ORDER BY p.name = $1 DESC, p.id LIMIT $3;

-- @name pipelines_run
SELECT r.id, r.pipeline_id, p.name AS pipeline, r.status, r.created_at, r.started_at, r.completed_at,
       left(r.error_message, 2000) AS error
  FROM {{pipeline_runs}} r
  LEFT JOIN {{pipelines}} p ON p.id = r.pipeline_id
 WHERE r.id = $1;

-- @name pipelines_tasks
-- $1 run, $2 most. A platform may keep a task's error under either name, or only that of the run.
SELECT t.id, t.task_name AS name, t.status, t.attempt, t.started_at, t.completed_at, t.rows_processed AS rows,
       left(coalesce(j.facts ->> 'error_message', j.facts ->> 'error', ''), 2000) AS error, count(*) OVER () AS total
  FROM {{task_runs}} t
 CROSS JOIN LATERAL (SELECT to_jsonb(t) AS facts) j
 WHERE t.pipeline_run_id = $1
 ORDER BY t.status = 'failed' DESC, t.started_at NULLS LAST, t.id
 LIMIT $2;
