"""A server that stops answering, seen from the console: real servers, the real engine, the screen by its keys.

Everything that shows the server says within three seconds that it is stale, keys answer as before, what is back is
shown within two seconds, and no connection is left over.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from textual.pilot import Pilot

from fakes.stopwatch import Stopwatch
from integration.service.watching import tell
from qsuite_console.app import ConsoleApp
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, DatabaseSettings, InterfaceSettings, Settings, TableSettings
from qsuite_console.db.schema import create_schema
from qsuite_console.engine.ports import Claiming
from qsuite_console.paths import resolve
from qsuite_console.runtime import open_runtime
from qsuite_console.sandbox import servers
from qsuite_console.screens.panes import Pane, PaneScreen
from qsuite_console.widgets.tile import Tile
from screens.seeing import seen

STALL_S = float(os.environ.get("QSUITE_TEST_STALL_S", "4"))
SLACK = float(os.environ.get("QSUITE_TEST_SLACK", "2"))  # this machine may be busy with other tests
ELSEWHERE = {"pooler", "answers"}  # panes that ask another server, or the console itself
STALE_WITHIN_S, BACK_WITHIN_S, KEY_WITHIN_S = 3.0, 2.0, 0.1


@dataclass(slots=True)
class Platform:
    """Two servers of its own, and a console on them."""

    directory: Path
    password: str = field(default_factory=servers.make_password)
    postgres: servers.Server = field(init=False)
    valkey: servers.Server = field(init=False)

    def start(self) -> None:
        self.start_postgres()
        self.start_valkey()

    def start_postgres(self, port: int = 0) -> None:
        self.postgres = servers.start_postgres(self.directory, password=self.password, port=port)

    def start_valkey(self, port: int = 0) -> None:
        self.valkey = servers.start_valkey(self.directory, password=self.password, port=port)

    def stop(self) -> None:
        for server in (self.postgres, self.valkey):
            if server.is_alive:
                tell(server, signal.SIGCONT)
            server.stop()

    async def sessions(self) -> int:
        """How many sessions the console has on PostgreSQL."""
        connection = await asyncpg.connect(self.postgres.url, timeout=20)
        try:
            counted = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'qsuite-console%'"
            )
        finally:
            await connection.close()
        return int(counted)

    async def clients(self) -> int:
        """How many clients Valkey has, but for the one that asks."""
        address = urlsplit(self.valkey.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(f"AUTH {address.password}\r\nCLIENT LIST\r\n".encode())
        assert await reader.readline() == b"+OK\r\n"
        length = int((await reader.readline())[1:])
        listed = (await reader.readexactly(length)).decode()
        writer.close()
        await writer.wait_closed()
        return len(listed.strip().split("\n")) - 1


@pytest.fixture
def platform() -> Iterator[Platform]:
    directory = Path(tempfile.mkdtemp(prefix="qsuite-stall-"))
    directory.chmod(0o711)
    made = Platform(directory)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)


@asynccontextmanager
async def console_on(platform: Platform, home: Path) -> AsyncIterator[Pilot[Any]]:
    connection = await asyncpg.connect(platform.postgres.url)
    await create_schema(connection, TableSettings())
    await connection.close()
    settings = Settings(
        database=DatabaseSettings(dsn=Secret(platform.postgres.url)),
        cache=CacheSettings(url=Secret(platform.valkey.url)),
    )
    with open_runtime(settings, resolve(str(home)), claim=Claiming.ALL, origin="test") as runtime:
        app = ConsoleApp(runtime.control, interface=InterfaceSettings(theme="dark"))
        async with app.run_test(size=(120, 40)) as pilot:
            yield pilot


async def wait_for(condition: Callable[[], object], limit_s: float, what: Callable[[], str]) -> float:
    """Return the seconds until a condition holds."""
    with Stopwatch() as waited:
        while not condition():
            assert waited.seconds < limit_s, f"not within {limit_s:g} s: {what()}"
            await asyncio.sleep(0.02)
    return waited.seconds


async def key_time(pilot: Pilot[Any], wanted_s: float = KEY_WITHIN_S) -> float:
    """The median seconds of a key, down and up in turns, beyond what the pilot itself waits after a key without effect.

    Measured up to three times while it is longer than wanted: other tests share the processor, a stall would not pass.
    """
    medians: list[float] = []
    while len(medians) < 3 and (not medians or medians[-1] > wanted_s):
        times: dict[str, list[float]] = {"f9": [], "j": [], "k": []}
        for key in ("f9", "j", "k") * 4:
            started = time.monotonic()
            await pilot.press(key)
            times[key].append(time.monotonic() - started)
            await asyncio.sleep(0.02)
        medians.append(max(0.0, statistics.median(times["j"] + times["k"]) - min(times["f9"])))
    return min(medians)


@dataclass(slots=True)
class Scene:
    """What is stalled, and where that must be seen."""

    pilot: Pilot[Any]
    place: str  # the key of its screen
    tile: str
    count: Callable[[], Awaitable[int]]

    @property
    def app(self) -> ConsoleApp:
        app = self.pilot.app
        assert isinstance(app, ConsoleApp)
        return app

    def tile_words(self) -> str:
        tile = self.app.screen.query_one(f"#tile-{self.tile}", Tile)
        return f"{tile.border_title} {tile.border_subtitle}"

    async def tile_is(self, is_stale: bool, limit_s: float) -> float:
        return await wait_for(lambda: ("stale" in self.tile_words()) is is_stale, limit_s, self.tile_words)

    @property
    def screen(self) -> PaneScreen:
        screen = self.app.screen
        assert isinstance(screen, PaneScreen)
        return screen

    async def pane_is(self, is_stale: bool, limit_s: float) -> float:
        return await wait_for(lambda: ("stale" in seen(self.app)) is is_stale, limit_s, lambda: seen(self.app))

    async def visit_panes(self) -> list[str]:
        """Look at every pane until it has an answer; return those that got one."""
        loaded = []
        for kind in self.screen.PANES:
            if kind.NAME in ELSEWHERE:
                continue
            pane = await self.show_pane(kind.NAME)
            if pane.PROBE:
                question = pane.question
                await wait_for(
                    lambda question=question: question.answer is not None or question.problem,
                    30,
                    lambda: seen(self.app),
                )
                if question.answer is not None:
                    loaded.append(pane.NAME)
        await self.show_pane(loaded[0])
        return loaded

    async def show_pane(self, name: str) -> Pane[Any]:
        """Go to a pane and wait until it is the one that is seen."""
        await self.screen.turn_to(name)
        pane = self.screen.pane
        assert pane is not None
        assert name == pane.NAME
        await self.pilot.pause()
        return pane

    async def steady(self) -> int:
        """The number of connections once it holds still."""
        last, same = -1, 0
        while same < 5:
            number = await self.count()
            same = same + 1 if number == last else 0
            last = number
            await asyncio.sleep(0.3)
        return last

    async def no_more_than(self, before: int) -> int:
        """The number of connections, as soon as there are no more than before."""
        end = time.monotonic() + 30
        while (now := await self.count()) > before:
            assert time.monotonic() < end, f"{now} connections, {before} before: some have leaked"
            await asyncio.sleep(0.2)
        return now


async def stall(
    scene: Scene, stop: Callable[[], None], resume: Callable[[], None], report: Callable[[str], None]
) -> None:
    """Stop the server under the overview, then under its own screen with every pane; watch and count."""
    pilot = scene.pilot
    await pilot.press(scene.place)
    loaded = await scene.visit_panes()
    assert len(loaded) >= 4, loaded
    await pilot.press("1")
    await scene.tile_is(False, 20)
    quiet_s = await key_time(pilot)
    before = await scene.steady()

    stop()
    tile_s = await scene.tile_is(True, STALE_WITHIN_S * SLACK)
    words = scene.tile_words()
    tile_key_s = await key_time(pilot)
    resume()
    tile_back_s = await scene.tile_is(False, BACK_WITHIN_S * SLACK)

    await pilot.press(scene.place)
    await scene.pane_is(False, 20)
    pane_quiet_s = await key_time(pilot)
    stop()
    started = time.monotonic()
    pane_s = await scene.pane_is(True, STALE_WITHIN_S * SLACK)
    others = {}
    for name in loaded[1:]:
        await scene.show_pane(name)
        others[name] = await scene.pane_is(True, STALE_WITHIN_S * SLACK)
    await scene.show_pane(loaded[0])
    pane_key_s = await key_time(pilot)
    await asyncio.sleep(max(0.0, STALL_S - (time.monotonic() - started)))
    assert "stale" in seen(scene.app)
    line = next(line for line in seen(scene.app).split("\n") if "stale" in line)
    resume()
    pane_back_s = await scene.pane_is(False, BACK_WITHIN_S * SLACK)
    after = await scene.no_more_than(before)
    report(
        f"{scene.tile}: tile stale after {tile_s:.2f} s ({words}), back after {tile_back_s:.2f} s; pane stale after "
        f"{pane_s:.2f} s, others {{{', '.join(f'{name} {s:.2f} s' for name, s in others.items())}}}, still so after "
        f"{STALL_S:g} s ({line.strip()}), back after {pane_back_s:.2f} s; a key takes {1000 * quiet_s:.0f} ms on the "
        f"overview and {1000 * pane_quiet_s:.0f} ms here, stalled {1000 * tile_key_s:.0f} ms and "
        f"{1000 * pane_key_s:.0f} ms; connections {before} before, {after} after"
    )
    assert tile_key_s < max(KEY_WITHIN_S, 3 * quiet_s)
    assert pane_key_s < max(KEY_WITHIN_S, 3 * pane_quiet_s)


async def killed(
    scene: Scene, kill: Callable[[], None], restart: Callable[[], None], report: Callable[[str], None]
) -> None:
    """Kill the server, start it again on its port; watch and count."""
    pilot = scene.pilot
    await pilot.press(scene.place)
    await scene.pane_is(False, 20)
    before = await scene.steady()
    quiet_s = await key_time(pilot)
    kill()
    pane_s = await scene.pane_is(True, STALE_WITHIN_S * SLACK)
    key_s = await key_time(pilot)
    await asyncio.to_thread(restart)
    back_s = await scene.pane_is(False, BACK_WITHIN_S * SLACK)
    await pilot.press("1")
    tile_s = await scene.tile_is(False, BACK_WITHIN_S * SLACK)
    after = await scene.no_more_than(before)
    report(
        f"{scene.tile} killed: pane stale after {pane_s:.2f} s; restarted: pane back after {back_s:.2f} s, tile after "
        f"{tile_s:.2f} s more; a key takes {1000 * quiet_s:.0f} ms, meanwhile {1000 * key_s:.0f} ms; connections "
        f"{before} before, {after} after"
    )
    assert key_s < max(KEY_WITHIN_S, 3 * quiet_s)


@pytest.mark.slow
async def test_postgresql_stops_and_dies(
    platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def report(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")

    async with console_on(platform, tmp_path) as pilot:
        scene = Scene(pilot, "5", "postgresql", platform.sessions)
        await stall(
            scene,
            lambda: tell(platform.postgres, signal.SIGSTOP),
            lambda: tell(platform.postgres, signal.SIGCONT),
            report,
        )
        port = platform.postgres.port
        await killed(
            scene,
            lambda: tell(platform.postgres, signal.SIGKILL),
            lambda: platform.start_postgres(port),
            report,
        )
        assert platform.postgres.port == port


@pytest.mark.slow
async def test_valkey_stops_and_dies(platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def report(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")

    async with console_on(platform, tmp_path) as pilot:
        scene = Scene(pilot, "6", "redis", platform.clients)
        await stall(
            scene,
            lambda: tell(platform.valkey, signal.SIGSTOP),
            lambda: tell(platform.valkey, signal.SIGCONT),
            report,
        )
        port = platform.valkey.port
        await killed(
            scene,
            lambda: tell(platform.valkey, signal.SIGKILL),
            lambda: platform.start_valkey(port),
            report,
        )
        assert platform.valkey.port == port
