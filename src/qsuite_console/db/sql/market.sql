-- What the market panels read. {{tickers}} and {{market_data}} are the configured tables; windows of sessions come as
-- parameters, so that a platform without a calendar table is served by the computed one.

-- @name market_symbols @pg 13-18
-- $1 text the symbol begins with, $2 after, $3 how many. A page by key, whatever lies behind it.
SELECT symbol FROM {{tickers}}
 WHERE is_active AND starts_with(symbol, $1) AND symbol > $2 ORDER BY symbol LIMIT $3;

-- @name market_symbols_count @pg 13-18
SELECT count(*) FROM {{tickers}} WHERE is_active AND starts_with(symbol, $1);

-- @name latest_prices @pg 13-18
-- $1 text[] symbols. One index probe per symbol; symbols without a bar do not come back.
SELECT t.symbol, l.close, l."timestamp"
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT m.close, m."timestamp" FROM {{market_data}} m
                      WHERE m.ticker_id = t.id ORDER BY m."timestamp" DESC LIMIT 1) l
 WHERE t.symbol = ANY ($1::text[]);

-- @name price_changes @pg 13-18
-- $1 text[] symbols, $2 when the current session opened, $3 as-of, $4 when the session's day began. Against the last
-- bar before the open, which is the previous close, or the daily close of the week before where minutes are missing; a
-- symbol that has not traded since the open has no change.
SELECT t.symbol, l.close AS last, l."timestamp", coalesce(p.close, d.close) AS previous_close
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT m.close, m."timestamp" FROM {{market_data}} m
                      WHERE m.ticker_id = t.id AND m."timestamp" <= $3 ORDER BY m."timestamp" DESC LIMIT 1) l
  LEFT JOIN LATERAL (SELECT m.close FROM {{market_data}} m
                      WHERE m.ticker_id = t.id AND m."timestamp" < $2 AND l."timestamp" >= $2
                      ORDER BY m."timestamp" DESC LIMIT 1) p ON true
  LEFT JOIN LATERAL (SELECT k.close FROM {{price_ticks}} k
                      WHERE k.symbol = t.symbol AND k.timeframe = '1Day' AND p.close IS NULL AND l."timestamp" >= $2
                        AND k."timestamp" < $4::timestamptz AND k."timestamp" >= $4::timestamptz - interval '7 days'
                      ORDER BY k."timestamp" DESC LIMIT 1) d ON true
 WHERE t.symbol = ANY ($1::text[]);

-- @name movers @pg 13-18
-- $1 text the symbol begins with, $2 open, $3 as-of, $4 the day's begin, $5 1 for gainers first, -1 for losers first,
-- $6 how many.
SELECT t.symbol
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT m.close, m."timestamp" FROM {{market_data}} m
                      WHERE m.ticker_id = t.id AND m."timestamp" <= $3 ORDER BY m."timestamp" DESC LIMIT 1) l
  LEFT JOIN LATERAL (SELECT m.close FROM {{market_data}} m
                      WHERE m.ticker_id = t.id AND m."timestamp" < $2 AND l."timestamp" >= $2
                      ORDER BY m."timestamp" DESC LIMIT 1) p ON true
  LEFT JOIN LATERAL (SELECT k.close FROM {{price_ticks}} k
                      WHERE k.symbol = t.symbol AND k.timeframe = '1Day' AND p.close IS NULL AND l."timestamp" >= $2
                        AND k."timestamp" < $4::timestamptz AND k."timestamp" >= $4::timestamptz - interval '7 days'
                      ORDER BY k."timestamp" DESC LIMIT 1) d ON true
 WHERE t.is_active AND starts_with(t.symbol, $1) AND coalesce(p.close, d.close) > 0
 ORDER BY $5::int * (l.close / coalesce(p.close, d.close) - 1) DESC, t.symbol LIMIT $6;

