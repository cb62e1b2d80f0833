"""What each way into the program loads, measured in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCREEN = {"textual", "rich", "plotext", "weasyprint"}
PIPE = {"celery", "kombu"}


def modules_after(code: str, tmp_path: Path, *, argv: tuple[str, ...] = ()) -> set[str]:
    """Return the modules a fresh interpreter holds after ``code``."""
    report = tmp_path / "modules.json"
    script = (
        "import atexit, json, pathlib, sys\n"
        f"atexit.register(lambda: pathlib.Path({str(report)!r}).write_text(json.dumps(sorted(sys.modules))))\n"
        f"sys.argv = ['qsuite-console', *{list(argv)!r}]\n{code}\n"
    )
    environ = {**os.environ, "QSUITE_CONSOLE_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert report.exists(), done.stderr
    return set(json.loads(report.read_text()))


RUN_MAIN = "from qsuite_console.__main__ import main\nmain()"


def test_version_loads_almost_nothing(tmp_path: Path) -> None:
    loaded = modules_after(RUN_MAIN, tmp_path, argv=("--version",))
    bare = modules_after("pass", tmp_path)
    extra = loaded - bare
    assert not {name for name in extra if name.partition(".")[0] in SCREEN | {"click", "asyncio", "msgspec", "asyncpg"}}
    assert len([name for name in extra if name.startswith("qsuite_console")]) <= 6
    assert len(extra) <= 40, sorted(extra)


@pytest.mark.parametrize(
    "argv", [("--help",), ("config", "show"), ("config", "path"), ("jobs", "--help"), ("run", "--help")]
)
def test_plain_verbs_load_no_screen(tmp_path: Path, argv: tuple[str, ...]) -> None:
    loaded = modules_after(RUN_MAIN, tmp_path, argv=argv)
    assert not {name for name in loaded if name.partition(".")[0] in SCREEN}


def test_help_imports_no_verb(tmp_path: Path) -> None:
    loaded = modules_after(RUN_MAIN, tmp_path, argv=("--help",))
    verbs = {"run", "jobs", "doctor", "init", "sandbox", "database"}
    assert not {f"qsuite_console.cli.{verb}" for verb in verbs} & loaded


def test_the_headless_path_loads_no_screen(tmp_path: Path) -> None:
    code = (
        "import qsuite_console.headless.http, qsuite_console.headless.service, qsuite_console.runtime\n"
        "from qsuite_console import workers\n"
        "for kind in workers.kinds():\n"
        "    from qsuite_console.cli.kinds import find_kind\n"
        "    find_kind(kind)\n"
    )
    loaded = modules_after(code, tmp_path)
    assert "qsuite_console.headless.service" in loaded
    assert not {name for name in loaded if name.partition(".")[0] in SCREEN | PIPE}


def test_importing_paths_and_settings_touches_nothing(tmp_path: Path) -> None:
    modules_after("import qsuite_console.paths, qsuite_console.config.loading, qsuite_console.logs", tmp_path)
    assert not (tmp_path / "home").exists()
