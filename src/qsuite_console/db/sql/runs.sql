-- The shared run table: what a console has handed to other processes and what they say of it. {{runs}} and {{lines}}
-- are the quoted names of the table and of its log, {{runs.name}} a part for the names of indexes. Every change of a
-- run names its token: one that was replaced or given up changes nothing. Leases are judged by the server's clock.

-- @name runs_version @pg 13-18
-- $1 the table. NULL where there is none, "" where it is not ours, else "qsuite-console runs 1".
SELECT CASE WHEN to_regclass($1) IS NOT NULL THEN coalesce(obj_description(to_regclass($1), 'pg_class'), '') END;

-- @name runs_schema_missing @pg 13-18
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1);

-- @name runs_migration_1 @pg 13-18
CREATE TABLE {{runs}} (
    run_id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token            text        NOT NULL UNIQUE,
    home             text        NOT NULL,
    job_id           bigint      NOT NULL,
    attempt          integer     NOT NULL,
    correlation_id   text        NOT NULL,
    execution        text        NOT NULL CHECK (execution IN ('nodes', 'celery')),
    queue            text        NOT NULL,
    priority         smallint    NOT NULL,
    kind             text        NOT NULL,
    title            text        NOT NULL,
    parameters       json        NOT NULL,
    job              json        NOT NULL,
    rescues          integer     NOT NULL DEFAULT 0,
    state            text        NOT NULL DEFAULT 'handed_off'
                     CHECK (state IN ('handed_off', 'running', 'ended', 'lost', 'withdrawn')),
    owner            text        NOT NULL DEFAULT '',
    enqueued_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at          timestamptz,
    sends            integer     NOT NULL DEFAULT 0,
    claimed_at       timestamptz,
    heartbeat_at     timestamptz,
    lease_until      timestamptz,
    finished_at      timestamptz,
    collected_at     timestamptz,
    cancel_requested boolean     NOT NULL DEFAULT false,
    pause_requested  boolean     NOT NULL DEFAULT false,
    changes          bigint      NOT NULL DEFAULT 0,
    saves            integer     NOT NULL DEFAULT 0,
    lines            integer     NOT NULL DEFAULT 0,
    heard            integer     NOT NULL DEFAULT 0,
    progress         json,
    checkpoint       json,
    outcome          text,
    ending           json,
    UNIQUE (home, job_id, correlation_id, attempt)
) WITH (fillfactor = 70);
CREATE INDEX "{{runs.name}}_waiting" ON {{runs}} (execution, queue, priority DESC, run_id) WHERE state = 'handed_off';
CREATE INDEX "{{runs.name}}_finished" ON {{runs}} (finished_at);
CREATE TABLE {{lines}} (
    run_id  bigint      NOT NULL REFERENCES {{runs}} ON DELETE CASCADE,
    number  integer     NOT NULL,
    at      timestamptz NOT NULL,
    level   text        NOT NULL,
    message text        NOT NULL,
    PRIMARY KEY (run_id, number)
);
COMMENT ON TABLE {{runs}} IS 'qsuite-console runs 1';

-- @part runs_columns @pg 13-18
       r.run_id, r.token, r.execution, r.state, r.owner, r.attempt, r.rescues, r.home, r.queue, r.job::text AS job,
       r.checkpoint::text AS checkpoint, r.collected_at, r.outcome, r.heard, r.lease_until < clock_timestamp() AS is_late

-- @name runs_last @pg 13-18
-- $1 home, $2 job, $3 correlation. The newest run of a job, held until the end of the transaction.
SELECT
-- @use runs_columns
  FROM {{runs}} r WHERE r.home = $1 AND r.job_id = $2 AND r.correlation_id = $3
 ORDER BY r.run_id DESC LIMIT 1 FOR UPDATE;

-- @name runs_put @pg 13-18
INSERT INTO {{runs}} AS r (token, home, job_id, attempt, correlation_id, execution, queue, priority, kind, title,
                           parameters, job, rescues, checkpoint, sent_at, sends)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::json, $12::text::json, $13, $14::text::json,
        CASE WHEN $6 = 'celery' THEN clock_timestamp() END, CASE WHEN $6 = 'celery' THEN 1 ELSE 0 END)
RETURNING
-- @use runs_columns

-- @name runs_claim @pg 13-18
-- $1 execution, $2 queue, $3 how many, $4 kinds it knows, $5 owner, $6 lease in seconds.
WITH picked AS (
    SELECT run_id FROM {{runs}}
     WHERE state = 'handed_off' AND execution = $1 AND queue = $2 AND kind = ANY ($4::text[]) AND NOT cancel_requested
     ORDER BY priority DESC, run_id LIMIT $3 FOR UPDATE SKIP LOCKED)
