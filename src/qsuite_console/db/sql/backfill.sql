-- Questions and changes of the backfill. {{table}} is the table of bars, {{of_symbol}} the rows of s.symbol with
-- timeframe $1, {{ledger}} what was fetched, {{tickers}} the instruments; db/bars.py fills them with quoted names.

-- @name bar_table_columns @pg 13-18
SELECT a.attname::text AS name,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '' AS needs_value,
       c.relkind = 'p' AS is_partitioned,
       a.atthasdef AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) AS is_defaulted_text,
       CASE WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 0
            WHEN a.atttypid = 'numeric'::regtype AND a.atttypmod >= 4
            THEN (((a.atttypmod - 4) & 2047) # 1024) - 1024 END AS scale
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f')
 ORDER BY a.attnum;

-- @name bar_table_keys @pg 13-18
SELECT array_agg(a.attname::text) AS columns
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
 GROUP BY i.indexrelid;

-- @name ticker_ids @pg 13-18
SELECT symbol::text AS symbol, id FROM {{tickers}} WHERE symbol = ANY ($1::text[]);

-- @name ticker_has_class @pg 13-18
SELECT EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = to_regclass($1) AND attname = 'asset_class' AND NOT attisdropped);

-- @name ticker_add @pg 13-18
INSERT INTO {{tickers}} (symbol) SELECT unnest($1::text[]) ON CONFLICT (symbol) DO NOTHING;

-- @name ticker_add_classed @pg 13-18
INSERT INTO {{tickers}} (symbol, asset_class)
SELECT s, CASE WHEN s LIKE '%/%' THEN 'crypto' ELSE 'us_equity' END FROM unnest($1::text[]) s
    ON CONFLICT (symbol) DO NOTHING;

-- @name ticker_symbols @pg 13-18
-- Crypto pairs or ($1 false) everything else; a platform's table may have no asset_class, then a pair has a slash.
SELECT t.symbol::text AS symbol FROM {{tickers}} t
 WHERE $1 = (coalesce(to_jsonb(t) ->> 'asset_class', CASE WHEN t.symbol LIKE '%/%' THEN 'crypto' END, '') = 'crypto')
 ORDER BY t.symbol;

-- @name ticker_symbols_active @pg 13-18
SELECT t.symbol::text AS symbol FROM {{tickers}} t
 WHERE t.is_active
   AND $1 = (coalesce(to_jsonb(t) ->> 'asset_class', CASE WHEN t.symbol LIKE '%/%' THEN 'crypto' END, '') = 'crypto')
 ORDER BY t.symbol;

-- @name symbols_page @pg 13-18
SELECT symbol::text AS symbol FROM {{tickers}}
 WHERE symbol > $1 AND starts_with(symbol::text, $2) ORDER BY symbol LIMIT $3;

-- @name symbols_total @pg 13-18
SELECT count(*) FROM {{tickers}} WHERE starts_with(symbol::text, $1);

-- @name ledger_symbols_page @pg 13-18
SELECT DISTINCT symbol FROM {{ledger}} WHERE symbol > $1 AND starts_with(symbol, $2) ORDER BY symbol LIMIT $3;

-- @name ledger_symbols_total @pg 13-18
SELECT count(DISTINCT symbol) FROM {{ledger}} WHERE starts_with(symbol, $1);

-- @name bars_by_window @pg 13-18
-- Which (symbol, window) pairs hold a row at all: one probe of the key each. Written as EXISTS it becomes a semi-join
-- over the whole table; LIMIT 1 keeps it a probe.
SELECT s.symbol, s.number FROM unnest($2::text[], $3::int[], $4::timestamptz[], $5::timestamptz[]) AS s (symbol, number, low, high)
 CROSS JOIN LATERAL (SELECT FROM {{table}} b
                      WHERE {{of_symbol}} AND b."timestamp" >= s.low AND b."timestamp" < s.high LIMIT 1) x;

-- @name bars_count @pg 13-18
SELECT s.symbol, x.bars FROM unnest($2::text[]) AS s (symbol)
 CROSS JOIN LATERAL (SELECT count(*) AS bars FROM {{table}} b
                      WHERE {{of_symbol}} AND b."timestamp" >= $3 AND b."timestamp" < $4) x;

-- @name bars_exist @pg 13-18
-- A probe of the key per symbol; see bars_by_window.
SELECT s.symbol FROM unnest($2::text[]) AS s (symbol)
 CROSS JOIN LATERAL (SELECT FROM {{table}} b
                      WHERE {{of_symbol}} AND b."timestamp" >= $3 AND b."timestamp" < $4 LIMIT 1) x;

-- @name bars_times @pg 13-18
SELECT s.symbol, x.times FROM unnest($2::text[]) AS s (symbol)
 CROSS JOIN LATERAL (SELECT array_agg(b."timestamp") AS times FROM {{table}} b
                      WHERE {{of_symbol}} AND b."timestamp" >= $3 AND b."timestamp" < $4) x;

