"""Every figure and page against plain Python over the same rows; and that a page costs the same wherever it lies."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.pipelines.platform_runs import MONTH_S, PIPELINES, RUNS, Platform, counted, services, since
from qsuite_console.cli.main import run
from qsuite_console.metrics.pipelines import ListProbe, RunProbe, RunsProbe, cursor_of
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.pipelines import Pipelines, Runs, RunStatistics, RunTasks
from qsuite_console.sandbox import servers
from qsuite_console.workers import Services


async def ask_list(found: Services, **parameters: Any) -> Pipelines:
    return await ListProbe(found).ask(parameters)


async def ask_runs(found: Services, **parameters: Any) -> Runs:
    return await RunsProbe(found).ask(parameters)


@pytest.mark.parametrize("window_s", [3600.0, 86_400.0, MONTH_S + 60])
async def test_the_list_is_what_python_counts(platform: Platform, window_s: float) -> None:
    async with services(platform.dsn) as found:
        answer = await ask_list(found, window_s=window_s)
    assert answer.unread == ()
    assert answer.cost_ms > 0
    assert [each.name for each in answer.pipelines] == sorted(platform.names.values())
    assert answer.total == PIPELINES
    rows = since(platform, window_s)
    assert answer.statistics == counted(rows)
    active = [row for row in platform.runs if row["status"] in ("pending", "running")]
    running = [row["started_at"] for row in active if row["status"] == "running"]
    assert answer.active is not None
    assert (answer.active.pending, answer.active.running) == (len(active) - len(running), len(running))
    assert answer.active.oldest_at == min(running)
    of: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        of.setdefault(row["pipeline_id"], []).append(row)
    newest: dict[int, dict[str, Any]] = {}
    for row in platform.runs:
        newest.setdefault(row["pipeline_id"], row)
    for each in answer.pipelines:
        assert each.statistics == counted(of.get(each.id, []))
        row = newest.get(each.id)
        assert (each.last is None) == (row is None)
        if each.last is not None and row is not None:
            told = (each.last.id, each.last.status, each.last.created_at, each.last.completed_at, each.last.pipeline)
            assert told == (row["id"], row["status"], row["created_at"], row["completed_at"], each.name)
    assert sum(each.last is None for each in answer.pipelines) == 1


async def test_the_list_is_filtered_by_words_and_by_the_last_run(platform: Platform) -> None:
    newest: dict[int, str] = {}
    for row in platform.runs:
        newest.setdefault(row["pipeline_id"], row["status"])
    async with services(platform.dsn) as found:
        for text in ("pipe-01", "0 PIPE 2", "100%", "_", "nothing", "%"):
            answer = await ask_list(found, text=text)
            expected = sorted(n for n in platform.names.values() if all(w in n for w in text.lower().split()))
            assert [each.name for each in answer.pipelines] == expected, text
            assert answer.total == len(expected)
        for status in ("failed", "running", "cancelled"):
            answer = await ask_list(found, status=status)
            assert {each.id for each in answer.pipelines} == {i for i, s in newest.items() if s == status}
        answer = await ask_list(found, limit=10)
        assert (len(answer.pipelines), answer.total) == (10, PIPELINES)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"pipeline_id": 42},
        {"status": "failed"},
        {"status": "running"},
        {"pipeline_id": 42, "status": "failed"},
        {"pipeline_id": PIPELINES},
    ],
)
async def test_pages_lead_through_all_runs_and_back(platform: Platform, wanted: dict[str, Any]) -> None:
    expected = [row["id"] for row in since(platform, MONTH_S, **wanted)]
    asked = {"pipeline": wanted.get("pipeline_id", 0), "status": wanted.get("status", ""), "window_s": MONTH_S}
    limit = 500 if len(expected) > 2_000 else 37
    async with services(platform.dsn) as found:
        seen: list[int] = []
        page = first = await ask_runs(found, **asked, limit=limit)
        pages = [page]
        while page.older and len(pages) < 5:
            page = await ask_runs(found, **asked, limit=limit, older=page.older)
            pages.append(page)
        for each in pages:
            seen += [run.id for run in each.runs]
        assert seen == expected[: len(seen)]
        assert page.older or len(seen) == len(expected)
        back = [page]
        while page.newer:
            page = await ask_runs(found, **asked, limit=limit, newer=page.newer)
            back.append(page)
        assert [[run.id for run in each.runs] for each in reversed(back)] == [[r.id for r in p.runs] for p in pages]
        assert page.newer == "" == first.newer
    assert first.statistics == counted(
        since(platform, MONTH_S, **{k: v for k, v in wanted.items() if k == "pipeline_id"})
    )
    assert first.name == platform.names.get(wanted.get("pipeline_id", 0), "")


async def test_a_connection_lent_by_a_pooler_answers_the_same(platform: Platform) -> None:
    async with services(platform.dsn, pgbouncer=True) as lent, services(platform.dsn) as own:
        for text in ("", "pipe-042"):
            through, direct = await ask_runs(lent, text=text), await ask_runs(own, text=text)
            assert (through.runs, through.statistics, through.unread) == (direct.runs, direct.statistics, ())
            assert (await ask_list(lent, text=text)).pipelines == (await ask_list(own, text=text)).pipelines


async def test_figures_are_those_of_the_filter_asked_for(platform: Platform) -> None:
    """Two questions after another never get one's answer for the other's."""
    async with services(platform.dsn) as found:
        for pipeline in (0, 5, 6, 0, 5):
            answer = await ask_runs(found, pipeline=pipeline, window_s=86_400.0, limit=1)
            own = {"pipeline_id": pipeline} if pipeline else {}
            assert answer.statistics == counted(since(platform, 86_400.0, **own))


async def test_runs_are_found_by_the_name_of_their_pipeline(platform: Platform) -> None:
    """The whole name means that one; words mean all that have them; signs of patterns mean themselves."""
    async with services(platform.dsn) as found:
        for text, name in (("pipe-04", ""), ("pipe-042", "pipe-042"), ("%", "pipe-007_100%"), ("no such", "")):
            ids = {number for number, known in platform.names.items() if text in known}
            expected = [row for row in since(platform, 86_400.0) if row["pipeline_id"] in ids]
            answer = await ask_runs(found, text=text, window_s=86_400.0, limit=50)
            assert [run.id for run in answer.runs] == [row["id"] for row in expected[:50]], text
            assert answer.name == (name or (f"{len(ids)} pipelines")), text
            assert (answer.statistics or RunStatistics()) == counted(expected)
        assert (await ask_runs(found, text="pipe-042")).pipeline == 42


async def test_a_run_shows_its_failed_task_first(platform: Platform) -> None:
    failed = next(row for row in platform.runs if row["status"] == "failed" and row["id"] % 3 == 0)
    async with services(platform.dsn) as found:
        answer: RunTasks = await RunProbe(found).ask({"run": failed["id"]})
        gone: RunTasks = await RunProbe(found).ask({"run": RUNS * 10})
    assert answer.run is not None
    assert answer.run.error == "source timed out"
    assert [(task.name, task.status) for task in answer.tasks] == [
        ("load", "failed"),
        ("extract", "success"),
        ("clean", "success"),
        ("transform", "success"),
        ("notify", "skipped"),
    ]
    assert answer.tasks[0].rows == failed["id"] * 4
    assert answer.usual == counted(since(platform, 7 * 86_400.0, pipeline_id=failed["pipeline_id"]))
    assert (gone.run, gone.tasks) == (None, ())


@pytest.mark.parametrize("older", ["yesterday", "2026-01-01T00:00:00~5", "2026-01-01T00:00:00+00:00~x", "~"])
async def test_what_is_no_place_of_a_page_is_refused(platform: Platform, older: str) -> None:
    async with services(platform.dsn) as found:
        with pytest.raises(InvalidParameters, match="is not where a page ended"):
            await ask_runs(found, older=older)
        with pytest.raises(InvalidParameters, match="is not a choice"):
            await ask_runs(found, status="faild")


async def test_what_the_platform_lacks_is_named_and_the_rest_is_shown(
    database_dsn: str, empty_database_dsn: str
) -> None:
    async with services(empty_database_dsn) as found:
        answer = await ask_list(found)
        assert [each.what for each in answer.unread] == ["pipelines"]
        assert '"pipelines" does not exist' in answer.unread[0].why
        assert "tables.pipelines" in answer.unread[0].hint
        page = await ask_runs(found, pipeline=3)
        assert page.unread
        assert page.runs == ()
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("ALTER TABLE pipeline_runs RENAME COLUMN error_message TO problem; DROP TABLE task_runs")
    await connection.execute("INSERT INTO pipelines (name) VALUES ('a')")
    async with services(database_dsn) as found:
        answer = await ask_list(found)
        assert "error_message" in answer.unread[0].why
        assert "must have the columns" in answer.unread[0].hint
        await connection.execute("ALTER TABLE pipeline_runs RENAME COLUMN problem TO error_message")
        await connection.execute("INSERT INTO pipeline_runs (pipeline_id, status) VALUES (1, 'pending')")
        run = await RunProbe(found).ask({"run": 1})
        assert run.run is not None
        assert [each.what for each in run.unread] == ["its tasks"]
    await connection.close()


async def test_tables_of_other_names_and_schemas_are_found(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        'CREATE SCHEMA etl; ALTER TABLE pipelines RENAME TO "Flow"; ALTER TABLE "Flow" SET SCHEMA etl;'
        "ALTER TABLE pipeline_runs SET SCHEMA etl; INSERT INTO etl.\"Flow\" (name) VALUES ('a');"
        "INSERT INTO etl.pipeline_runs (pipeline_id, status) VALUES (1, 'pending')"
    )
    async with services(database_dsn, pipelines="etl.Flow", pipeline_runs="etl.pipeline_runs") as found:
        answer = await ask_list(found)
        assert answer.unread == ()
        assert [each.last.status for each in answer.pipelines if each.last] == ["pending"]
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{database}" SET search_path = etl, public')
    async with services(database_dsn, pipelines="Flow") as found:  # found where the role itself looks
        assert (await ask_list(found)).unread == ()
    await connection.close()


async def test_a_role_without_the_right_is_told_which_one(postgres: servers.Server, database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("CREATE ROLE looker LOGIN PASSWORD 'x'; GRANT SELECT ON pipelines TO looker")
    try:
        async with services(re.sub(r"//[^@]*@", "//looker:x@", database_dsn)) as found:
            answer = await ask_list(found)
            assert [each.hint for each in answer.unread] == [
                "GRANT SELECT ON pipelines, pipeline_runs TO looker",
            ]
    finally:
        await connection.execute("DROP OWNED BY looker; DROP ROLE looker")
        await connection.close()


async def test_a_server_that_is_down_is_an_error(free_port: int) -> None:
    async with services(f"postgresql://nobody@127.0.0.1:{free_port}/none") as found:
        with pytest.raises(ConsoleError, match=r"refused|answer|reach"):
            await asyncio.wait_for(ask_list(found), 30)


@pytest.fixture
def free_port() -> int:
    return servers.free_port()


def test_the_verbs_show_the_same(
    platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", platform.dsn)

    def told(*arguments: str) -> tuple[int, str, str]:
        code = run(["--home", str(tmp_path), "pipelines", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    code, out, err = told("list", "--text", "pipe-04", "--since", "30d")
    assert code == 0
    assert all(name in out for name in platform.names.values() if "pipe-04" in name)
    assert f"{RUNS} runs" in err or "runs:" in err
    failed = [row for row in platform.runs if row["pipeline_id"] == 42 and row["status"] == "failed"]
    code, out, _ = told(
        "runs", "--pipeline", "pipe-042", "--status", "failed", "--since", "40d", "--limit", "2", "--json"
    )
    page = json.loads(out)
    assert [each["id"] for each in page["runs"]] == [row["id"] for row in failed[:2]]
    asked = ("--pipeline", "pipe-042", "--status", "failed", "--since", "40d", "--limit", "2", "--json")
    _, out, _ = told("runs", *asked, "--older", page["older"])
    below = json.loads(out)
    assert [each["id"] for each in below["runs"]] == [row["id"] for row in failed[2:4]]
    _, out, _ = told("runs", *asked, "--newer", below["newer"])
    assert json.loads(out)["runs"] == page["runs"]
    tasked = next(row for row in platform.runs if row["status"] == "failed" and row["id"] % 3 == 0)
    code, out, _ = told("show", str(tasked["id"]))
    assert (code, "source timed out" in out) == (0, True)
    assert out.index("load") < out.index("extract")
    assert told("show", str(RUNS * 9))[0] == 2
    code, _, err = told("runs", "--older", "x")
    assert (code, "--older" in err) == (2, True)
    assert told("runs", "--since", "3x")[0] == 2
    assert told()[0] == 0


def test_a_cursor_keeps_the_microsecond() -> None:
    from qsuite_console.metrics.pipelines import run_of

    at = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    row = {"id": 7, "pipeline_id": 1, "pipeline": "a", "status": "failed", "created_at": at, "started_at": None}
    assert cursor_of(run_of({**row, "completed_at": None, "error": None})) == "2026-01-02T03:04:05.678901+00:00~7"
