"""Each recommended index is built by a job, and the planner uses it for the question it is there for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from integration.indexes.index_scene import TABLES, drop_recommended, execute, names, of, run, worker
from qsuite_console.db.index_care import question
from qsuite_console.db.index_catalogue import CATALOGUE, Existing, Recommended, Shape, judge, normalised, serves
from qsuite_console.db.queries import load

NOW = datetime(2026, 10, 1, tzinfo=UTC)
DAY = NOW + timedelta(days=3)
ROWS = 60_000
FILL = (
    "INSERT INTO auth_user (username) SELECT 'u' || n FROM generate_series(1, 200) n",
    "INSERT INTO market_data_ticker (symbol) SELECT 'S' || n FROM generate_series(1, 100) n",
    "INSERT INTO market_calendar SELECT 'XNYS', d::date, d + interval '13 hours', d + interval '20 hours', false "
    "FROM generate_series('2000-01-01 00:00+00'::timestamptz, '2027-01-01 00:00+00', '1 day') d",
    "INSERT INTO market_data_marketdata SELECT s, '2026-10-01 00:00+00'::timestamptz + m * interval '1 minute', "
    "2, 3, 1, 2, 100 FROM generate_series(0, 1499) m, generate_series(1, 100) s ORDER BY m, s",
    "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, price, "
    "filled_quantity, avg_fill_price, created_at) SELECT 1 + n % 200, 1 + n / 7 % 100, "
    "CASE WHEN n % 2 = 0 THEN 'BUY' ELSE 'SELL' END, 'LIMIT', CASE WHEN n % 100 = 0 THEN 'PENDING' ELSE 'FILLED' END, "
    "10, 1 + n % 50, CASE WHEN n % 100 = 0 THEN 0 ELSE 10 END, CASE WHEN n % 100 = 0 THEN NULL ELSE 5 END, "
    f"'2026-10-01 00:00+00'::timestamptz + n * interval '10 seconds' FROM generate_series(1, {ROWS}) n",
    "INSERT INTO execution_engine_execution (order_id, quantity, price, executed_at) SELECT n, 10, 5, "
    f"'2026-10-01 00:00+00'::timestamptz + n * interval '10 seconds' FROM generate_series(1, {ROWS}) n",
    "INSERT INTO pipelines (name) SELECT 'p' || n FROM generate_series(1, 30) n",
    "INSERT INTO pipeline_runs (pipeline_id, triggered_by_id, status, created_at) SELECT 1 + n % 30, 1 + n % 200, "
    "CASE WHEN n % 2000 = 0 THEN 'running' ELSE 'success' END, "
    f"'2026-10-01 00:00+00'::timestamptz + n * interval '10 seconds' FROM generate_series(1, {ROWS // 2}) n",
    "INSERT INTO task_runs (pipeline_run_id, task_name, status) "
    f"SELECT 1 + n % {ROWS // 2}, 't', 'success' FROM generate_series(1, {ROWS}) n",
    "INSERT INTO task_runs_partitioned (id, pipeline_run_id, task_name, status, created_at) SELECT n, "
    f"1 + n % {ROWS // 2}, 't', 'success', '2020-01-01 00:00+00' FROM generate_series(1, {ROWS}) n",
    "VACUUM ANALYZE",
)
ASKED: dict[str, tuple[Any, ...]] = {
    "volume_by_hour": (NOW + timedelta(hours=2), NOW + timedelta(hours=3)),
    "serves_calendar": ("XNYS", NOW),
    "warm_order_books": (["S5"], 10),
    "serves_orders_of_user": (7,),
    "serves_orders_of_ticker": (7,),
    "serves_orders_of_window": (DAY, DAY + timedelta(hours=1)),
    "serves_fills_of_orders": ([5, 50, 500],),
    "serves_fills_of_window": (DAY, DAY + timedelta(hours=1)),
    "serves_last_runs": (),
    "serves_runs_of_window": (DAY, DAY + timedelta(minutes=30)),
    "serves_active_runs": (),
    "serves_runs_of_user": (7,),
    "serves_tasks_of_run": (7,),
    "serves_parted_tasks_of_run": (7,),
}


async def plan_of(connection: asyncpg.Connection, one: Recommended) -> str:
    sql = question(one, TABLES, connection.get_server_version().major)
    arguments = ", ".join(map(_literal, ASKED[one.serves]))
    await connection.execute(f"PREPARE asked AS {sql}")
    try:
        call = f"EXECUTE asked ({arguments})" if arguments else "EXECUTE asked"
        return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {call}"))
    finally:
        await connection.execute("DEALLOCATE asked")


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(_literal, value))}]"
    return str(value) if isinstance(value, int) else f"'{value}'"


async def test_every_recommended_index_is_built_once_and_used_by_its_question(database_dsn: str) -> None:
    dsn = database_dsn
    await drop_recommended(dsn)
    await execute(dsn, *FILL)
    async with worker(dsn) as indexes:
        plan = await indexes.plan(of("build"))
        result = await run(indexes, of("build"))
        again = await indexes.plan(of("build"))
        second = await run(indexes, of("build"))
    wanted = {one.name(TABLES) for one in CATALOGUE}
    assert set(plan.figures["indexes"]) == wanted
    assert {each["index"] for each in result["details"]} == wanted
    assert all(each["bytes_after"] > 0 for each in result["details"])
    assert await names(dsn, broken=True) == set()
    assert again.is_noop
    assert (second["indexes"], second["present"]) == (0, len(CATALOGUE)), "twice is once"
    await execute(dsn, "ANALYZE")
    connection = await asyncpg.connect(dsn)
    try:
        unused = {}
        for one in CATALOGUE:
            text = await plan_of(connection, one)
            used = one.name(TABLES)
            if one.table == "task_runs_partitioned":
                used = "task_runs_partitioned_default_run_idx"
            if f" {used}" not in text:
                unused[one.name(TABLES)] = text
        redundant = await connection.fetch(load("indexes_redundant", connection.get_server_version().major), 100)
        assert [dict(row) for row in redundant] == [], "none repeats another, a key or a constraint"
        predicates = await connection.fetch(
            "SELECT pg_get_expr(indpred, indrelid) AS text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE indpred IS NOT NULL AND c.relnamespace = 'public'::regnamespace"
        )
        assert predicates
        assert not [row["text"] for row in predicates if "now(" in row["text"] or "CURRENT" in row["text"].upper()]
        assert not unused, "\n\n".join(f"{name}:\n{text}" for name, text in unused.items())
    finally:
        await connection.close()


def test_each_question_is_asked_and_nothing_of_the_seeds_of_trouble_is_there() -> None:
    assert set(ASKED) == {one.serves for one in CATALOGUE}
    assert len({one.name(TABLES) for one in CATALOGUE}) == len(CATALOGUE)
    for one in CATALOGUE:
        assert "now()" not in one.shape.sql.lower()
        assert "interval" not in one.shape.sql.lower()
        assert one.shape.method in ("btree", "brin"), "no hash beside a unique key"
        assert "lower(" not in one.shape.sql.lower()
    bars = [one.shape.keys for one in CATALOGUE if one.table == "{market_data}"]
    assert bars == [("timestamp",)], "the key of the bars is not repeated"
    for one in CATALOGUE:
        others = [other for other in CATALOGUE if other is not one and other.table == one.table]
        assert not [other for other in others if serves(other.shape, one.shape)], "none makes another needless"


async def test_the_schema_that_init_makes_has_them_all_under_any_name(database_dsn: str) -> None:
    async with worker(database_dsn) as indexes:
        assert {one.state for one in await indexes.reader.standings()} == {"present"}
        await execute(
            database_dsn,
            "ALTER INDEX execution_engine_order_book_idx RENAME TO book",
            "DROP INDEX execution_engine_order_user_idx",
            "CREATE INDEX wide ON execution_engine_order (created_by_id DESC, created_at ASC, id)",
            "DROP INDEX pipeline_runs_user_idx",
            "CREATE INDEX pipeline_runs_user_idx ON pipeline_runs (triggered_by_id) WHERE triggered_by_id > 5",
            "DROP INDEX task_runs_run_idx",
        )
        standing = {one.name: one for one in await indexes.reader.standings()}
        result = await run(indexes, of("build"))
    book = standing["execution_engine_order_book_idx"]
    assert (book.state, book.index and book.index.name) == ("present", "book")
    user = standing["execution_engine_order_user_idx"]
    assert (user.state, user.index and user.index.name) == ("present", "wide"), "read backwards it does the same"
    assert standing["pipeline_runs_user_idx"].state == "different"
    assert standing["task_runs_run_idx"].state == "missing"
    assert [each["index"] for each in result["details"]] == ["task_runs_run_idx"]
    assert "pipeline_runs_user_idx is another index" in result["warnings"][0]


def test_a_predicate_is_the_same_however_it_is_written() -> None:
    ours = normalised("status IN ('PENDING', 'PARTIALLY_FILLED') AND order_type = 'LIMIT'")
    assert ours == normalised(
        "((status = ANY (ARRAY['PENDING'::text, 'PARTIALLY_FILLED'::text])) AND (order_type = 'LIMIT'::text))"
    )
    assert ours == normalised(
        "(((order_type)::text = 'LIMIT'::text) AND ((status)::text = ANY ("
        "(ARRAY['PARTIALLY_FILLED'::character varying, "
        "'PENDING'::character varying])::text[])))"
    )
    assert ours != normalised("(status = ANY (ARRAY['PENDING'::text])) AND (order_type = 'LIMIT'::text)")


def test_what_serves_and_what_does_not() -> None:
    wanted = Shape(("a", "b DESC"), include=("c",))
    assert serves(Shape(("a", "b DESC", "d"), include=("c", "e")), wanted)
    assert serves(Shape(("a DESC", "b"), include=("c",)), wanted)
    assert not serves(Shape(("a", "b"), include=("c",)), wanted), "mixed order can't be read backwards"
    assert not serves(Shape(("b DESC", "a"), include=("c",)), wanted)
    assert not serves(Shape(("a", "b DESC")), wanted)
    assert not serves(Shape(("a", "b DESC"), "hash", ("c",)), wanted)
    assert not serves(Shape(("a", "b DESC"), include=("c",), predicate="a > 1"), wanted)
    assert serves(Shape(("t",)), Shape(("t",), "brin")), "a b-tree on time does what the BRIN does"
    one = replace(CATALOGUE[0], shape=wanted)
    assert judge(one, TABLES, [existing(wanted, is_valid=False)])[0] == "invalid"
    assert judge(one, TABLES, [existing(wanted, is_valid=False, is_building=True)])[0] == "building"
    assert judge(one, TABLES, [existing(wanted, is_valid=False), existing(wanted)])[0] == "present"


def existing(shape: Shape, **more: Any) -> Existing:
    facts: dict[str, Any] = {
        "oid": 1, "name": "x", "schema": "public", "table_oid": 2, "table": "public.t", "kind": "i", "shape": shape,
        "definition": "", "bytes": 0, "is_valid": True, "is_live": True, "is_unique": False, "is_attached": False,
        "is_replica_identity": False, "is_building": False, "constraint": "", "may": True,
    }  # fmt: skip
    return Existing(**{**facts, **more})
