"""The worker of docs/workers.md: packaged, installed by pip and run as any user's own kind of job."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.cli.conftest import Console

PAGE = Path(__file__).parents[3] / "docs" / "workers.md"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has put the package that the page describes, file for file."""
    source, target = tmp_path_factory.mktemp("stale-symbols"), tmp_path_factory.mktemp("site")
    blocks = re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == ["pyproject.toml", "stale_symbols.py"]
    for name, text in blocks:
        source.joinpath(name).write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


async def add_bars(dsn: str) -> None:
    now = datetime.now(UTC)
    connection = await asyncpg.connect(dsn)
    await connection.executemany(
        "INSERT INTO price_ticks (symbol, timeframe, timestamp, open, high, low, close, volume)"
        " VALUES ($1, '1Day', $2, 1, 1, 1, 1, 1)",
        [("AAPL", now - timedelta(days=1)), ("MSFT", now - timedelta(days=9))],
    )
    await connection.close()


def test_the_worker_of_the_page_is_found_described_validated_and_run(
    console: Console, installed: Path, database_dsn: str
) -> None:
    asyncio.run(add_bars(database_dsn))
    console.environ["PYTHONPATH"] = os.pathsep.join((str(installed), console.environ["PYTHONPATH"]))
    console.environ["DATABASE_URL"] = database_dsn
    assert "List the symbols whose newest bar is old." in console.run("run", "--help").stdout
    described = console.run("run", "ticks.stale", "--help").stdout
    assert "--symbols" in described
    assert "older than this many days" in described
    refused = console.run("run", "ticks.stale", "--symbols", "AAPL", "--days", "0")
    assert refused.returncode == 2
    assert "--days" in refused.stderr
    answer: Any = console.json("run", "ticks.stale", "--symbols", "AAPL,MSFT,NEWCO", "--days", "5")
    assert (answer["kind"], answer["state"]) == ("ticks.stale", "succeeded")
    assert answer["result"] == {"stale": ["MSFT", "NEWCO"], "checked": 3}
    shown = console.json("jobs", "show", str(answer["job_id"]))
    assert "symbols without a bar for 5 days" in str(shown)
    assert "NEWCO: no bar at all" in console.run("jobs", "logs", str(answer["job_id"])).stdout
    (kinds,) = [check for check in console.json("doctor")["checks"] if check["name"] == "job kinds"]
    assert kinds["verdict"] == "ok"
    assert {"backfill", "test.count", "ticks.stale"} <= set(kinds["what"].split(", "))


def test_a_worker_that_cannot_be_imported_costs_only_its_own_kind(console: Console, tmp_path: Path) -> None:
    broken = tmp_path / "broken-1.0.dist-info"
    broken.mkdir()
    broken.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    broken.joinpath("entry_points.txt").write_text("[qsuite_console.workers]\nbroken.kind = no_such_module:Worker\n")
    console.environ["PYTHONPATH"] = os.pathsep.join((str(tmp_path), console.environ["PYTHONPATH"]))
    assert console.run("run", "test.count", "--steps", "1").returncode == 0
    listed = console.run("run", "--help")
    assert "test.count" in listed.stdout
    refused = console.run("run", "broken.kind")
    assert refused.returncode == 1
    assert "broken.kind" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 2
    (told,) = [check for check in console.json("doctor", code=1)["checks"] if "broken.kind" in check["what"]]
    assert told["verdict"] == "warn"
    assert "no_such_module" in told["what"]
