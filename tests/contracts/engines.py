"""A real engine with four small kinds of job, and its two Controls: in process, and over its socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from contracts.operations import operations
from qsuite_console.attach import RemoteControl
from qsuite_console.config.settings import EngineSettings
from qsuite_console.engine.control import Control
from qsuite_console.engine.engine import Engine, Parts
from qsuite_console.engine.ports import JobContext, JobKind, Permanent
from qsuite_console.engine.state import TargetView
from qsuite_console.headless.http import serve_socket
from qsuite_console.history.store import open_store
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.market import CellState, CoverageCell, CoverageMap, CoverageRow


class GreetParameters(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(title="Name", min_length=1)]
    day: date = date(2025, 1, 2)
    tone: Literal["warm", "cold"] = "warm"


class Greet:
    """Succeeds with a result and two log lines; can plan."""

    kind = JobKind(name="greet", title="Greet", description="says hello", parameters=GreetParameters)

    def title(self, parameters: GreetParameters) -> str:
        return f"greet {parameters.name}"

    async def run(self, context: JobContext, parameters: GreetParameters) -> Mapping[str, Any]:
        context.log.info("hello %s", parameters.name)
        context.progress(1, 1, unit="people")
        context.log.warning("and goodbye")
        return {"greeted": parameters.name, "day": parameters.day.isoformat()}

    async def plan(self, parameters: GreetParameters) -> Plan:
        return Plan(
            kind="greet",
            title=f"greet {parameters.name}",
            lines=(PlanLine(label="people", value="1"),),
            figures={"people": 1},
        )


class NoParameters(msgspec.Struct, frozen=True, kw_only=True):
    label: str = "x"


class Hold:
    """Runs until it is cancelled, paused or drained."""

    kind = JobKind(name="hold", title="Hold", description="waits", parameters=NoParameters)

    def title(self, parameters: NoParameters) -> str:
        return f"hold {parameters.label}"

    async def run(self, context: JobContext, parameters: NoParameters) -> Mapping[str, Any]:
        step = 0
        while True:
            step += 1
            context.progress(step, 1000, unit="steps", figures={"http_429": 0, "phase": "fetch"})
            await context.breathe()
            await asyncio.sleep(0.02)


class Stubborn:
    """Runs for ever and never comes to a safe point."""

    kind = JobKind(name="stubborn", title="Stubborn", description="never stops", parameters=NoParameters)

    def title(self, parameters: NoParameters) -> str:
        return "stubborn"

    async def run(self, context: JobContext, parameters: NoParameters) -> Mapping[str, Any]:
        await asyncio.Event().wait()
        return {}


class Fail:
    """Fails for good."""

    kind = JobKind(name="fail", title="Fail", description="fails", parameters=NoParameters)

    def title(self, parameters: NoParameters) -> str:
        return "fail"

    async def run(self, context: JobContext, parameters: NoParameters) -> Mapping[str, Any]:
        raise Permanent("the table is gone", hint="make it")


class Coverage:
    """Answers with a struct of the model."""

    name = "test.coverage"
    timeout_s = 5.0

    async def ask(self, parameters: Mapping[str, Any]) -> CoverageMap:
        cell = CoverageCell(month="2025-01", state=CellState.PARTIAL, present=3, expected=20)
        row = CoverageRow(symbol=str(parameters.get("text", "AAPL")), cells=(cell,))
        return CoverageMap(table="price_ticks", timeframe="1Day", months=("2025-01",), rows=(row,), symbols_total=1)


@contextmanager
def running_engine(
    directory: Path, *, is_read_only: bool = False, word: str = "SANDBOX"
) -> Iterator[tuple[Engine, Path]]:
    """Run an engine with its socket until the block ends; gives the engine and the socket's path."""
    settings, clock, path = EngineSettings(drain_s=2.0), SystemClock(), directory / "engine.sock"
    with ExitStack() as stack:
        store = open_store(directory / "history.sqlite", settings=settings, clock=clock)
        stack.callback(store.close)
        engine = Engine(
            Parts(
                store=store,
                workers={worker.kind.name: worker for worker in (Greet(), Hold(), Stubborn(), Fail())},
                probes={Coverage.name: Coverage()},
                operations=operations(),
            ),
            settings=settings,
            clock=clock,
            target=TargetView(name="test", word=word, is_read_only=is_read_only),
            version="0.test",
        )
        engine.add_service(_Socket(engine, path))
        stack.callback(lambda: engine.stop(0.5))
        engine.start()
        yield engine, path


class _Socket:
    """Serves the engine's Control once there is one."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    async def __aenter__(self) -> None:
        self._served = serve_socket(self._engine.control, self._path, origin="test")
        await self._served.__aenter__()

    async def __aexit__(self, *failure: Any) -> None:
        await self._served.__aexit__(*failure)


@contextmanager
def local(directory: Path, **options: Any) -> Iterator[Control]:
    with running_engine(directory, **options) as (engine, _):
        yield engine.control


@contextmanager
def remote(directory: Path, **options: Any) -> Iterator[Control]:
    with running_engine(directory, **options) as (_, path), RemoteControl(path) as control:
        yield control


CONTROLS: dict[str, Callable[..., Any]] = {"local": local, "remote": remote}


async def until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)
