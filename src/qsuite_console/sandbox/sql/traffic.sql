-- What the synthetic traffic does, a few rows at a time.

-- @step place orders
INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, price)
SELECT trader, ticker, side, kind, 'PENDING', size, CASE WHEN kind = 'LIMIT' THEN round(price::numeric, 2) END
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::int[], $6::float8[])
       AS x (trader, ticker, side, kind, size, price)
RETURNING id

-- @step fill orders
WITH filled AS (
    UPDATE execution_engine_order o
       SET status = 'FILLED', filled_quantity = o.quantity, avg_fill_price = round(x.price::numeric, 4), updated_at = now()
      FROM unnest($1::bigint[], $2::float8[]) AS x (id, price)
     WHERE o.id = x.id AND o.status = 'PENDING'
    RETURNING o.id, o.quantity, o.avg_fill_price
)
INSERT INTO execution_engine_execution (order_id, quantity, price, commission)
SELECT id, quantity, avg_fill_price, round(quantity * 0.005, 6) FROM filled

-- @step cancel orders
UPDATE execution_engine_order SET status = 'CANCELLED', updated_at = now()
 WHERE id = ANY ($1::bigint[]) AND status = 'PENDING'

-- @step add bars
INSERT INTO market_data_marketdata (ticker_id, "timestamp", open, high, low, close, volume)
SELECT x.* FROM unnest($1::bigint[], $2::timestamptz[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[],
                       $7::numeric[]) AS x ON CONFLICT DO NOTHING

-- @step start run
WITH run AS (
    INSERT INTO pipeline_runs (pipeline_id, status, created_at, started_at)
    SELECT id, 'running', now(), now() FROM pipelines WHERE status = 'active' ORDER BY hashint8extended(id, $1::bigint) LIMIT 1
    RETURNING id
)
INSERT INTO task_runs (pipeline_run_id, task_name, status, started_at)
SELECT run.id, name, CASE WHEN n = 1 THEN 'running' ELSE 'pending' END, CASE WHEN n = 1 THEN now() END
  FROM run, unnest(ARRAY['extract', 'clean', 'transform', 'load', 'notify']) WITH ORDINALITY AS t (name, n)
RETURNING pipeline_run_id

-- @step end left runs
WITH ended AS (
    UPDATE pipeline_runs SET status = 'cancelled', completed_at = now()
     WHERE status IN ('pending', 'running') AND created_at < now() - interval '30 minutes'
    RETURNING id
)
UPDATE task_runs t SET status = 'skipped', completed_at = now()
  FROM ended e WHERE t.pipeline_run_id = e.id AND t.status IN ('pending', 'running')

-- @step finish runs
WITH done AS (
    UPDATE pipeline_runs r
       SET status = x.state, completed_at = now(),
           error_message = CASE WHEN x.state = 'failed' THEN 'source timed out' END
      FROM unnest($1::bigint[], $2::text[]) AS x (id, state)
     WHERE r.id = x.id AND r.status = 'running'
    RETURNING r.id, r.status
)
UPDATE task_runs t
   SET status = CASE WHEN d.status = 'success' OR t.task_name = 'extract' THEN 'success'
                     WHEN t.task_name = 'load' THEN 'failed' ELSE 'skipped' END,
       started_at = coalesce(t.started_at, now()), completed_at = now(), rows_processed = t.id * 7919 % 100000
  FROM done d WHERE t.pipeline_run_id = d.id
