"""Lines for pgbouncer.ini: from the server's limits alone, and from what PgBouncer says of itself where it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qsuite_console.db.pooler_facts import PoolerFacts
from qsuite_console.metrics.advice import wording
from qsuite_console.model.advice import Effect, Evidence, Finding, Severity

PART: Final = "pgbouncer"
SHARE: Final = 0.8  # of the server's connections; the rest is for people, monitors and maintenance
PREPARES_FROM: Final = (1, 21, 0)  # follows prepared statements through transaction pooling, with a limit above 0
STATEMENTS: Final = 200
WAITS_S: Final = 1.0
_CROWDED: Final = 0.8


def pooler_findings(
    *, sessions: int, usable: int, is_pooled: bool, facts: PoolerFacts | None = None
) -> Iterator[Finding]:
    """Yield lines for a pooler that is used, or that the number of sessions asks for.

    ``usable`` are the server's connections for everybody, 0 where the server did not say.
    """
    if facts is None and not is_pooled and sessions <= SHARE * usable:
        return
    if usable:
        yield from _server_limit(sessions, usable, facts)
    if facts is None:
        if is_pooled:
            yield _blind(usable)
        return
    yield from _prepared(facts)
    yield from _waiting(facts, usable)
    yield from _clients(facts)
    yield from _queue(facts)


def _line(
    rule: str,
    subject: str,
    severity: Severity,
    title: str,
    *,
    evidence: tuple[Evidence, ...],
    formula: str,
    change: tuple[str, str] = ("", ""),
    advice: str = "",
) -> Finding:
    current, recommended = change
    return Finding(
        id=rule, part=PART, subject=subject, title=title, severity=severity, evidence=evidence, formula=formula,
        current=current, recommended=recommended, advice=advice,
        fix=f"{subject} = {recommended}" if recommended else "",
        effect=Effect.RELOAD if recommended else Effect.NONE,
    )  # fmt: skip


def _server_limit(sessions: int, usable: int, facts: PoolerFacts | None) -> Iterator[Finding]:
    most = max(1, int(SHARE * usable))
    evidence = [wording.count("usable", usable), wording.count("sessions", sessions)]
    severity, current, advice = Severity.INFO, "", "its current value is in SHOW CONFIG"
    if facts is not None:
        limit = facts.limit("max_db_connections")
        if limit is not None and limit <= most:
            return
        allowed = sum(pool.size or 0 for pool in facts.pools)
        if limit is None and facts.pools and allowed <= most:
            return
        current = str(limit or 0)
        evidence.append(wording.count("allowed to all pools", limit if limit is not None else allowed))
        severity, advice = Severity.WARNING, "0 is without limit"
    yield _line(
        "PB01",
        "max_db_connections",
        severity,
        "The pooler must not take all connections of the server",
        evidence=tuple(evidence),
        formula="80 % of the server's usable connections, whole",
        change=(current, str(most)),
        advice=f"one number for all pools of the database together; {advice}",
    )


def _blind(usable: int) -> Finding:
    return _line(
        "PB02",
        "max_prepared_statements",
        Severity.INFO,
        "Prepared statements of clients break in transaction pooling",
        evidence=(wording.count("usable", usable),),
        formula="above 0 from 1.21 on; before, clients must not prepare (statement_cache_size=0)",
        change=("", str(STATEMENTS)),
        advice="the console itself works without; set pooler.dsn to have the pooler itself asked",
    )


def _prepared(facts: PoolerFacts) -> Iterator[Finding]:
    """Warn where server connections change hands between a client's PREPARE and its EXECUTE."""
    modes = sorted({pool.mode for pool in facts.pools} or {facts.config.get("pool_mode", "session")})
    if modes == ["session"] or facts.limit("max_prepared_statements") is not None:
        return
    is_able = facts.version >= PREPARES_FROM
    yield _line(
        "PB02",
        "max_prepared_statements",
        Severity.WARNING,
        "Prepared statements of clients break in transaction pooling",
        evidence=(
            wording.word("version", facts.version_text or "unknown"),
            wording.word("pool_mode", ", ".join(mode for mode in modes if mode != "session")),
            wording.word("max_prepared_statements", facts.config.get("max_prepared_statements", "not in this version")),
        ),
        formula="above 0 from 1.21 on; before, clients must not prepare",
        change=(facts.config.get("max_prepared_statements", ""), str(STATEMENTS) if is_able else ""),
        advice=""
        if is_able
        else "PgBouncer 1.21 or newer can; until then clients must not prepare: statement_cache_size=0 in asyncpg, "
        "prepare_threshold=None in psycopg, DISABLE_SERVER_SIDE_CURSORS in Django",
    )


def _waiting(facts: PoolerFacts, usable: int) -> Iterator[Finding]:
    for pool in facts.pools:
        if not pool.clients_waiting or pool.max_wait_s < WAITS_S or not pool.is_full or pool.size is None:
            continue
        room = max(pool.size + 1, int(SHARE * usable) // max(1, len(facts.pools))) if usable else pool.size * 2
        yield _line(
            "PB03",
            "default_pool_size",
            Severity.WARNING,
            f"Clients of {pool.database} wait for a server connection",
            evidence=(
                wording.word("pool", f"{pool.database}/{pool.user}"),
                wording.count("waiting", pool.clients_waiting),
                wording.span("longest wait", pool.max_wait_s),
                wording.count("servers at work", pool.servers_active),
                wording.count("pool size", pool.size),
            ),
            formula="clients wait over 1 s while all server connections work: 80 % of the server's connections / pools",
            change=(str(pool.size), str(room)),
            advice="look first for what holds them: idle in transaction, long queries",
        )


def _clients(facts: PoolerFacts) -> Iterator[Finding]:
    limit = facts.limit("max_client_conn")
    if limit is not None and facts.clients > _CROWDED * limit:
        yield _line(
            "PB04",
            "max_client_conn",
            Severity.WARNING,
            "The pooler soon takes no more clients",
            evidence=(wording.count("clients", facts.clients), wording.count("max_client_conn", limit)),
            formula="clients above 80 % of max_client_conn: twice as many",
            change=(str(limit), str(2 * limit)),
            advice="each needs a file descriptor: raise LimitNOFILE with it",
        )


def _queue(facts: PoolerFacts) -> Iterator[Finding]:
    if facts.config.get("query_wait_timeout") == "0":
        yield _line(
            "PB05",
            "query_wait_timeout",
            Severity.INFO,
            "Clients wait for a server connection without end",
            evidence=(wording.word("query_wait_timeout", "0"),),
            formula="above 0: a client that is told it waited too long can try elsewhere",
            change=("0", "120"),
        )
