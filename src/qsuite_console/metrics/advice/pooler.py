"""Lines for pgbouncer.ini, as far as they follow from the server: sizes from its limits, prepared statements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qsuite_console.db.settings import ServerFacts
from qsuite_console.metrics.advice import wording
from qsuite_console.model.advice import Effect, Finding, Severity

PART: Final = "pgbouncer"
_SHARE: Final = 0.8  # of the server's connections; the rest is for people, monitors and maintenance


def pooler_findings(facts: ServerFacts, *, is_pooled: bool) -> Iterator[Finding]:
    """Yield lines for a pooler that is used, or that the number of sessions asks for."""
    sessions, usable = int(facts.sessions["sessions"]), int(facts.sessions["usable"])
    if not is_pooled and sessions <= _SHARE * usable:
        return
    most = max(1, int(_SHARE * usable))
    yield Finding(
        id="PB01",
        part=PART,
        subject="max_db_connections",
        title="The pooler must not take all connections of the server",
        severity=Severity.INFO,
        evidence=(wording.count("usable", usable), wording.count("sessions", sessions)),
        formula="80 % of the server's usable connections, whole",
        recommended=str(most),
        advice="one number for all pools of the database together; its current value is in SHOW CONFIG",
        fix=f"max_db_connections = {most}",
        effect=Effect.RELOAD,
    )
    if is_pooled:
        yield Finding(
            id="PB02",
            part=PART,
            subject="max_prepared_statements",
            title="Prepared statements of clients break in transaction pooling",
            severity=Severity.INFO,
            evidence=(wording.count("usable", usable),),
            formula="above 0 from 1.21 on; before, clients must not prepare (statement_cache_size=0)",
            recommended="200",
            advice="the console itself works without; its current value is in SHOW CONFIG",
            fix="max_prepared_statements = 200",
            effect=Effect.RELOAD,
        )
