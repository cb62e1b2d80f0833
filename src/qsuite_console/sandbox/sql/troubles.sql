-- What an operator should find in a sandbox: a table that nobody vacuums, indexes that are redundant, unused and broken, a
-- foreign key without an index, a sequence near its end. Each statement stands alone; the last one is meant to fail.

-- @step audit
CREATE TABLE legacy_audit (
    id       smallserial PRIMARY KEY,
    order_id bigint      NOT NULL REFERENCES execution_engine_order (id),
    action   text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    detail   text
) WITH (autovacuum_enabled = false)

-- @step audited
INSERT INTO legacy_audit (order_id, action, detail)
SELECT o.id, CASE n % 3 WHEN 0 THEN 'placed' WHEN 1 THEN 'filled' ELSE 'checked' END, repeat('audit of the old system; ', 4)
  FROM generate_series(1, 15000) n
  JOIN LATERAL (SELECT id FROM execution_engine_order WHERE id >= 1 + n % 1000 ORDER BY id LIMIT 1) o ON true

-- @step corrected
UPDATE legacy_audit SET detail = 'corrected: ' || detail

-- @step near the end
SELECT setval('legacy_audit_id_seq', 31200)

-- @step redundant
CREATE INDEX execution_engine_order_user_old ON execution_engine_order (created_by_id)

-- @step unused
CREATE INDEX legacy_audit_at ON legacy_audit (at)

-- @step broken
CREATE UNIQUE INDEX CONCURRENTLY legacy_audit_once ON legacy_audit (action)
