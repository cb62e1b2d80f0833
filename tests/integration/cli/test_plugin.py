"""The package of docs/plugin-example: installed by pip, described, run; and packages that are broken in every way."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.cli.conftest import Console
from qsuite_console.attach import RemoteControl
from qsuite_console.paths import resolve

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = DOCS / "plugin-example"
MODULE = EXAMPLE / "src" / "stale_symbols" / "__init__.py"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has put the example package: built offline, beside nothing else."""
    target, source = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source") / "plugin-example"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def test_the_page_shows_the_example_as_it_is() -> None:
    blocks = re.findall(r"^```(toml|python)\n(.*?)^```$", (DOCS / "workers.md").read_text(), re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == ["toml", "python", "python"]
    assert blocks[0][1] == (EXAMPLE / "pyproject.toml").read_text()
    for _, text in blocks[1:]:
        assert text in MODULE.read_text()


def test_the_example_passes_its_own_test(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path / "tests")],
        env={**os.environ, "PYTHONPATH": str(installed)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


async def add_bars(dsn: str) -> None:
    now = datetime.now(UTC)
    connection = await asyncpg.connect(dsn)
    await connection.execute("INSERT INTO market_data_ticker (symbol, is_active) VALUES ('AAPL', true), ('MSFT', true)")
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
    assert console.json("run", "ticks.stale", "--dry-run")["figures"] == {"symbols": 2}
    answer: Any = console.json("run", "ticks.stale", "--symbols", "aapl,MSFT,NEWCO", "--days", "5")
    assert (answer["kind"], answer["state"]) == ("ticks.stale", "succeeded")
    assert set(answer["result"]["stale"]) == {"MSFT", "NEWCO"}
    assert answer["result"]["checked"] == 3
    shown = console.json("jobs", "show", str(answer["job_id"]))
    assert "bars of 3 symbols older than 5 days" in str(shown)
    assert "NEWCO: no bar at all" in console.run("jobs", "logs", str(answer["job_id"])).stdout
    (kinds,) = [check for check in console.json("doctor")["checks"] if check["name"] == "job kinds"]
    assert kinds["verdict"] == "ok"
    assert {"backfill", "test.count", "ticks.stale"} <= set(kinds["what"].split(", "))


def test_an_engine_describes_it_as_forms_and_the_http_api_see_it(console: Console, installed: Path) -> None:
    console.environ["PYTHONPATH"] = os.pathsep.join((str(installed), console.environ["PYTHONPATH"]))
    engine = console.start("--headless")
    console.wait_for_engine()
    with RemoteControl(resolve(str(console.home)).socket) as control:
        infos = {info.name: info for info in asyncio.run(control.kinds())}
        problems = asyncio.run(control.check("ticks.stale", {"symbols": ["AAPL", " "], "days": 5}))
    found = infos["ticks.stale"]
    assert [(spec.name, spec.type, spec.label) for spec in found.parameters] == [
        ("symbols", "list", "Symbols"), ("days", "integer", "Days"),
    ]  # fmt: skip
    assert (found.parameters[1].default, found.parameters[1].minimum, found.can_plan) == (5, 1, True)
    assert {(problem.field, problem.message) for problem in problems} == {("symbols", "a symbol is empty")}
    engine.terminate()
    engine.communicate(timeout=30)


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


BROKEN = {
    "broken.import": ("nowhere_to_be_found:Worker", "", "No module named 'nowhere_to_be_found'"),
    "broken.exit": ("leaving:Worker", "raise SystemExit(3)", "SystemExit"),
    "broken.object": ("plain:worker", "worker = {'kind': 1}", "is no class"),
    "broken.kind": ("kindless:Worker", "class Worker: pass", "Worker.kind is no JobKind"),
    "broken.name": ("misnamed:Worker", "", "its kind is named other.name"),
    "broken.run": ("lazy:Worker", "", "Worker has no run"),
    "broken.maker": ("unmade:Worker", "", "making it failed with RuntimeError: no licence"),
    "backfill": ("kindless:Worker", "", "is not used: the console has one of that name"),
}
WORKER = """
import msgspec
from qsuite_console.engine.ports import JobKind


class Parameters(msgspec.Struct):
    days: int = 1


class Worker:
    kind = JobKind(name="{name}", title="T", description="D", parameters=Parameters)

    def __init__(self, services):
        {made}

    def title(self, parameters):
        return "t"
{run}
"""
RUN = "    async def run(self, context, parameters):\n        return {}"


def test_packages_that_are_broken_are_named_and_harm_nobody(console: Console, tmp_path: Path) -> None:
    for module, text, _ in BROKEN.values():
        if text:
            tmp_path.joinpath(f"{module.partition(':')[0]}.py").write_text(text)
    for module, name, made, run in (
        ("misnamed", "other.name", "pass", RUN),
        ("lazy", "broken.run", "pass", ""),
        ("unmade", "broken.maker", "raise RuntimeError('no licence')", RUN),
    ):
        tmp_path.joinpath(f"{module}.py").write_text(WORKER.format(name=name, made=made, run=run))
    points = "".join(f"{name} = {module}\n" for name, (module, _, _) in BROKEN.items())
    info = tmp_path / "shaky_pack-2.1.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: shaky-pack\nVersion: 2.1\n")
    info.joinpath("entry_points.txt").write_text(f"[qsuite_console.workers]\n{points}")
    console.environ["PYTHONPATH"] = os.pathsep.join((str(tmp_path), console.environ["PYTHONPATH"]))
    told = [check["what"] for check in console.json("doctor", code=1)["checks"] if check["name"] == "job kinds"]
    for name, (_, _, why) in BROKEN.items():
        (line,) = [what for what in told if f" {name} of the package shaky-pack 2.1" in what]
        assert why in line
    listed = console.run("run", "--help").stdout
    assert listed.count("can't be loaded; qsuite-console doctor says why") == 6
    assert console.run("run", "test.count", "--steps", "1").returncode == 0
    refused = console.run("run", "broken.maker")
    assert refused.returncode == 2
    assert "no licence" in (console.home / "log" / "console.log").read_text()
