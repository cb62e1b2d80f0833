"""The real executable in processes of its own, each with a home of its own, and a kind of job from another package."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from integration.cli.terminal import Terminal
from qsuite_console.attach import find_engine
from qsuite_console.cli.archive import Archive
from qsuite_console.config.settings import Settings
from qsuite_console.model.errors import NotFound
from qsuite_console.model.jobs import Job, JobQuery
from qsuite_console.model.wire import EngineInfo
from qsuite_console.paths import resolve

PLUGIN = '''
"""A kind of job as another package would bring it: counts, saves every step, ends as asked."""

import asyncio
import os
from typing import Literal

import msgspec

from qsuite_console.engine.ports import JobKind, Permanent
from qsuite_console.model.kinds import Plan, PlanLine


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    steps: int = 3
    step_s: float = 0.02
    until: str = ""  # goes on until this file exists
    ending: Literal["good", "bad"] = "good"
    note: str = ""


class CountWorker:
    kind = JobKind(
        name="test.count", title="Count", description="Counts steps.", parameters=Parameters, changes_data=False
    )

    def __init__(self, services):
        pass

    def title(self, parameters):
        return f"count to {parameters.steps}"

    async def plan(self, parameters):
        lines = (PlanLine(label="steps", value=str(parameters.steps), note="one by one"),)
        return Plan(kind="test.count", title=self.title(parameters), lines=lines, figures={"steps": parameters.steps})

    async def run(self, context, parameters):
        done = began_at = (context.checkpoint or {}).get("done", 0)
        while done < parameters.steps or (parameters.until and not os.path.exists(parameters.until)):
            await asyncio.sleep(parameters.step_s)
            done += 1
            await context.save({"done": done})
            context.progress(done, parameters.steps, unit="steps", message="counting")
            context.log.info("step %d", done)
            await context.breathe()
        if parameters.ending == "bad":
            raise Permanent("it ended badly", hint="ask for a good ending")
        return {"steps": done, "began_at": began_at}
'''


@dataclass
class Console:
    """Starts ``qsuite-console`` processes on one home; everything still running is ended with the test."""

    home: Path
    environ: dict[str, str]
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a process; its stdout and stderr are pipes."""
        settings: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
            "env": {**self.environ, **options.get("env", {})},
        }
        child = subprocess.Popen([sys.executable, "-m", "qsuite_console", *arguments], **settings)
        self.children.append(child)
        return child

    def run(self, *arguments: str, stdin: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run to the end and return what it printed."""
        source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"stdin": subprocess.PIPE}
        return self._finish(self.start(*arguments, env=environ, **source), stdin)

    def together(self, *commands: Sequence[str]) -> list[subprocess.CompletedProcess[str]]:
        """Run commands beside each other, which is quicker where each waits for something, and return their ends."""
        return [self._finish(child) for child in [self.start(*command) for command in commands]]

    def _finish(self, child: subprocess.Popen[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        out, err = child.communicate(stdin, timeout=60)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a verb with --json and return its document."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """Return the condition's first true answer."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{what} did not happen within {seconds} s")

    def peek(self) -> list[Job]:
        """Return the jobs as the history has them, newest first, without the price of a process."""
        with Archive(resolve(str(self.home)), Settings()) as archive:
            return list(asyncio.run(archive.jobs(JobQuery())).jobs)

    def wait_for_job(self, state: str, job_id: int = 1, *, saved: bool = False) -> None:
        """Wait until a job is in ``state`` (and has saved a checkpoint)."""

        def is_there() -> bool:
            with Archive(resolve(str(self.home)), Settings()) as archive:
                try:
                    detail = asyncio.run(archive.job(job_id))
                except NotFound:
                    return False
            return detail.job.state == state and (not saved or bool(detail.checkpoint))

        self.wait_for(is_there, f"job {job_id} being {state}")

    def wait_for_engine(self, seconds: float = 60) -> EngineInfo:
        """Return who answers on the home's socket."""
        info: EngineInfo = self.wait_for(lambda: find_engine(resolve(str(self.home))), "an engine", seconds)
        return info

    def close(self) -> None:
        """End what still runs."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate(timeout=20)


@pytest.fixture(scope="session")
def plugin_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds an installed package with a kind of job of its own."""
    path = tmp_path_factory.mktemp("plugin")
    (path / "counting_plugin.py").write_text(PLUGIN)
    info = path / "counting_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[qsuite_console.workers]\ntest.count = counting_plugin:CountWorker\n")
    return path


@pytest.fixture
def console(tmp_path: Path, plugin_path: Path) -> Iterator[Console]:
    """A console with an empty home and nothing of this machine's environment."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV")}
    found = Console(
        tmp_path / "home",
        {
            **kept,
            "HOME": str(tmp_path),
            "QSUITE_CONSOLE_HOME": str(tmp_path / "home"),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(plugin_path), os.environ.get("PYTHONPATH")))),
            "TERM": "dumb",
        },
    )
    yield found
    found.close()


@pytest.fixture
def open_terminal(console: Console) -> Iterator[Callable[..., Terminal]]:
    """Open consoles of the home in terminals, closed with the test."""
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        environ = {**console.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        opened.append(Terminal(environ, *arguments))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()
