-- TimescaleDB through its information views, which outlast its catalogue. {schema} is where the extension lives.
-- '-infinity' marks what never happened; arithmetic on it fails, so it becomes null first.

-- @name timescale_extension @pg 13-18
SELECT extversion AS version, coalesce(current_setting('timescaledb.license', true), '') AS license
  FROM pg_extension WHERE extname = 'timescaledb';

-- @name timescale_hypertables @pg 13-18
SELECT format('%I.%I', h.hypertable_schema, h.hypertable_name) AS name, h.compression_enabled AS is_compressing,
       d.column_name::text AS time_column, extract(epoch FROM d.time_interval)::float8 AS chunk_s,
       {schema}.hypertable_size(format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass)::bigint AS bytes,
       {schema}.approximate_row_count(format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass)::bigint AS rows
  FROM timescaledb_information.hypertables h
  LEFT JOIN timescaledb_information.dimensions d
    ON (d.hypertable_schema, d.hypertable_name, d.dimension_number) = (h.hypertable_schema, h.hypertable_name, 1)
 ORDER BY bytes DESC NULLS LAST, name LIMIT 500;

-- @name timescale_chunks @pg 13-18
SELECT format('%I.%I', hypertable_schema, hypertable_name) AS name, count(*) AS chunks,
       count(*) FILTER (WHERE is_compressed) AS compressed, min(nullif(range_start, '-infinity')) AS oldest,
       max(nullif(range_end, 'infinity')) AS newest,
       max(nullif(range_end, 'infinity')) FILTER (WHERE is_compressed) AS compressed_until
  FROM timescaledb_information.chunks GROUP BY 1;

-- @name timescale_compression @pg 13-18
SELECT format('%I.%I', h.hypertable_schema, h.hypertable_name) AS name,
       sum(s.before_compression_total_bytes)::bigint AS before_bytes,
       sum(s.after_compression_total_bytes)::bigint AS after_bytes
  FROM timescaledb_information.hypertables h
 CROSS JOIN LATERAL {schema}.hypertable_compression_stats(
           format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass) s
 WHERE h.compression_enabled GROUP BY 1;

-- @name timescale_partial @pg 13-18
SELECT format('%I.%I', h.schema_name, h.table_name) AS name,
       count(*) FILTER (WHERE c.status & 8 = 8) AS partial
  FROM _timescaledb_catalog.chunk c JOIN _timescaledb_catalog.hypertable h ON h.id = c.hypertable_id
 WHERE NOT coalesce((to_jsonb(c) ->> 'dropped')::bool, false) GROUP BY 1;

-- @name timescale_jobs @pg 13-18
SELECT j.job_id AS id, j.proc_name::text AS procedure,
       CASE WHEN j.hypertable_name IS NULL THEN '' ELSE format('%I.%I', j.hypertable_schema, j.hypertable_name) END AS hypertable,
       extract(epoch FROM j.schedule_interval)::float8 AS every_s, j.scheduled AS is_scheduled,
       coalesce(s.job_status, '') AS state, coalesce(s.last_run_status, '') AS outcome,
       extract(epoch FROM clock_timestamp() - nullif(s.last_run_started_at, '-infinity'))::float8    AS started_s_ago,
       extract(epoch FROM clock_timestamp() - nullif(s.last_successful_finish, '-infinity'))::float8 AS succeeded_s_ago,
       extract(epoch FROM s.last_run_duration)::float8 AS took_s,
       extract(epoch FROM nullif(nullif(s.next_start, 'infinity'), '-infinity') - clock_timestamp())::float8 AS next_s,
       coalesce(s.total_runs, 0)::bigint AS runs, coalesce(s.total_failures, 0)::bigint AS failures
  FROM timescaledb_information.jobs j LEFT JOIN timescaledb_information.job_stats s USING (job_id)
 ORDER BY (s.last_run_status = 'Failed') DESC NULLS LAST, j.job_id LIMIT 500;

-- @name timescale_errors @pg 13-18
SELECT job_id AS id, coalesce(proc_name::text, '') AS procedure,
       extract(epoch FROM clock_timestamp() - finish_time)::float8 AS ended_s_ago, coalesce(sqlerrcode, '') AS code,
       coalesce(err_message, '') AS message
  FROM timescaledb_information.job_errors
 WHERE finish_time > clock_timestamp() - interval '24 hours' ORDER BY finish_time DESC LIMIT 50;

-- @name timescale_aggregates @pg 13-18
SELECT format('%I.%I', c.view_schema, c.view_name) AS name,
       format('%I.%I', c.hypertable_schema, c.hypertable_name) AS source, c.materialized_only,
       extract(epoch FROM min(j.schedule_interval))::float8 AS every_s,
       extract(epoch FROM clock_timestamp() - max(nullif(s.last_successful_finish, '-infinity')))::float8 AS refreshed_s_ago,
       coalesce(max(s.last_run_status), '') AS outcome, count(j.job_id) AS policies
  FROM timescaledb_information.continuous_aggregates c
  LEFT JOIN timescaledb_information.jobs j ON j.proc_name = 'policy_refresh_continuous_aggregate'
        AND (j.hypertable_schema, j.hypertable_name) IN ((c.view_schema, c.view_name),
             (c.materialization_hypertable_schema, c.materialization_hypertable_name))
  LEFT JOIN timescaledb_information.job_stats s ON s.job_id = j.job_id
 GROUP BY 1, 2, 3 ORDER BY 1;
