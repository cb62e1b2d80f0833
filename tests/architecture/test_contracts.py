"""The import contracts hold, and each of them is seen to fail when it is broken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# contract -> (module file, statement that breaks it, what the report must name)
BREACHES = {
    "layers": ("model/text.py", "import qsuite_console.paths", "qsuite_console.model.text -> qsuite_console.paths"),
    "ui": (
        "screens/__init__.py",
        "import qsuite_console.db.queries",
        "qsuite_console.screens -> qsuite_console.db.queries",
    ),
    "noui": ("runtime/__init__.py", "import rich", "qsuite_console.runtime -> rich"),
    "engine": ("engine/retry.py", "import aiohttp", "qsuite_console.engine.retry -> aiohttp"),
    "workers": (
        "workers/other.py",
        "import qsuite_console.workers.backfill",
        "workers.other -> qsuite_console.workers.backfill",
    ),
    "frontends": (
        "sandbox/__init__.py",
        "import qsuite_console.headless.http",
        "sandbox -> qsuite_console.headless.http",
    ),
    "driver-asyncpg": ("workers/__init__.py", "import asyncpg", "qsuite_console.workers -> asyncpg"),
    "driver-redis": ("metrics/units.py", "import redis", "qsuite_console.metrics.units -> redis"),
    "driver-aiohttp": ("cache/client.py", "import aiohttp", "qsuite_console.cache.client -> aiohttp"),
    "driver-psutil": ("metrics/from_jobs.py", "import psutil", "qsuite_console.metrics.from_jobs -> psutil"),
    "driver-plotext": ("widgets/tile.py", "import plotext", "qsuite_console.widgets.tile -> plotext"),
    "driver-sqlite_utils": ("db/queries.py", "import sqlite_utils", "qsuite_console.db.queries -> sqlite_utils"),
    "driver-platformdirs": (
        "config/secrets.py",
        "import platformdirs",
        "qsuite_console.config.secrets -> platformdirs",
    ),
    "driver-croniter": ("metrics/units.py", "import croniter", "qsuite_console.metrics.units -> croniter"),
    "driver-weasyprint": ("reports/render.py", "import weasyprint", "qsuite_console.reports.render -> weasyprint"),
    "driver-jinja2": ("reports/export.py", "import jinja2", "qsuite_console.reports.export -> jinja2"),
    "driver-prometheus_client": (
        "headless/tally.py",
        "import prometheus_client",
        "qsuite_console.headless.tally -> prometheus_client",
    ),
    "renderer": (
        "reports/text.py",
        "import qsuite_console.reports.pages",
        "qsuite_console.reports.text -> qsuite_console.reports.pages",
    ),
    "driver-celery": ("providers/bars.py", "import celery", "qsuite_console.providers.bars -> celery"),
    "control": (
        "bridge.py",
        "import qsuite_console.engine.runner",
        "qsuite_console.bridge -> qsuite_console.engine.runner",
    ),
}


def lint(directory: Path) -> str:
    """Run every contract over ``directory``/src and return the report."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", directory / ".importlinter"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory / "src"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    return done.stdout


def contracts() -> dict[str, str]:
    """Return id -> name of every contract in the configuration."""
    parser = ConfigParser()
    parser.read(ROOT / ".importlinter")
    sections = {name.removeprefix("importlinter:contract:"): name for name in parser.sections() if "contract:" in name}
    return {short: parser[name]["name"] for short, name in sections.items()}


@pytest.fixture(scope="module")
def broken_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on a copy in which every contract is broken once."""
    copy = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / ".importlinter", copy)
    package = copy / "src" / "qsuite_console"
    (package / "utils.py").write_text("")
    for file, statement, _ in BREACHES.values():
        path = package / file
        path.write_text((path.read_text() if path.exists() else "") + f"\n{statement}\n")
    return lint(copy)


def test_every_contract_holds() -> None:
    report = lint(ROOT)
    assert f"Contracts: {len(contracts())} kept, 0 broken." in report, report


def test_every_contract_has_a_breach() -> None:
    assert set(BREACHES) == set(contracts())


@pytest.mark.parametrize("contract", sorted(BREACHES))
def test_a_broken_contract_is_seen(contract: str, broken_report: str) -> None:
    name = contracts()[contract]
    assert f"{name} BROKEN" in broken_report
    importer, _, imported = BREACHES[contract][2].partition(" -> ")
    assert re.search(rf"{re.escape(importer)}\s*->\s*{re.escape(imported)}", broken_report), broken_report


def test_a_stray_module_is_seen(broken_report: str) -> None:
    assert "qsuite_console.utils" in broken_report
