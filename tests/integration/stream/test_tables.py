"""Copies into a table: exact, idempotent, transformed, refused where they can't be right, and continued."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fakes.backfill import FakeContext, make_settings, open_services
from fakes.failing import fails_for_good
from fakes.streaming import NOWHERE, are_equal, into_table, make_tables, run, worker_of
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db import row_reader
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.workers import Services

ROWS = 3_000


@dataclass
class Scene:
    """A filled table source, an empty table target, and what a worker needs."""

    services: Services
    connection: asyncpg.Connection
    dsn: str

    async def copy(self, context: FakeContext | None = None, **given: Any) -> dict[str, Any]:
        return await run(self.services, into_table(**given), context)

    async def plan(self, **given: Any) -> Any:
        parameters = into_table(**given)
        return await worker_of(self.services, parameters).plan(parameters)


@pytest.fixture
async def scene(empty_database_dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(row_reader, "CHUNK_BYTES", 40_000)
    monkeypatch.setattr(row_reader, "_PAGE_BYTES", 80_000)
    monkeypatch.setattr(row_reader, "_FIRST_PAGE", 100)
    connection = await asyncpg.connect(empty_database_dsn)
    await make_tables(connection, ROWS)
    async with open_services(make_settings(empty_database_dsn, NOWHERE)) as services:
        yield Scene(services, connection, empty_database_dsn)
    await connection.close()


async def test_the_destination_equals_the_source_and_the_same_again_changes_nothing(scene: Scene) -> None:
    result = await scene.copy()
    assert (result["rows_read"], result["created"], result["verified"]) == (ROWS, ROWS, True)
    assert await are_equal(scene.connection)
    await scene.connection.execute("UPDATE source SET note = 'changed' WHERE id % 100 = 0")
    await scene.connection.execute("DELETE FROM target WHERE id <= 7")
    again = await scene.copy(FakeContext(2))
    assert (again["created"], again["updated"], again["unchanged"]) == (7, ROWS // 100, ROWS - 7 - ROWS // 100)
    assert again["verified"] is True
    assert await are_equal(scene.connection)


async def test_the_plan_and_what_it_says(scene: Scene) -> None:
    await scene.connection.execute("ANALYZE source")
    await scene.connection.execute(
        f"ALTER DATABASE {scene.dsn.rpartition('/')[2]} SET default_transaction_read_only = on"
    )
    plan = await scene.plan(columns="id,symbol,at")
    lines = {line.label: (line.value, line.note) for line in plan.lines}
    assert lines["source"][0] == "public.source"
    assert lines["rows"][0] == "about 3,000"
    assert lines["read by"] == ("symbol, id", "pages behind the last key; goes on there after a stop")
    assert lines["method"][0] == "upsert by symbol, id"
    assert plan.figures["key"] == ["symbol", "id"]


async def test_transforms_reach_the_table(scene: Scene) -> None:
    await scene.connection.execute(
        "CREATE TABLE made (n int8 PRIMARY KEY, twice numeric, whole int4, processed_at timestamptz)"
    )
    given = {
        "to": "made",
        "columns": "id,price",
        "filter": "id <= 1000 and symbol <> 'S1'",
        "derive": "twice=price*2",
        "cast": "price=numeric(20,0)",
        "rename": "id=n, price=whole",
        "drop_incomplete": True,
        "processed_at": True,
    }
    with fails_for_good(r"whole is numeric\(20,0\) in the source and integer in the destination: cast whole=integer"):
        await scene.copy(**given)
    result = await scene.copy(**{**given, "columns": "id", "derive": "twice=price*2; whole=round(price)",
                                 "cast": "whole=integer", "rename": "id=n"})  # fmt: skip
    truth = await scene.connection.fetch(
        "SELECT id AS n, price * 2 AS twice, round(price)::int4 AS whole FROM source "
        "WHERE id <= 1000 AND symbol <> 'S1' AND price IS NOT NULL ORDER BY 1"
    )
    found = await scene.connection.fetch("SELECT n, twice, whole FROM made ORDER BY 1")
    assert [tuple(row) for row in found] == [tuple(row) for row in truth]
    assert await scene.connection.fetchval("SELECT count(*) FROM made WHERE processed_at IS NULL") == 0
    assert result["rows_read"] == ROWS == result["created"] + result["filtered"] + result["dropped_incomplete"]
    assert result["verified"] is True


@pytest.mark.parametrize("key", ["id", ""])
async def test_a_query_is_read_by_its_key_or_in_one_go(scene: Scene, key: str) -> None:
    query = "SELECT * FROM source WHERE symbol < 'S3' -- a comment;"
    plan = await scene.plan(table="", query=query, key=key)
    assert any("has no key" in warning for warning in plan.warnings) is (not key)
    result = await scene.copy(table="", query=query, key=key)
    assert result["verified"] is True
    assert result["rows_read"] == await scene.connection.fetchval("SELECT count(*) FROM source WHERE symbol < 'S3'")


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM source RETURNING *",
        "WITH gone AS (DELETE FROM source RETURNING *) SELECT * FROM gone",
        "SELECT 1 AS a; DROP TABLE source",
        "SELECT 1 AS a) AS x; DROP TABLE source; --",
        "SELECT 1 AS a) TO STDOUT; DROP TABLE source; --",
        "COPY source TO STDOUT",
        "SET ROLE postgres",
        "EXPLAIN SELECT 1",
        "SELECT * FROM",
        "/* open",
    ],
)
async def test_only_a_single_select_is_a_query(scene: Scene, query: str) -> None:
    with pytest.raises(InvalidParameters) as caught:
        await scene.plan(table="", query=query)
    assert "is not a single SELECT" in caught.value.problems["query"]
    assert await scene.connection.fetchval("SELECT count(*) FROM source") == ROWS


async def test_a_query_that_writes_all_the_same_is_stopped_by_the_server(scene: Scene) -> None:
    await scene.connection.execute("CREATE SEQUENCE s")
    with fails_for_good(r"would change data: cannot execute nextval\(\) in a read-only transaction"):
        await scene.copy(table="", query="SELECT nextval('s') AS id, symbol, at FROM source")
    assert not await scene.connection.fetchval("SELECT is_called FROM s")


@pytest.mark.parametrize(
    ("given", "field", "why"),
    [
        ({"table": "sources"}, "table", "there is no table sources; did you mean source\\?"),
        ({"to": "nowhere"}, "to", "there is no table nowhere"),
        ({"to": "source"}, "to", "is the table that is read"),
        ({"key": "nope"}, "key", "there is no column nope; known are id, symbol"),
        ({"to_key": "id"}, "to_key", "no unique key on \\(id\\); it has: symbol, id"),
        ({"rename": "note=remark"}, "to", "remark is not in public.target: leave it out \\(columns\\) or rename it"),
        ({"columns": "id,note"}, "to", "nothing fills symbol, at, NOT NULL there"),
        ({"cast": "price=text"}, "to", "price is text in the source and numeric\\(20,8\\) in the destination"),
        ({"to": "narrow"}, "to", "price is numeric\\(20,8\\) .* numeric\\(10,2\\) .* would round it: cast price"),
        ({"to": "made"}, "to", "id is generated there"),
        ({"source": "elsewhere"}, "source", "the configuration has no target elsewhere"),
    ],
)  # fmt: skip
async def test_what_can_be_known_to_fail_is_refused_before(scene: Scene, given: Any, field: str, why: str) -> None:
    await scene.connection.execute(
        "CREATE TABLE narrow (LIKE target); ALTER TABLE narrow ALTER price TYPE numeric(10,2)"
    )
    await scene.connection.execute("CREATE TABLE made (LIKE target); ALTER TABLE made DROP id; "
                                   "ALTER TABLE made ADD id int8 GENERATED ALWAYS AS IDENTITY")  # fmt: skip
    for attempt in (scene.plan, scene.copy):
        with pytest.raises(InvalidParameters, match=why) as caught:
            await attempt(**given)
        assert set(caught.value.problems) == {field}
    assert await scene.connection.fetchval("SELECT count(*) FROM target") == 0


async def test_rows_that_the_table_refuses_are_named_and_the_others_are_there(scene: Scene) -> None:
    await scene.connection.execute("ALTER TABLE target ADD CONSTRAINT small CHECK (id % 500 <> 0)")
    await scene.connection.execute("ALTER TABLE target ALTER symbol TYPE varchar(3)")
    await scene.connection.execute("UPDATE source SET symbol = 'LONGER' WHERE id = 7")
    result = await scene.copy()
    assert (result["created"], result["rejected"]) == (ROWS - 7, 7)
    assert "symbol=LONGER, id=7: value too long for type character varying(3)" in result["rejected_first"]
    assert result["rejected_reasons"]["small"] == 6
    assert result["verified"] is False
    assert "7 were rejected" in result["verification"]
    with fails_for_good("id=.*: small.*without strict"):
        await scene.copy(FakeContext(2), strict=True, filter="id >= 500")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT *, id / 2 AS half FROM source WHERE id > 1", "half=1: two rows have it"),
        ("SELECT *, nullif(id, 2900) AS half FROM source", "half=NULL: some rows have NULL there"),
    ],
)
async def test_a_key_that_is_none_is_found_out(scene: Scene, query: str, why: str) -> None:
    with fails_for_good(f"can't be read by .half.: {why}"):
        await scene.copy(table="", query=query, key="half", columns="id,symbol,at", filter="id > 0")


async def test_rows_are_added_once_where_nothing_is_unique(scene: Scene) -> None:
    await scene.connection.execute("CREATE TABLE log (LIKE target)")
    context = FakeContext(5)

    def stop() -> None:
        if context.breaths == 3:
            raise KeyboardInterrupt

    context.on_breathe = stop
    with pytest.raises(KeyboardInterrupt):
        await scene.copy(context, to="log")
    before = await scene.connection.fetchval("SELECT count(*) FROM log")
    assert 0 < before < ROWS
    result = await scene.copy(FakeContext(5), to="log")
    assert (result["created"], result["verified"]) == (ROWS, True)
    assert await are_equal(scene.connection, right="log")


async def test_without_any_key_all_rows_come_at_once_or_none(scene: Scene) -> None:
    await scene.connection.execute("CREATE TABLE log (LIKE target)")
    context = FakeContext(6)

    def stop() -> None:
        raise KeyboardInterrupt

    context.on_breathe = stop
    given = {"table": "", "query": "SELECT * FROM source", "to": "log"}
    plan = await scene.plan(**given)
    assert any("one transaction" in line.value for line in plan.lines)
    with pytest.raises(KeyboardInterrupt):
        await scene.copy(context, **given)
    assert await scene.connection.fetchval("SELECT count(*) FROM log") == 0
    assert (await scene.copy(FakeContext(6), **given))["verified"] is True
    assert await are_equal(scene.connection, right="log")


async def test_what_came_in_one_transaction_comes_once_also_after_a_kill_behind_it(scene: Scene) -> None:
    await scene.connection.execute("CREATE TABLE log (LIKE target)")
    context = FakeContext(6)

    async def die(_: Any) -> None:
        raise KeyboardInterrupt

    context.save = die  # type: ignore[method-assign]
    given = {"table": "", "query": "SELECT * FROM source", "to": "log"}
    with pytest.raises(KeyboardInterrupt):
        await scene.copy(context, **given)
    assert await scene.connection.fetchval("SELECT count(*) FROM log") == ROWS
    result = await scene.copy(FakeContext(6), **given)
    assert (result["rows_read"], result["created"], result["verified"]) == (ROWS, ROWS, True)
    assert await are_equal(scene.connection, right="log")


async def test_a_leftover_attempt_writes_no_more(scene: Scene) -> None:
    first = FakeContext(8)
    second = FakeContext(8)
    second.attempt = 2
    waiting, going = asyncio.Event(), asyncio.Event()

    async def pause(*_: Any) -> None:
        waiting.set()
        await going.wait()

    first.breathe = pause  # type: ignore[method-assign]
    task = asyncio.create_task(scene.copy(first))
    await waiting.wait()
    assert (await scene.copy(second))["created"] == ROWS
    going.set()
    with fails_for_good("a later attempt of this job writes the copy"):
        await task
    assert await are_equal(scene.connection)


async def test_a_changed_source_is_not_continued(scene: Scene) -> None:
    context = FakeContext(9)
    await scene.copy(context)
    await scene.connection.execute("ALTER TABLE source ADD more int4; ALTER TABLE target ADD more int4")
    with fails_for_good("have changed since this job began"):
        await scene.copy(FakeContext(9, context.checkpoint))


async def test_another_target_may_be_the_source(scene: Scene, database_dsn: str) -> None:
    there = await asyncpg.connect(database_dsn)
    await there.execute('CREATE TABLE "Odd.Name" ("Key" text COLLATE "C" PRIMARY KEY, "order" int4)')
    await there.execute("INSERT INTO \"Odd.Name\" SELECT 'k' || chr(n) || '''\\\"', n FROM generate_series(33, 700) n")
    await scene.connection.execute('CREATE TABLE "Odd.Name" ("Key" text PRIMARY KEY, "order" int4)')
    others = {"there": DatabaseSettings(dsn=Secret(database_dsn), pool_min=0)}
    services = replace(scene.services, settings=replace(scene.services.settings, others=others))
    result = await run(services, into_table(table='"Odd.Name"', to='"Odd.Name"', source="there"))
    assert (result["created"], result["verified"]) == (668, True)
    await there.close()


async def test_a_role_that_may_make_nothing_keeps_its_place_in_the_history(scene: Scene) -> None:
    name = scene.dsn.rpartition("/")[2]
    await scene.connection.execute(
        f"CREATE ROLE r_{name} LOGIN PASSWORD 'secret'; GRANT SELECT ON source, target TO r_{name}; "
        f"GRANT INSERT ON target TO r_{name}"
    )
    host = scene.dsn.rpartition("@")[2]
    limited = DatabaseSettings(dsn=Secret(f"postgresql://r_{name}:secret@{host}"), pool_min=0)
    services = replace(scene.services, settings=replace(scene.services.settings, database=limited))
    try:
        with fails_for_good(f"the role r_{name} lacks UPDATE on public.target.*GRANT UPDATE"):
            await run(services, into_table())
        await scene.connection.execute(f"GRANT UPDATE ON target TO r_{name}")
        context = FakeContext(3)
        result = await run(services, into_table(), context)
        assert (result["created"], result["verified"]) == (ROWS, True)
        assert await scene.connection.fetchval("SELECT to_regclass('qsuite_console.stream')") is None
        assert context.checkpoint is not None
        await scene.connection.execute(f"CREATE TABLE log (LIKE target); GRANT ALL ON log TO r_{name}")
        with fails_for_good("has no unique key, and the role .* may not keep the place"):
            await run(services, into_table(to="log"))
    finally:
        await scene.connection.execute(f"DROP OWNED BY r_{name}; DROP ROLE r_{name}")


async def test_a_transform_file(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('filter = "id > 10"\ncolumns = ["id", "symbol", "at"]\n')
    result = await scene.copy(transform=str(path), filter="id > 2990")
    assert (result["created"], result["filtered"]) == (10, ROWS - 10)