-- @name bars_in_windows @pg 13-18
SELECT w.low, x.bars FROM (SELECT $2::text AS symbol) s
 CROSS JOIN unnest($3::timestamptz[], $4::timestamptz[]) AS w (low, high)
 CROSS JOIN LATERAL (SELECT count(*) AS bars FROM {{table}} b
                      WHERE {{of_symbol}} AND b."timestamp" >= w.low AND b."timestamp" < w.high) x;

-- @name ledger_read @pg 13-18
SELECT l.symbol, lower(l.period) AS low, upper(l.period) AS high, l.bars, l.fetched_at
  FROM {{ledger}} l
 WHERE l.timeframe = $1 AND l.symbol = ANY ($2::text[]) AND l.period && tstzrange($3, $4)
 ORDER BY l.symbol, lower(l.period);

-- @name ledger_extend @pg 13-18
-- Adds what a page covered. Neighbours are merged; where it overlaps what was fetched before, the rows are counted
-- anew, since bars fetched twice are stored once. $1 timeframe of the rows, $6 the ledger's name of it.
WITH page AS MATERIALIZED (
    SELECT p.symbol, tstzrange(p.low, p.high) AS period, p.bars
      FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[]) AS p (symbol, low, high, bars)
), gone AS (
    DELETE FROM {{ledger}} l USING page p
     WHERE l.timeframe = $6 AND l.symbol = p.symbol AND (l.period && p.period OR l.period -|- p.period)
    RETURNING l.symbol, l.period, l.bars, l.period && p.period AS overlaps
), s AS (
    SELECT p.symbol, least(lower(p.period), min(lower(g.period))) AS low,
           greatest(upper(p.period), max(upper(g.period))) AS high,
           p.bars + coalesce(sum(g.bars), 0) AS bars, coalesce(bool_or(g.overlaps), false) AS overlaps
      FROM page p LEFT JOIN gone g ON g.symbol = p.symbol GROUP BY p.symbol, p.period, p.bars
)
INSERT INTO {{ledger}} (symbol, timeframe, period, bars, fetched_at)
SELECT s.symbol, $6, tstzrange(s.low, s.high),
       CASE WHEN s.overlaps THEN (SELECT count(*) FROM {{table}} b
                                   WHERE {{of_symbol}} AND b."timestamp" >= s.low AND b."timestamp" < s.high)
            ELSE s.bars END, now()
  FROM s;

-- @name ledger_extend_loosely @pg 13-18
-- As ledger_extend for rows of files, which may be read again and in any order: nothing is counted anew. Where periods
-- overlap the larger number stays, so an entry's bars are the least that must be there.
WITH page AS MATERIALIZED (
    SELECT p.symbol, tstzrange(p.low, p.high) AS period, p.bars
      FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::bigint[]) AS p (symbol, low, high, bars)
), gone AS (
    DELETE FROM {{ledger}} l USING page p
     WHERE l.timeframe = $6 AND l.symbol = p.symbol AND (l.period && p.period OR l.period -|- p.period)
       AND $1::text IS NOT NULL
    RETURNING l.symbol, l.period, l.bars, l.period && p.period AS overlaps
)
INSERT INTO {{ledger}} (symbol, timeframe, period, bars, fetched_at)
SELECT p.symbol, $6, tstzrange(least(lower(p.period), min(lower(g.period))),
                               greatest(upper(p.period), max(upper(g.period)))),
       greatest(p.bars, coalesce(sum(g.bars) FILTER (WHERE g.overlaps), 0))
       + coalesce(sum(g.bars) FILTER (WHERE NOT g.overlaps), 0), now()
  FROM page p LEFT JOIN gone g ON g.symbol = p.symbol GROUP BY p.symbol, p.period, p.bars;

-- @name ledger_add_counted @pg 13-18
-- Periods of one symbol with the rows that are there now. $1 timeframe of the rows, $5 when they were fetched, $6 the
-- ledger's name of the timeframe.
INSERT INTO {{ledger}} (symbol, timeframe, period, bars, fetched_at)
SELECT s.symbol, $6, tstzrange(s.low, s.high),
       (SELECT count(*) FROM {{table}} b WHERE {{of_symbol}} AND b."timestamp" >= s.low AND b."timestamp" < s.high), $5
  FROM (SELECT $2::text AS symbol, p.low, p.high FROM unnest($3::timestamptz[], $4::timestamptz[]) AS p (low, high)) s;

-- @name ledger_forget @pg 13-18
-- Rows under another adjustment or feed were overwritten: what was known about them no longer holds.
DELETE FROM {{ledger}} l USING unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) AS p (symbol, low, high)
 WHERE l.timeframe = ANY ($1::text[]) AND l.symbol = p.symbol AND l.period && tstzrange(p.low, p.high);

