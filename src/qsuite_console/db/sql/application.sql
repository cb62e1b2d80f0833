-- The platform's own pulse. Each reads an index no further than a bound, so that a platform ten times as large costs
-- ten times as little as counting it: what lies beyond the bound is told as "or more".

-- @name application_orders
-- $1 bound. The newest orders of the last hour; those that are no limit orders and still wait are among them.
SELECT count(*) AS hour,
       count(*) FILTER (WHERE created_at > now() - interval '1 minute') AS minute,
       count(*) FILTER (WHERE order_type <> 'LIMIT' AND status IN ('PENDING', 'PARTIALLY_FILLED')) AS waiting
  FROM (SELECT created_at, status, order_type FROM execution_engine_order
         WHERE created_at > now() - interval '1 hour' AND created_at <= now()
         ORDER BY created_at DESC LIMIT $1) o;

-- @name application_resting
-- $1 bound. Limit orders in the book; the predicate exactly as in the partial index.
SELECT count(*) AS resting
  FROM (SELECT FROM execution_engine_order
         WHERE status IN ('PENDING', 'PARTIALLY_FILLED') AND order_type = 'LIMIT' LIMIT $1) o;

-- @name application_bars
-- Bars of the last hour and the newest of them, symbol by symbol over the key.
SELECT coalesce(sum(b.bars), 0)::bigint AS hour, max(b.newest) AS newest
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT count(*) AS bars, max(m."timestamp") AS newest FROM {{market_data}} m
                      WHERE m.ticker_id = t.id AND m."timestamp" > now() - interval '1 hour') b
 WHERE t.is_active;

-- @name application_runs
-- $1 bound. Pipeline runs made in the last hour that came to an end by themselves, and since when the oldest goes on.
SELECT count(*) FILTER (WHERE r.status IN ('success', 'failed')) AS ended,
       count(*) FILTER (WHERE r.status = 'failed') AS failed,
       (SELECT min(a.started_at) FROM {{pipeline_runs}} a
         WHERE a.status IN ('pending', 'running') AND a.status = 'running') AS oldest
  FROM (SELECT status FROM {{pipeline_runs}}
         WHERE created_at > now() - interval '1 hour' AND created_at <= now()
         ORDER BY created_at DESC LIMIT $1) r;

-- @name application_newest
-- The newest bar of all, for a platform that had none in the last hour.
SELECT max(l.newest) AS newest
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT m."timestamp" AS newest FROM {{market_data}} m WHERE m.ticker_id = t.id
                      ORDER BY m."timestamp" DESC LIMIT 1) l
 WHERE t.is_active;
