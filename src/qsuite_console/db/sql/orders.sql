-- Paper execution. {{tickers}} and {{market_data}} are the configured tables; tries of orders that found no price are
-- kept in the console's own schema.

-- @name order_tries @pg 13-18
CREATE TABLE IF NOT EXISTS qsuite_console.order_tries (
    order_id bigint      PRIMARY KEY,
    tries    integer     NOT NULL,
    next_at  timestamptz NOT NULL,
    reason   text        NOT NULL
);

-- @name orders_claim @pg 13-18
-- $1 above this id, $2 how many, $3 now, $4 order types, $5 also those never tried. One pass over the key; orders that
-- another worker holds are left to it.
SELECT o.id, t.symbol, o.side, o.order_type, o.quantity, o.filled_quantity, o.avg_fill_price,
       CASE WHEN o.order_type <> 'MARKET' THEN o.price END AS price, o.created_at, coalesce(r.tries, 0) AS tries
  FROM execution_engine_order o
  JOIN {{tickers}} t ON t.id = o.ticker_id
  LEFT JOIN qsuite_console.order_tries r ON r.order_id = o.id
 WHERE o.id > $1 AND o.status IN ('PENDING', 'PARTIALLY_FILLED') AND o.order_type = ANY ($4::text[])
   AND o.quantity > o.filled_quantity AND (r.next_at <= $3 OR $5 AND r.next_at IS NULL)
 ORDER BY o.id LIMIT $2 FOR UPDATE OF o SKIP LOCKED;

-- @name orders_due @pg 13-18
-- $1 order types. When the first of the orders that wait for a price is tried again, NULL where none waits.
SELECT min(r.next_at) FROM qsuite_console.order_tries r JOIN execution_engine_order o ON o.id = r.order_id
 WHERE o.status IN ('PENDING', 'PARTIALLY_FILLED') AND o.order_type = ANY ($1::text[]);

-- @name orders_prices @pg 13-18
-- $1 text[] symbols. The newest close of each.
SELECT t.symbol, l.close, l."timestamp"
  FROM {{tickers}} t
 CROSS JOIN LATERAL (SELECT m.close, m."timestamp" FROM {{market_data}} m
                      WHERE m.ticker_id = t.id ORDER BY m."timestamp" DESC LIMIT 1) l
 WHERE t.symbol = ANY ($1::text[]);

-- @name orders_execute @pg 13-18
-- $1 order ids, $2 quantities, $3 prices, $4 commissions, $5 when, all of one length but the last.
INSERT INTO execution_engine_execution (order_id, quantity, price, commission, executed_at)
SELECT f.id, f.quantity, f.price, f.commission, $5
  FROM unnest($1::bigint[], $2::numeric[], $3::numeric[], $4::numeric[]) AS f (id, quantity, price, commission);

-- @name orders_filled @pg 13-18
-- $1 order ids, $2 average fill prices, $3 when.
UPDATE execution_engine_order o
   SET status = 'FILLED', filled_quantity = o.quantity, avg_fill_price = f.average, updated_at = $3
  FROM unnest($1::bigint[], $2::numeric[]) AS f (id, average) WHERE o.id = f.id;

-- @name orders_put_off @pg 13-18
-- $1 order ids, $2 tries so far, $3 when to try next, $4 why.
INSERT INTO qsuite_console.order_tries AS r (order_id, tries, next_at, reason)
SELECT p.id, p.tries, p.next_at, $4 FROM unnest($1::bigint[], $2::int[], $3::timestamptz[]) AS p (id, tries, next_at)
    ON CONFLICT (order_id) DO UPDATE SET tries = excluded.tries, next_at = excluded.next_at, reason = excluded.reason;

-- @name orders_rejected @pg 13-18
-- $1 order ids, $2 when.
UPDATE execution_engine_order SET status = 'REJECTED', updated_at = $2 WHERE id = ANY ($1::bigint[]);

-- @name orders_forget_tries @pg 13-18
DELETE FROM qsuite_console.order_tries WHERE order_id = ANY ($1::bigint[]);
