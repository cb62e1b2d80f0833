"""What a server says becomes one line: its details are for its own log."""

from __future__ import annotations

import asyncpg
import pytest

from qsuite_console.db.errors import DatabaseDown, DatabaseRefused, translate


def test_a_server_that_is_starting_is_down_for_a_moment_in_one_line() -> None:
    said = "the database system is not yet accepting connections\nDETAIL:  Consistent recovery state is far away."
    found = translate(asyncpg.CannotConnectNowError(said), "db-1:5432/qsuite")
    assert isinstance(found, DatabaseDown)
    assert found.message == "PostgreSQL at db-1:5432/qsuite: the database system is not yet accepting connections"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("permission denied for table price_ticks", "GRANT SELECT ON price_ticks TO this role (to fill it INSERT"),
        ("permission denied for schema qsuite_console", "GRANT USAGE ON SCHEMA qsuite_console TO this role"),
        ("permission denied for sequence orders_id_seq", "GRANT USAGE ON SEQUENCE orders_id_seq TO this role"),
        ("must be owner of table price_ticks", "use the owner's role"),
    ],
)
def test_a_missing_right_is_named_with_the_grant_that_gives_it(said: str, hint: str) -> None:
    found = translate(asyncpg.InsufficientPrivilegeError(said), "db-1:5432/qsuite")
    assert isinstance(found, DatabaseRefused)
    assert said in found.message
    assert hint in found.hint


def test_a_missing_table_is_named_with_the_setting_that_says_its_name() -> None:
    found = translate(asyncpg.UndefinedTableError('relation "market_data_ticker" does not exist'), "db-1:5432/qsuite")
    assert 'relation "market_data_ticker" does not exist' in found.message
    assert "db init" in found.hint
    assert "[tables]" in found.hint


@pytest.mark.parametrize(
    "said",
    [
        "connection is closed",
        "cannot perform operation: another operation is in progress",
        "cannot switch to state 12; another operation (2) is in progress",
        "cannot call Connection.execute(): connection has been released back to the pool",
    ],
)
def test_a_connection_that_was_cut_is_opened_again_whatever_the_driver_says_of_it(said: str) -> None:
    for kind in (asyncpg.InterfaceError, asyncpg.InternalClientError):
        found = translate(kind(said), "db-1:5432/qsuite")
        assert found.is_transient
        assert found.message == "the connection to PostgreSQL at db-1:5432/qsuite was lost"
