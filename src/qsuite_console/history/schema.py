"""The tables of the history as SQL. Partial indexes and counters kept by triggers make a job cost the same whatever
the history's length; instants are integer microseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Final

from qsuite_console.model.jobs import LIVE, TERMINAL, JobState


def _quoted(states: frozenset[JobState]) -> str:
    return ", ".join(f"'{state.value}'" for state in sorted(states))


ELIGIBLE: Final = "state IN ('interrupted', 'queued')"
ROUTINE: Final = "state = 'succeeded' AND substr(origin, 1, 9) = 'schedule '"  # jobs that nobody started by hand
LIVE_STATES: Final = f"state IN ({_quoted(LIVE)})"

HISTORY: Final = (
    f"""CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        queue TEXT NOT NULL,
        priority INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ({_quoted(frozenset(JobState))})),
        parameters TEXT NOT NULL,
        dedupe_key TEXT,
        created_at INTEGER NOT NULL,
        run_at INTEGER NOT NULL,
        started_at INTEGER,
        finished_at INTEGER,
        attempt INTEGER NOT NULL DEFAULT 0,
        max_attempts INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        rescues INTEGER NOT NULL DEFAULT 0,
        progress TEXT,
        error TEXT,
        reason TEXT,
        correlation_id TEXT NOT NULL,
        origin TEXT NOT NULL DEFAULT '',
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        owner TEXT,
        wait_us INTEGER NOT NULL DEFAULT 0,
        CHECK ((finished_at IS NOT NULL) = (state IN ({_quoted(TERMINAL)})))
    )""",
    f"CREATE INDEX jobs_eligible ON jobs (queue, priority DESC, id) WHERE {ELIGIBLE}",
    "CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'scheduled'",
    f"CREATE UNIQUE INDEX jobs_live_key ON jobs (dedupe_key) WHERE dedupe_key IS NOT NULL AND {LIVE_STATES}",
    "CREATE INDEX jobs_state ON jobs (state, id)",
    "CREATE INDEX jobs_kind ON jobs (kind, id)",
    "CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL",
    """CREATE TABLE attempts (
        job_id INTEGER NOT NULL,
        number INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        finished_at INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        error TEXT,
        wait_us INTEGER NOT NULL,
        run_us INTEGER,
        cpu_us INTEGER NOT NULL DEFAULT 0,
        memory_delta INTEGER NOT NULL DEFAULT 0,
        owner TEXT NOT NULL,
        PRIMARY KEY (job_id, number)
    ) WITHOUT ROWID""",
    """CREATE TABLE checkpoints (
        job_id INTEGER PRIMARY KEY,
        number INTEGER NOT NULL,
        checkpoint BLOB NOT NULL
    )""",
    """CREATE TABLE results (
        job_id INTEGER PRIMARY KEY,
        result BLOB NOT NULL,
        expires_at INTEGER NOT NULL
    )""",
    "CREATE INDEX results_expiry ON results (expires_at)",
    """CREATE TABLE counters (
        queue TEXT NOT NULL,
        state TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (queue, state)
    ) WITHOUT ROWID""",
    """CREATE TABLE figures (
        span INTEGER NOT NULL,
        start INTEGER NOT NULL,
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        measure TEXT NOT NULL,
        bucket INTEGER NOT NULL,
        amount REAL NOT NULL,
        PRIMARY KEY (span, start, scope, name, measure, bucket)
    ) WITHOUT ROWID""",
    """CREATE TABLE queues (
        name TEXT PRIMARY KEY,
        concurrency INTEGER NOT NULL,
        is_paused INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        who TEXT NOT NULL,
        origin TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        result TEXT NOT NULL
    )""",
    "CREATE TABLE probes (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    """CREATE TRIGGER jobs_counted AFTER INSERT ON jobs BEGIN
        INSERT INTO counters VALUES (new.queue, new.state, 1)
            ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END""",
    """CREATE TRIGGER jobs_recounted AFTER UPDATE OF state ON jobs WHEN old.state <> new.state BEGIN
        UPDATE counters SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state;
        INSERT INTO counters VALUES (new.queue, new.state, 1)
            ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END""",
    """CREATE TRIGGER jobs_discounted AFTER DELETE ON jobs BEGIN
        UPDATE counters SET jobs = jobs - 1 WHERE queue = old.queue AND state = old.state;
        DELETE FROM attempts WHERE job_id = old.id;
        DELETE FROM checkpoints WHERE job_id = old.id;
        DELETE FROM results WHERE job_id = old.id;
    END""",
)

HANDED_OUT: Final = ("ALTER TABLE jobs ADD COLUMN handed_out INTEGER NOT NULL DEFAULT 0",)

TELEMETRY: Final = (
    """CREATE TABLE logs (
        job_id INTEGER NOT NULL,
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        level TEXT NOT NULL,
        message TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        PRIMARY KEY (job_id, number)
    ) WITHOUT ROWID""",
    "CREATE TABLE progress (job_id INTEGER PRIMARY KEY, progress TEXT NOT NULL)",
    """CREATE TABLE throughput (
        job_id INTEGER NOT NULL,
        at INTEGER NOT NULL,
        done REAL NOT NULL,
        rate REAL,
        PRIMARY KEY (job_id, at)
    ) WITHOUT ROWID""",
)