UPDATE {{runs}} r
   SET state = 'running', owner = $5, claimed_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
       lease_until = clock_timestamp() + make_interval(secs => $6::float8), changes = changes + 1
  FROM picked WHERE r.run_id = picked.run_id
RETURNING
-- @use runs_columns

-- @name runs_claim_sent @pg 13-18
-- $1 job, $2 attempt, $3 token, $4 owner, $5 lease in seconds. No row: a duplicate, or it was withdrawn or cancelled.
UPDATE {{runs}} r
   SET state = 'running', owner = $4, claimed_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
       lease_until = clock_timestamp() + make_interval(secs => $5::float8), changes = changes + 1
 WHERE r.job_id = $1 AND r.attempt = $2 AND r.token = $3 AND r.state = 'handed_off' AND NOT r.cancel_requested
RETURNING
-- @use runs_columns

-- @name runs_beat @pg 13-18
-- $1 tokens, $2 their progress (NULL: none new), $3 owner, $4 lease in seconds. Those missing in the answer are lost.
UPDATE {{runs}} r
   SET heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => $4::float8),
       progress = coalesce(said.progress::json, r.progress),
       changes = r.changes + CASE WHEN said.progress IS NULL THEN 0 ELSE 1 END
  FROM unnest($1::text[], $2::text[]) AS said (token, progress)
 WHERE r.token = said.token AND r.owner = $3 AND r.state = 'running'
RETURNING r.token, r.cancel_requested, r.pause_requested;

-- @name runs_wishes @pg 13-18
-- $1 tokens, $2 owner: what is wished of runs, without a word from them.
SELECT r.token, r.cancel_requested, r.pause_requested FROM {{runs}} r
 WHERE r.token = ANY ($1::text[]) AND r.owner = $2 AND r.state = 'running';

-- @name runs_save @pg 13-18
-- $1 token, $2 owner, $3 checkpoint, $4 lease in seconds. No row: the run was given up.
UPDATE {{runs}} SET checkpoint = $3::text::json, saves = saves + 1, changes = changes + 1,
       heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => $4::float8)
 WHERE token = $1 AND owner = $2 AND state = 'running' RETURNING run_id;

-- @name runs_say @pg 13-18
-- $1 token, $2 owner, $3 times, $4 levels, $5 messages, $6 lines kept of a run. Appends to the log of a live run.
WITH run AS (
    UPDATE {{runs}} SET lines = lines + cardinality($3::timestamptz[]), changes = changes + 1
     WHERE token = $1 AND owner = $2 AND state = 'running' RETURNING run_id, lines),
gone AS (
    DELETE FROM {{lines}} l USING run WHERE l.run_id = run.run_id AND l.number <= run.lines - $6)
INSERT INTO {{lines}} (run_id, number, at, level, message)
SELECT run.run_id, run.lines - cardinality($3::timestamptz[]) + said.ordinality, said.at, said.level, said.message
  FROM run, unnest($3::timestamptz[], $4::text[], $5::text[]) WITH ORDINALITY AS said (at, level, message, ordinality)
RETURNING run_id;

-- @name runs_finish @pg 13-18
-- $1 token, $2 owner, $3 outcome, $4 ending. The same word said twice is taken once; no row: the run was given up.
WITH told AS (
    UPDATE {{runs}} SET state = 'ended', outcome = $3, ending = $4::text::json, finished_at = clock_timestamp(),
           lease_until = NULL, changes = changes + 1
     WHERE token = $1 AND owner = $2 AND state = 'running' RETURNING run_id)
SELECT run_id FROM told UNION ALL
SELECT run_id FROM {{runs}} WHERE token = $1 AND owner = $2 AND state = 'ended' AND outcome = $3
 LIMIT 1;

-- @name runs_follow @pg 13-18
-- $1 tokens, $2 changes known of each, $3 saves known of each: those that changed since, those whose lease is over, and
-- those that somebody has deleted, as lost.
SELECT known.token, coalesce(r.run_id, 0) AS run_id, coalesce(r.state, 'lost') AS state, coalesce(r.owner, '') AS owner,
       coalesce(r.changes, known.changes) AS changes, coalesce(r.saves, known.saves) AS saves,
       coalesce(r.lines, 0) AS lines, coalesce(r.rescues, 0) AS rescues, r.progress::text AS progress,
       r.ending::text AS ending, r.claimed_at, CASE WHEN r.saves > known.saves THEN r.checkpoint::text END AS checkpoint,
       coalesce(r.state = 'running' AND r.lease_until < clock_timestamp(), false) AS is_late,
       coalesce(extract(epoch FROM clock_timestamp() - r.finished_at)::float8, 0) AS ended_s
  FROM unnest($1::text[], $2::bigint[], $3::integer[]) AS known (token, changes, saves)
  LEFT JOIN {{runs}} r ON r.token = known.token
 WHERE r.token IS NULL OR r.changes > known.changes OR r.state = 'running' AND r.lease_until < clock_timestamp();

