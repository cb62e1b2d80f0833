"""What a server says becomes one line: its details are for its own log."""

from __future__ import annotations

import asyncpg

from qsuite_console.db.errors import DatabaseDown, translate


def test_a_server_that_is_starting_is_down_for_a_moment_in_one_line() -> None:
    said = "the database system is not yet accepting connections\nDETAIL:  Consistent recovery state is far away."
    found = translate(asyncpg.CannotConnectNowError(said), "db-1:5432/qsuite")
    assert isinstance(found, DatabaseDown)
    assert found.message == "PostgreSQL at db-1:5432/qsuite: the database system is not yet accepting connections"
