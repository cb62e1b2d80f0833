-- Deterministic rows for a fresh sandbox, one step a section ("-- @step NAME"), run in this order inside one
-- transaction. Every number is a hash of the row's key and a salt, so neither plan nor row order matters.
-- $1 is "now", the newest instant in the data; $2 the seed; $3 the number of symbols; pg_temp.level holds each listed
-- ticker's newest close. Thirty days are filled.

-- @step uniform
CREATE FUNCTION pg_temp.u(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT ((hashint8extended(key, salt) & 9007199254740991) + 1)::float8 / 9007199254740993.0 $$

-- @step users
INSERT INTO auth_user (id, username, email, is_active, is_staff, date_joined, last_login)
SELECT i, 'trader' || lpad(i::text, 4, '0'), 'trader' || i || '@example.test', i % 20 <> 0, i <= 3,
       $1::timestamptz - i % 700 * interval '1 day', $1::timestamptz - i % 9 * interval '7 hours'
  FROM generate_series(1, 200) i

-- @step orders
WITH o AS (
    SELECT i, $2::bigint * 1000 AS s, 1 + floor(200 * power(pg_temp.u(i, $2::bigint * 1000 + 60), 1.5))::bigint AS trader,
           1 + floor((SELECT count(*) FROM pg_temp.level) * power(pg_temp.u(i, $2::bigint * 1000 + 61), 2))::bigint AS place,
           $1::timestamptz - (80 * $3::bigint - i) * interval '30 days' / (80 * $3::bigint) AS at
      FROM generate_series(1, 80 * $3::bigint) i
), p AS (
    SELECT o.*, l.ticker_id, l.price AS level, pg_temp.u(i, s + 64) AS fate,
           CASE WHEN pg_temp.u(i, s + 62) < 0.52 THEN 'BUY' ELSE 'SELL' END AS side,
           CASE WHEN pg_temp.u(i, s + 63) < 0.70 THEN 'LIMIT' WHEN pg_temp.u(i, s + 63) < 0.95 THEN 'MARKET'
                ELSE 'STOP_LIMIT' END AS kind,
           (10 * (1 + floor(100 * power(pg_temp.u(i, s + 65), 3))))::numeric AS size
      FROM o JOIN pg_temp.level l USING (place)
), f AS (
    SELECT p.*, CASE WHEN fate < 0.70 THEN 'FILLED' WHEN fate < 0.78 AND kind <> 'MARKET' THEN 'PENDING'
                     WHEN fate < 0.82 AND kind <> 'MARKET' THEN 'PARTIALLY_FILLED' WHEN fate < 0.94 THEN 'CANCELLED'
                     WHEN fate < 0.97 THEN 'REJECTED' ELSE 'EXPIRED' END AS state
      FROM p
), q AS (
    SELECT f.*, CASE state WHEN 'FILLED' THEN size WHEN 'PARTIALLY_FILLED' THEN size / 2 ELSE 0 END AS filled FROM f
)
INSERT INTO execution_engine_order (id, created_by_id, ticker_id, strategy_id, side, order_type, status, quantity,
                                    filled_quantity, price, avg_fill_price, created_at, updated_at)
SELECT i, trader, ticker_id, CASE WHEN i % 3 = 0 THEN 1 + i % 12 END, side, kind, state, size, filled,
       CASE WHEN kind <> 'MARKET' THEN
           round(level * (1 + CASE side WHEN 'BUY' THEN -0.02 ELSE 0.02 END * pg_temp.u(i, s + 66))::numeric, 2) END,
       CASE WHEN filled > 0 THEN round(level * (0.99 + 0.02 * pg_temp.u(i, s + 67))::numeric, 4) END,
       at, least(at + interval '3 seconds', $1::timestamptz)
  FROM q

-- @step executions
INSERT INTO execution_engine_execution (order_id, quantity, price, commission, executed_at)
SELECT o.id, o.filled_quantity / n, o.avg_fill_price, round(o.filled_quantity / n * 0.005, 6),
       least(o.created_at + j * interval '1 second', $1::timestamptz)
  FROM execution_engine_order o
 CROSS JOIN LATERAL (SELECT pg_temp.u(o.id, $2::bigint * 1000 + 70) AS luck) r
 CROSS JOIN LATERAL (SELECT CASE WHEN luck < 0.75 THEN 1 WHEN luck < 0.9 THEN 2 ELSE 5 END AS n) k
 CROSS JOIN LATERAL generate_series(1, n) j
 WHERE o.filled_quantity > 0 ORDER BY o.id, j

-- @step pipelines
INSERT INTO pipelines (id, name, status, config, created_by_id)
SELECT i, (ARRAY['bars', 'positions', 'signals', 'risk', 'fundamentals', 'reports'])[1 + i % 6] || '-' || lpad(i::text, 3, '0'),
       CASE WHEN i % 17 = 0 THEN 'paused' ELSE 'active' END,
       jsonb_build_object('schedule', '*/' || (5 + i % 50) || ' * * * *'), 1 + i % 200
  FROM generate_series(1, 60) i

-- @step runs
WITH r AS (
    SELECT i, 1 + floor(60 * power(pg_temp.u(i, $2::bigint * 1000 + 80), 2))::bigint AS pipeline,
           pg_temp.u(i, $2::bigint * 1000 + 81) AS fate, 5 + 600 * power(pg_temp.u(i, $2::bigint * 1000 + 82), 3) AS took,
           $1::timestamptz - (12 * $3::bigint - i) * interval '30 days' / (12 * $3::bigint) AS at
      FROM generate_series(1, 12 * $3::bigint) i
), s AS (
    SELECT r.*, CASE WHEN at + (2 + took) * interval '1 second' > $1::timestamptz THEN 'running' WHEN fate < 0.93 THEN 'success'
                     WHEN fate < 0.985 THEN 'failed' ELSE 'cancelled' END AS state
      FROM r
)
INSERT INTO pipeline_runs (id, pipeline_id, triggered_by_id, status, created_at, started_at, completed_at, error_message)
SELECT i, pipeline, CASE WHEN i % 5 = 0 THEN 1 + i % 200 END, state, at, least(at + interval '2 seconds', $1::timestamptz),
       CASE WHEN state <> 'running' THEN at + (2 + took) * interval '1 second' END,
       CASE WHEN state = 'failed' THEN (ARRAY['source timed out', 'schema of the source changed', 'out of memory'])[1 + i % 3] END
  FROM s

-- @step tasks
INSERT INTO task_runs (pipeline_run_id, task_name, status, created_at, started_at, completed_at, rows_processed)
SELECT r.id, (ARRAY['extract', 'clean', 'transform', 'load', 'notify'])[j],
       CASE WHEN r.status = 'failed' AND j = 4 THEN 'failed' WHEN r.status = 'failed' AND j = 5 THEN 'skipped'
            WHEN r.status IN ('success', 'failed') THEN 'success' WHEN r.status = 'cancelled' THEN 'skipped'
            WHEN j = 1 THEN 'running' ELSE 'pending' END,
       r.created_at, CASE WHEN j = 1 OR r.completed_at IS NOT NULL THEN r.started_at + (j - 1) * interval '1 second' END,
       CASE WHEN r.completed_at IS NOT NULL THEN r.started_at + j * interval '1 second' END, r.id * 7919 * j % 100000
  FROM pipeline_runs r CROSS JOIN generate_series(1, 5) j ORDER BY r.id, j

-- @step partitioned tasks
INSERT INTO task_runs_partitioned (id, pipeline_run_id, task_name, status, attempt, created_at, started_at, completed_at,
                                   rows_processed)
SELECT id, pipeline_run_id, task_name, status, attempt, created_at, started_at, completed_at, rows_processed
  FROM task_runs ORDER BY id

-- @step staging with duplicates
INSERT INTO price_ticks_staging
SELECT p.symbol, p.timeframe, p."timestamp", p.open, p.high, p.low, CASE WHEN d = 2 AND k % 3 = 0 THEN p.low ELSE p.close END,
       p.volume, p.trade_count, p.vwap, p.source, p.ingested_at
  FROM (SELECT t.*, row_number() OVER (ORDER BY symbol, "timestamp") AS k FROM price_ticks t
         WHERE "timestamp" >= $1::timestamptz - interval '10 days') p
 CROSS JOIN LATERAL generate_series(1, CASE WHEN k % 50 = 0 THEN 2 ELSE 1 END) d

-- @step sequences
SELECT setval(pg_get_serial_sequence(name, 'id'), newest)
  FROM (SELECT 'auth_user' AS name, max(id) AS newest FROM auth_user
        UNION ALL SELECT 'market_data_ticker', max(id) FROM market_data_ticker
        UNION ALL SELECT 'execution_engine_order', max(id) FROM execution_engine_order
        UNION ALL SELECT 'pipelines', max(id) FROM pipelines
        UNION ALL SELECT 'pipeline_runs', max(id) FROM pipeline_runs) s
 WHERE newest IS NOT NULL