-- @name recent_closes @pg 13-18
-- $1 text[] symbols, $2 how many closes each: the trend of a watch list, oldest first.
SELECT t.symbol, c.closes
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT array_agg(z.close ORDER BY z."timestamp") AS closes
                       FROM (SELECT m.close::float8 AS close, m."timestamp" FROM {{market_data}} m
                              WHERE m.ticker_id = t.id ORDER BY m."timestamp" DESC LIMIT $2) z) c
 WHERE t.symbol = ANY ($1::text[]) AND c.closes IS NOT NULL;

-- @name ohlcv_last @pg 13-18
-- $1 symbol, $2 how many. The id comes from a scalar subselect: a join hides from the planner that one ticker matches.
SELECT "timestamp", open, high, low, close, volume
  FROM {{market_data}}
 WHERE ticker_id = (SELECT id FROM {{tickers}} WHERE symbol = $1)
 ORDER BY "timestamp" DESC LIMIT $2;

-- @name ohlcv_buckets @pg 13-18
-- $1 symbol, $2 how many minute bars to read, $3 seconds a bucket, $4 how many buckets. Only the oldest may be cut.
SELECT to_timestamp(floor(extract(epoch FROM z."timestamp") / $3::int) * $3::int) AS "timestamp",
       (array_agg(z.open ORDER BY z."timestamp"))[1] AS open, max(z.high) AS high, min(z.low) AS low,
       (array_agg(z.close ORDER BY z."timestamp" DESC))[1] AS close, sum(z.volume) AS volume
  FROM (SELECT "timestamp", open, high, low, close, volume FROM {{market_data}}
         WHERE ticker_id = (SELECT id FROM {{tickers}} WHERE symbol = $1)
         ORDER BY "timestamp" DESC LIMIT $2) z
 GROUP BY 1 ORDER BY 1 DESC LIMIT $4;

-- @name ohlcv_days @pg 13-18
-- $1 symbol, $2 how many: days as the provider made them.
SELECT "timestamp", open, high, low, close, volume
  FROM {{price_ticks}} k WHERE symbol = $1 AND timeframe = '1Day' ORDER BY "timestamp" DESC LIMIT $2;

-- @name order_book @pg 13-18
-- $1 symbol, $2 levels a side. The platform's own resting orders; both predicates exactly as in the partial index.
(SELECT 'bid' AS side, price, sum(quantity - filled_quantity) AS quantity, count(*) AS orders
   FROM execution_engine_order
  WHERE ticker_id = (SELECT id FROM {{tickers}} WHERE symbol = $1) AND side = 'BUY'
    AND status IN ('PENDING', 'PARTIALLY_FILLED') AND order_type = 'LIMIT'
  GROUP BY price ORDER BY price DESC LIMIT $2)
UNION ALL
(SELECT 'ask', price, sum(quantity - filled_quantity), count(*)
   FROM execution_engine_order
  WHERE ticker_id = (SELECT id FROM {{tickers}} WHERE symbol = $1) AND side = 'SELL'
    AND status IN ('PENDING', 'PARTIALLY_FILLED') AND order_type = 'LIMIT'
  GROUP BY price ORDER BY price ASC LIMIT $2);

-- @name fills_of_symbol @pg 13-18
-- $1 symbol. Every fill, by owner, in the order of execution: average cost depends on it.
SELECT o.created_by_id AS owner, o.side, e.quantity, e.price
  FROM execution_engine_order o JOIN execution_engine_execution e ON e.order_id = o.id
 WHERE o.ticker_id = (SELECT id FROM {{tickers}} WHERE symbol = $1) AND o.filled_quantity > 0
 ORDER BY o.created_by_id, e.executed_at, e.id;

-- @name fills_of_user @pg 13-18
-- $1 user id.
SELECT t.symbol AS owner, o.side, e.quantity, e.price
  FROM execution_engine_order o JOIN execution_engine_execution e ON e.order_id = o.id
  JOIN {{tickers}} t ON t.id = o.ticker_id
 WHERE o.created_by_id = $1 AND o.filled_quantity > 0
 ORDER BY o.ticker_id, e.executed_at, e.id;

