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
SELECT 2;

-- @part column @pg 13-16
       NULL AS column
-- @part column @pg 17-18
       fresh AS column
-- @part tail
  FROM three
-- @name three @pg 13-18
SELECT a,
       -- @use column
-- @use tail
 ORDER BY a;
-- @name four
SELECT 4
-- @use nothing
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
    assert queries.names() == ("four", "one", "three", "two")


@pytest.mark.usefixtures("catalogue")
def test_a_part_stands_where_it_is_used_in_its_variant_for_the_server() -> None:
    assert " ".join(queries.load("three", 13).split()) == "SELECT a, NULL AS column FROM three ORDER BY a"
    assert " ".join(queries.load("three", 18).split()) == "SELECT a, fresh AS column FROM three ORDER BY a"
    assert queries.load("three") == queries.load("three", 18)
    with pytest.raises(KeyError, match="no part is named 'nothing'"):
        queries.load("four")
    with pytest.raises(KeyError, match="no query is named 'tail'"):
        queries.load("tail")


@pytest.mark.usefixtures("catalogue")
def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="no query is named 'five'"):
        queries.load("five")
    with pytest.raises(KeyError, match="no variant for PostgreSQL 12"):
        queries.load("one", 12)


def test_every_query_of_the_package_has_a_text() -> None:
    assert "ledger_extend" in queries.names()
    for name in queries.names():
        assert queries.load(name).strip()
        assert "@use" not in queries.load(name)


@pytest.mark.parametrize("version", range(13, 19))
def test_every_part_that_is_used_is_there_for_each_version(version: int) -> None:
    for name in ("indexes_list", "indexes_redundant", "advice_indexes_redundant", "progress_tasks"):
        text = queries.load(name, version)
        assert "@use" not in text
        assert "@part" not in text
