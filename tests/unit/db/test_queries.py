"""Named SQL: headers, variants by server version, and that every query of ours can be loaded."""

from __future__ import annotations

import pytest

from qsuite_console.db import queries

TEXT = """-- a comment of the file
-- @name one @pg 13-16
SELECT 1;

-- @name one @pg 17-18
-- newer
SELECT 17;
-- @name two
SELECT 2
"""


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: tuple(variants) for name, variants in queries.parse(TEXT).items()}
    monkeypatch.setattr(queries, "_catalogue", lambda: found)


@pytest.mark.usefixtures("catalogue")
def test_the_variant_fits_the_server() -> None:
    assert queries.load("one", 15) == "SELECT 1"
    assert queries.load("one", 18) == "-- newer\nSELECT 17"
    assert queries.load("one", 21) == "-- newer\nSELECT 17"
    assert queries.load("one") == "-- newer\nSELECT 17"
    assert queries.load("two", 13) == "SELECT 2"
    assert queries.names() == ("one", "two")


@pytest.mark.usefixtures("catalogue")
def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="no query is named 'three'"):
        queries.load("three")
    with pytest.raises(KeyError, match="no variant for PostgreSQL 12"):
        queries.load("one", 12)


def test_every_query_of_the_package_has_a_text() -> None:
    assert "ledger_extend" in queries.names()
    for name in queries.names():
        assert queries.load(name).strip()
