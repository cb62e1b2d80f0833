"""Headless engines as real processes over one run table, with a kind of job whose effects can be counted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from acceptance.product import PROGRAM
from fakes.jobs import until
from qsuite_console.attach import RemoteControl
from qsuite_console.model.errors import ConsoleError
from qsuite_console.paths import resolve

FAR = 300.0  # seconds: how long a loaded machine may take
QUEUES = ("general", "data_processing")
PLUGIN = """
import asyncio, os
import msgspec
from qsuite_console.engine.ports import JobKind

class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    n: int = 0
    steps: int = 1
    wait_s: float = 0.05

class Effect:
    kind = JobKind(name="test.effect", title="Effect", description="Has one.", parameters=Parameters, queue="general")

    def __init__(self, services):
        self.database = services.database

    def title(self, parameters):
        return f"effect {parameters.n}"

    async def run(self, context, parameters):
        first = (context.checkpoint or {}).get("step", 0)
        await self.write("INSERT INTO begun VALUES ($1, $2, $3, $4)", parameters.n, context.attempt, first, os.getpid())
        for step in range(first, parameters.steps):
            await asyncio.sleep(parameters.wait_s)
            await context.save({"step": step + 1})
            context.progress(step + 1, parameters.steps, unit="steps")
            await context.breathe()
        await self.write(
            "INSERT INTO effect VALUES ($1, $2, 1) ON CONFLICT (n) DO UPDATE SET times = effect.times + 1",
            parameters.n, os.getpid(),
        )
        return {"n": parameters.n, "pid": os.getpid()}

    async def write(self, sql, *values):
        async with self.database.session("effect") as connection:
            await connection.execute(sql, *values)
"""


class Processes:
    """Headless engines, each with a home of its own."""

    def __init__(self, directory: Path, dsn: str, lease_s: float, **environment: str) -> None:
        self.directory = directory
        self.lease_s = lease_s
        self.environment = {"DATABASE_URL": dsn, **environment}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        plugins = directory / "plugins"
        info = plugins / "effect_plugin-1.0.dist-info"
        info.mkdir(parents=True)
        (plugins / "effect_plugin.py").write_text(PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: effect-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[qsuite_console.workers]\ntest.effect = effect_plugin:Effect\n")

    def start(self, name: str, slots: int) -> subprocess.Popen[bytes]:
        """Start an engine that does so many runs of each of two queues; 0 only hands out."""
        paths = resolve(str(self.directory / name)).ensure()
        queues = (f'[queues.{queue}]\nslots = {slots}\nexecution = "nodes"\nin_flight = 200\n' for queue in QUEUES)
        paths.config_file.write_text(f"{''.join(queues)}[runs]\nlease_s = {self.lease_s}\n")
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        environment = {
            **kept,
            "QSUITE_CONSOLE_HOME": str(self.directory / name),
            **self.environment,
            "PYTHONPATH": str(self.directory / "plugins"),
        }
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([str(PROGRAM), "--headless"], env=environment, stdout=log, stderr=log)
        self.running[name] = process
        return process

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    @contextlib.asynccontextmanager
    async def attached(self, name: str) -> AsyncIterator[RemoteControl]:
        path = resolve(str(self.directory / name)).socket

        def connect() -> RemoteControl | None:
            with contextlib.suppress(ConsoleError):
                return RemoteControl(path).__enter__()
            return None

        control = await until(connect, FAR)
        try:
            yield control
        finally:
            control.__exit__(None, None, None)