-- @name runs_lines @pg 13-18
-- $1 run, $2 after this number, $3 how many. Notes how far they were heard, so that none is told twice.
WITH found AS (
    SELECT number, at, level, message FROM {{lines}} WHERE run_id = $1 AND number > $2 ORDER BY number LIMIT $3),
noted AS (
    UPDATE {{runs}} SET heard = greatest(heard, (SELECT max(number) FROM found))
     WHERE run_id = $1 AND EXISTS (SELECT FROM found))
SELECT number, at, level, message FROM found ORDER BY number;

-- @name runs_wish @pg 13-18
-- $1 token, $2 cancel, $3 pause. A wish is added, never taken back.
UPDATE {{runs}} SET cancel_requested = cancel_requested OR $2, pause_requested = pause_requested OR $3
 WHERE token = $1 AND state IN ('handed_off', 'running') RETURNING state;

-- @name runs_withdraw @pg 13-18
-- $1 token. Takes back what nobody has begun.
UPDATE {{runs}} SET state = 'withdrawn', finished_at = clock_timestamp(), changes = changes + 1
 WHERE token = $1 AND state = 'handed_off' RETURNING run_id;

-- @name runs_expire @pg 13-18
-- $1 token. Gives up a run whose owner has been silent for longer than its lease.
UPDATE {{runs}} SET state = 'lost', finished_at = clock_timestamp(), changes = changes + 1
 WHERE token = $1 AND state = 'running' AND lease_until < clock_timestamp() RETURNING run_id;

-- @name runs_give_up @pg 13-18
-- $1 token. Gives up a run whatever its owner says.
UPDATE {{runs}} SET state = 'lost', finished_at = clock_timestamp(), changes = changes + 1
 WHERE token = $1 AND state IN ('handed_off', 'running') RETURNING run_id;

-- @name runs_drop @pg 13-18
-- $1 home, $2 job, $3 correlation. Ends what is left of a job that is over.
UPDATE {{runs}}
   SET cancel_requested = true, state = CASE state WHEN 'handed_off' THEN 'withdrawn' ELSE state END,
       finished_at = CASE state WHEN 'handed_off' THEN clock_timestamp() END, changes = changes + 1
 WHERE home = $1 AND job_id = $2 AND correlation_id = $3 AND state IN ('handed_off', 'running') RETURNING run_id;

-- @name runs_collected @pg 13-18
UPDATE {{runs}} SET collected_at = clock_timestamp() WHERE token = $1 AND collected_at IS NULL;

-- @name runs_unclaimed @pg 13-18
-- $1 home, $2 tokens, $3 seconds since the last message, $4 how many: handed out, and nobody has begun them.
SELECT job_id, attempt, token, queue, priority, sends FROM {{runs}}
 WHERE home = $1 AND token = ANY ($2::text[]) AND execution = 'celery' AND state = 'handed_off'
   AND sent_at < clock_timestamp() - make_interval(secs => $3::float8)
 ORDER BY priority DESC, run_id LIMIT $4;

-- @name runs_sent @pg 13-18
UPDATE {{runs}} SET sent_at = clock_timestamp(), sends = sends + 1 WHERE token = ANY ($1::text[]);

-- @name runs_prune @pg 13-18
-- $1 days, $2 how many: forget runs that ended long ago, and those that their console and their owner have both left.
DELETE FROM {{runs}} WHERE run_id IN (
    SELECT run_id FROM {{runs}}
     WHERE coalesce(finished_at, lease_until) < clock_timestamp() - make_interval(secs => $1::float8 * 86400)
     ORDER BY finished_at LIMIT $2);

-- @name runs_notify @pg 13-18
SELECT pg_notify($1, $2);

-- @name runs_may_create @pg 13-18
-- $1 schema: may this role make a table in it, or the schema itself where there is none.
SELECT CASE WHEN to_regnamespace(quote_ident($1)) IS NULL THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege($1, 'CREATE') END;

-- @name runs_nodes @pg 13-18
-- $1 keys of queues or kinds of jobs: how many connections hold each of them as nodes that serve or know it.
SELECT ((l.classid::bigint << 32) | l.objid::bigint) AS key, count(*) AS nodes
  FROM pg_locks l
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.mode = 'ShareLock'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND ((l.classid::bigint << 32) | l.objid::bigint) = ANY ($1::bigint[])
 GROUP BY 1;
