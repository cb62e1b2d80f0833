-- What the stand-in extension holds in the tests.
CREATE TABLE public.price_ticks_h (t timestamptz);
CREATE TABLE public."Odd name" (t timestamptz);
INSERT INTO timescaledb_information.hypertables VALUES
    ('public', 'price_ticks_h', 'qsuite', 1, 3, true), ('public', 'Odd name', 'qsuite', 1, 0, false);
INSERT INTO timescaledb_information.dimensions (hypertable_schema, hypertable_name, dimension_number, column_name, time_interval)
    VALUES ('public', 'price_ticks_h', 1, 'timestamp', '7 days'), ('public', 'price_ticks_h', 2, 'symbol', NULL);
INSERT INTO timescaledb_information.chunks (hypertable_schema, hypertable_name, chunk_name, range_start, range_end, is_compressed)
    VALUES ('public', 'price_ticks_h', 'a', '2026-11-02Z', '2026-11-09Z', true),
           ('public', 'price_ticks_h', 'b', '2026-11-09Z', '2026-11-16Z', true),
           ('public', 'price_ticks_h', 'c', '2026-11-16Z', '2026-11-23Z', false);
INSERT INTO _timescaledb_catalog.hypertable VALUES (1, 'public', 'price_ticks_h');
INSERT INTO _timescaledb_catalog.chunk VALUES (1, 1, 1, false), (2, 1, 9, false), (3, 1, 0, false), (4, 1, 9, true);
INSERT INTO timescaledb_information.jobs (job_id, schedule_interval, proc_name, scheduled, hypertable_schema, hypertable_name)
    VALUES (1, '24 hours', 'policy_telemetry', true, NULL, NULL),
           (1000, '12 hours', 'policy_compression', true, 'public', 'price_ticks_h'),
           (1001, '1 hour', 'policy_refresh_continuous_aggregate', true, '_timescaledb_internal', '_materialized_2'),
           (1002, '1 day', 'my_own', false, NULL, NULL);
INSERT INTO timescaledb_information.job_stats (job_id, last_run_started_at, last_successful_finish, last_run_status,
    job_status, last_run_duration, next_start, total_runs, total_failures) VALUES
    (1, '-infinity', '-infinity', NULL, 'Scheduled', NULL, 'infinity', 0, 0),
    (1000, now() - interval '10 minutes', now() - interval '2 days', 'Failed', 'Scheduled', '3 seconds',
     now() + interval '5 minutes', 40, 4),
    (1001, now() - interval '30 minutes', now() - interval '29 minutes', 'Success', 'Scheduled', '1 minute',
     now() + interval '30 minutes', 9, 0);
INSERT INTO timescaledb_information.job_errors VALUES
    (1000, '_timescaledb_functions', 'policy_compression', 1, now() - interval '11 minutes', now() - interval '10 minutes',
     '53100', E'could not extend file: No space left\n\x1b[31mon device'),
    (1000, '_timescaledb_functions', 'policy_compression', 1, now() - interval '3 days', now() - interval '3 days', '53100', 'old');
INSERT INTO timescaledb_information.continuous_aggregates VALUES
    ('public', 'price_ticks_h', 'public', 'hourly', 'qsuite', true, false, '_timescaledb_internal', '_materialized_2', '', true),
    ('public', 'price_ticks_h', 'public', 'daily', 'qsuite', false, false, '_timescaledb_internal', '_materialized_3', '', true);