-- @name ledger_names @pg 13-18
SELECT DISTINCT l.timeframe FROM {{ledger}} l WHERE l.timeframe = $1 OR l.timeframe LIKE $1 || '|%';

-- @name ledger_deficits @pg 13-18
-- Periods of the ledger that hold fewer rows than were fetched. $1 timeframe, $2 symbols, $3 and $4 range, $5 ledger name.
SELECT s.symbol, s.low, s.high, s.bars AS fetched, x.present, s.fetched_at
  FROM (SELECT l.symbol, lower(l.period) AS low, upper(l.period) AS high, l.bars, l.fetched_at FROM {{ledger}} l
         WHERE l.timeframe = $5 AND l.symbol = ANY ($2::text[]) AND l.period && tstzrange($3, $4)) s
 CROSS JOIN LATERAL (SELECT count(*) AS present FROM {{table}} b
                      WHERE {{of_symbol}} AND b."timestamp" >= s.low AND b."timestamp" < s.high) x
 WHERE x.present < s.bars;

-- @name calendar_read @pg 13-18
SELECT session_date, open_at, close_at, early_close FROM {{calendar}}
 WHERE exchange = $1 AND session_date BETWEEN $2 AND $3 ORDER BY session_date;

-- @name calendar_write @pg 13-18
INSERT INTO {{calendar}} AS c (exchange, session_date, open_at, close_at, early_close)
SELECT $1, d.* FROM unnest($2::date[], $3::timestamptz[], $4::timestamptz[], $5::boolean[]) AS d
    ON CONFLICT (exchange, session_date) DO UPDATE
   SET open_at = excluded.open_at, close_at = excluded.close_at, early_close = excluded.early_close
 WHERE (c.open_at, c.close_at, c.early_close) IS DISTINCT FROM (excluded.open_at, excluded.close_at, excluded.early_close);

-- @name advisory_holder @pg 13-18
SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'local') AS client
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND ((l.classid::bigint << 32) | l.objid::bigint) = $1
 LIMIT 1;

-- @name partition_bounds @pg 13-18
-- Ranges of the partitions of $1; the default one has none and is left out.
SELECT b.bounds[1]::timestamptz AS low, b.bounds[2]::timestamptz AS high
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 CROSS JOIN LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bounds) b
 WHERE i.inhparent = to_regclass($1) AND b.bounds IS NOT NULL;

-- @name chains_read @pg 13-18
SELECT chain, symbols, low, high, page_token, pages, bars, is_straight FROM qsuite_console.backfill_chain
 WHERE plan = $1 ORDER BY chain;

-- @name chain_write @pg 13-18
INSERT INTO qsuite_console.backfill_chain AS c (plan, chain, symbols, low, high, page_token, pages, bars, is_straight, job_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (plan, chain) DO UPDATE
   SET symbols = excluded.symbols, low = excluded.low, high = excluded.high, is_straight = excluded.is_straight,
       page_token = excluded.page_token, pages = excluded.pages, bars = excluded.bars, job_id = excluded.job_id,
       updated_at = now();

-- @name chain_forget @pg 13-18
DELETE FROM qsuite_console.backfill_chain WHERE plan = $1 AND chain = $2;

-- @name chains_prune @pg 13-18
DELETE FROM qsuite_console.backfill_chain WHERE updated_at < now() - interval '14 days';

-- @name quarantine_write @pg 13-18
INSERT INTO qsuite_console.quarantine (job_id, table_name, timeframe, symbol, "timestamp", reason, raw, digest)
SELECT $1, $2, $3, q.symbol, q.at, q.reason, q.raw, q.digest
  FROM unnest($4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[]) AS q (symbol, at, reason, raw, digest)
    ON CONFLICT (digest) DO NOTHING;

-- @name console_tables @pg 13-18
CREATE TABLE IF NOT EXISTS qsuite_console.backfill_chain (
    plan        text        NOT NULL,
    chain       text        NOT NULL,
    symbols     text[]      NOT NULL,
    low         timestamptz NOT NULL,
    high        timestamptz NOT NULL,
    page_token  text        NOT NULL,
    pages       integer     NOT NULL,
    bars        bigint      NOT NULL,
    is_straight boolean     NOT NULL,
    job_id      bigint,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (plan, chain)
);
CREATE TABLE IF NOT EXISTS qsuite_console.quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id      bigint,
    table_name  text        NOT NULL,
    timeframe   text        NOT NULL,
    symbol      text        NOT NULL,
    "timestamp" timestamptz,
    reason      text        NOT NULL,
    raw         text        NOT NULL,
    digest      text        NOT NULL UNIQUE,
    found_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {{ledger}} (
    symbol      text        NOT NULL,
    timeframe   text        NOT NULL,
    period      tstzrange   NOT NULL,
    bars        integer     NOT NULL DEFAULT 0,
    fetched_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (symbol, timeframe, period)
);