-- @name user_names @pg 13-18
SELECT id, username FROM auth_user WHERE id = ANY ($1::bigint[]);

-- @name volume_by_hour @pg 13-13
-- $1 from, $2 to. UTC hours of every symbol; the price is weighted by volume.
SELECT x.hour, t.symbol, x.volume, x.bars, x.vwap
  FROM (SELECT date_trunc('hour', "timestamp", 'UTC') AS hour, ticker_id, sum(volume) AS volume, count(*) AS bars,
               sum((high + low + close) / 3 * volume) / nullif(sum(volume), 0) AS vwap
          FROM {{market_data}} WHERE "timestamp" >= $1 AND "timestamp" < $2 GROUP BY 1, 2) x
  JOIN {{tickers}} t ON t.id = x.ticker_id ORDER BY x.hour DESC, x.volume DESC, t.symbol;

-- @name volume_by_hour @pg 14-18
SELECT x.hour, t.symbol, x.volume, x.bars, x.vwap
  FROM (SELECT date_bin('1 hour', "timestamp", '2000-01-01 00:00+00') AS hour, ticker_id, sum(volume) AS volume,
               count(*) AS bars, sum((high + low + close) / 3 * volume) / nullif(sum(volume), 0) AS vwap
          FROM {{market_data}} WHERE "timestamp" >= $1 AND "timestamp" < $2 GROUP BY 1, 2) x
  JOIN {{tickers}} t ON t.id = x.ticker_id ORDER BY x.hour DESC, x.volume DESC, t.symbol;

-- @name volume_by_hour_of @pg 13-18
-- $1 from, $2 to, $3 symbol. One symbol, through its key.
SELECT date_trunc('hour', "timestamp", 'UTC') AS hour, $3::text AS symbol, sum(volume) AS volume, count(*) AS bars,
       sum((high + low + close) / 3 * volume) / nullif(sum(volume), 0) AS vwap
  FROM {{market_data}}
 WHERE ticker_id = (SELECT id FROM {{tickers}} WHERE symbol = $3::text) AND "timestamp" >= $1 AND "timestamp" < $2
 GROUP BY 1 ORDER BY 1 DESC;

-- @name volatility @pg 13-18
-- $1 symbol, $2 opens and $3 closes of the sessions, $4 sessions a year. Log returns of the days' closes (the last
-- minute's where a day has no daily bar), sample deviation, annualised with the instrument's own year; nothing is said
-- under ten returns.
WITH s AS (SELECT * FROM unnest($2::timestamptz[], $3::timestamptz[]) AS s (open_at, close_at)),
d AS (SELECT s.open_at, coalesce(k.close, l.close) AS close FROM s
        LEFT JOIN LATERAL (SELECT k.close FROM {{price_ticks}} k
                            WHERE k.symbol = $1 AND k.timeframe = '1Day' AND k."timestamp" < s.close_at
                              AND k."timestamp" >= s.open_at - interval '12 hours' AND k.close > 0
                            ORDER BY k."timestamp" DESC LIMIT 1) k ON true
        LEFT JOIN LATERAL (SELECT m.close FROM {{market_data}} m
                            WHERE m.ticker_id = (SELECT id FROM {{tickers}} WHERE symbol = $1) AND k.close IS NULL
                              AND m."timestamp" >= s.open_at AND m."timestamp" < s.close_at AND m.close > 0
                            ORDER BY m."timestamp" DESC LIMIT 1) l ON true),
r AS (SELECT ln(close / lag(close) OVER (ORDER BY open_at))::float8 AS r FROM d WHERE close IS NOT NULL)
SELECT CASE WHEN count(r) >= 10 THEN stddev_samp(r) * sqrt($4::float8) END AS volatility,
       CASE WHEN count(r) >= 10 THEN avg(r) * $4::float8 END AS log_return,
       exp(min(r)) - 1 AS worst, exp(max(r)) - 1 AS best, count(r) AS returns FROM r;
