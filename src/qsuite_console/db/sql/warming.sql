-- What cache warming reads: one statement a family, over the keys of its tables. {{tickers}}, {{market_data}} and
-- {{price_ticks}} are the configured tables.

-- @name warm_prices @pg 13-18
-- $1 text[] symbols, NULL for every active one: one index probe per symbol.
SELECT t.symbol, l.close, l."timestamp"
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT m.close, m."timestamp" FROM {{market_data}} m
                      WHERE m.ticker_id = t.id ORDER BY m."timestamp" DESC LIMIT 1) l
 WHERE CASE WHEN $1::text[] IS NULL THEN t.is_active ELSE t.symbol = ANY ($1::text[]) END;

-- @name warm_market_data @pg 13-18
-- $1 text[] symbols or NULL, $2 when the current session opened, $3 how many of the most traded, NULL for all. What a
-- symbol trades is the volume of its last 390 minutes.
SELECT t.symbol, l."timestamp", l.open, l.high, l.low, l.close, l.volume, p.close AS previous_close
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT m."timestamp", m.open, m.high, m.low, m.close, m.volume FROM {{market_data}} m
                      WHERE m.ticker_id = t.id ORDER BY m."timestamp" DESC LIMIT 1) l
  LEFT JOIN LATERAL (SELECT m.close FROM {{market_data}} m
                      WHERE m.ticker_id = t.id AND m."timestamp" < $2 AND l."timestamp" >= $2
                      ORDER BY m."timestamp" DESC LIMIT 1) p ON true
  LEFT JOIN LATERAL (SELECT sum(z.volume) AS volume
                       FROM (SELECT m.volume FROM {{market_data}} m WHERE m.ticker_id = t.id AND $3::int IS NOT NULL
                              ORDER BY m."timestamp" DESC LIMIT 390) z) v ON true
 WHERE CASE WHEN $1::text[] IS NULL THEN t.is_active ELSE t.symbol = ANY ($1::text[]) END
 ORDER BY v.volume DESC NULLS LAST, t.symbol LIMIT $3;

-- @name warm_order_books @pg 13-18
-- $1 text[] symbols or NULL, $2 levels a side. Both predicates exactly as in the partial index; symbols without a
-- resting order do not come back.
SELECT t.symbol, b.side, b.price, b.quantity, b.orders
  FROM {{tickers}} t
 CROSS JOIN LATERAL (
   (SELECT 'bid' AS side, price, sum(quantity - filled_quantity) AS quantity, count(*) AS orders
      FROM execution_engine_order
     WHERE ticker_id = t.id AND side = 'BUY'
       AND status IN ('PENDING', 'PARTIALLY_FILLED') AND order_type = 'LIMIT'
     GROUP BY price ORDER BY price DESC LIMIT $2)
   UNION ALL
   (SELECT 'ask', price, sum(quantity - filled_quantity), count(*)
      FROM execution_engine_order
     WHERE ticker_id = t.id AND side = 'SELL'
       AND status IN ('PENDING', 'PARTIALLY_FILLED') AND order_type = 'LIMIT'
     GROUP BY price ORDER BY price ASC LIMIT $2)) b
 WHERE CASE WHEN $1::text[] IS NULL THEN t.is_active ELSE t.symbol = ANY ($1::text[]) END
 ORDER BY t.symbol, b.side;

-- @name warm_users @pg 13-18
-- $1 since. Users who ordered or logged in since then.
SELECT id FROM auth_user u
 WHERE u.last_login >= $1
    OR EXISTS (SELECT 1 FROM execution_engine_order o WHERE o.created_by_id = u.id AND o.created_at >= $1)
 ORDER BY id;

-- @name warm_newest_fill @pg 13-18
SELECT coalesce(max(id), 0) FROM execution_engine_execution;

-- @name warm_users_with_fills @pg 13-18
-- $1 execution id, $2 execution id. Users whose positions changed by the executions in ($1, $2].
SELECT DISTINCT o.created_by_id AS id
  FROM execution_engine_execution e JOIN execution_engine_order o ON o.id = e.order_id
 WHERE e.id > $1 AND e.id <= $2;

-- @name warm_fills @pg 13-18
-- $1 bigint[] users. Every fill in the order of execution: average cost depends on it.
SELECT o.created_by_id AS owner, t.symbol, o.side, e.quantity, e.price
  FROM execution_engine_order o JOIN execution_engine_execution e ON e.order_id = o.id
  JOIN {{tickers}} t ON t.id = o.ticker_id
 WHERE o.created_by_id = ANY ($1::bigint[]) AND o.filled_quantity > 0
 ORDER BY o.created_by_id, o.ticker_id, e.executed_at, e.id;

-- @name warm_expected_prices @pg 13-18
-- $1 how many at most. The symbols whose price can be warmed: one probe of the bars' key for each.
SELECT t.symbol FROM {{tickers}} t
 WHERE t.is_active AND EXISTS (SELECT 1 FROM {{market_data}} m WHERE m.ticker_id = t.id)
 ORDER BY t.symbol LIMIT $1;

-- @name warm_expected_books @pg 13-18
-- $1 how many at most. The symbols with a resting order; the predicate exactly as in the partial index.
SELECT t.symbol FROM {{tickers}} t
 WHERE t.is_active AND EXISTS (SELECT 1 FROM execution_engine_order o
                                WHERE o.ticker_id = t.id AND o.status IN ('PENDING', 'PARTIALLY_FILLED')
                                  AND o.order_type = 'LIMIT')
 ORDER BY t.symbol LIMIT $1;
