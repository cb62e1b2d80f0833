"""Pictures of the screens for the documentation: ``make shots`` writes docs/pictures/SCREEN-WxH[-light].svg.

Every glyph is pinned to its cell, so that any renderer aligns it like a terminal; where ``rsvg-convert`` is installed
a PNG is written beside each SVG.
"""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.pop("NO_COLOR", None)
os.environ.update(TEXTUAL_ANIMATIONS="none", TEXTUAL_COLOR_SYSTEM="truecolor", TZ="UTC")

from rich.cells import cell_len
from textual.pilot import Pilot

from fakes import cache, objects, system
from fakes.alerting import alerting
from fakes.celery import celery_answers
from fakes.control import FakeControl, demo
from fakes.flows import give_flows
from fakes.made_reports import report_answers
from fakes.optimizing import plan
from fakes.pipelining import pipeline_answers
from fakes.timetable import scheduled
from fakes.writing import log_tail
from screens.seeing import console, seen, until

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SIZES = ((80, 24), (120, 40))
CELL = 12.2  # width of a cell in Textual's SVG
_RUN = re.compile(
    r'<text class="([^"]*-r\d+)" x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+" [^>]*>(.*?)</text>', re.DOTALL
)


@dataclass(frozen=True)
class Shot:
    """A screen, the keys that lead to it, and a text that says that it is drawn."""

    name: str
    keys: tuple[str, ...]
    drawn: str
    make: Callable[[], FakeControl] = demo


def whole() -> FakeControl:
    """A platform that answers the questions of every pane."""
    control = give_flows(alerting())
    now = control.clock.now
    control.answers |= {**objects.object_answers(now), **cache.cache_answers(now), **system.system_answers(now)}
    return control


def machine() -> FakeControl:
    """The same, with the curves of the host."""
    control = whole()
    control.answers["metrics.series"] = lambda parameters: system.series(control.clock.now(), parameters)
    return control


def kept() -> FakeControl:
    """A platform with pipelines, reports and a plan of what would put it in shape."""
    control = demo()
    now = control.clock.now
    control.answers |= {**pipeline_answers(now), **report_answers(now), "optimize": plan(now)}
    control.answers |= {**celery_answers(now), "system.log": lambda _: log_tail(now())}
    return control


SHOTS = (
    Shot("overview", (), "PostgreSQL"),
    Shot("jobs", ("2",), "backfill AAPL"),
    Shot("job", ("colon", *"job 412", "enter"), "Throughput"),
    Shot("backfill", ("3", "enter", *"all", "enter"), "39 symbols a request"),
    Shot("backfill-map", ("3", "m", "j", "j", "h", "h"), "2026-09:"),
    Shot("backfill-run", ("3", "w"), "rows"),
    Shot("market", ("4",), "AAPL"),
    Shot("market-chart", ("4", "enter"), "volume"),
    Shot("database", ("5",), "pid", whole),
    Shot("database-blocking", ("colon", *"database blocking", "enter"), "root", whole),
    Shot("database-statements", ("colon", *"database statements", "enter"), "SELECT t.symbol", whole),
    Shot("database-replication", ("colon", *"database replication", "enter"), "replica-b", whole),
    Shot("cache", ("6",), "hit rate", whole),
    Shot("cache-families", ("colon", *"cache families", "enter"), "FAMILY", whole),
    Shot("system", ("7",), "busy", machine),
    Shot("alerts", ("8",), "critical", alerting),
    Shot("schedules", ("9",), "warm-prices", scheduled),
    Shot("pipelines", ("0",), "RUNS", kept),
    Shot("reports", ("g", "r"), "Market report", kept),
    Shot("celery", ("g", "q"), "legacy", kept),
    Shot("log", ("g", "l"), "answers again", kept),
    Shot("optimize", ("o",), "vacuum and analyze", kept),
)


def pin(svg: str) -> str:
    """Return the picture with each glyph at the place of its cell."""

    def pinned(match: re.Match[str]) -> str:
        style, x, y, body = match.groups()
        at, glyphs = float(x), []
        for character in html.unescape(body).replace("\n", ""):
            if character not in " \u00a0":
                glyphs.append(f'<text x="{at:.1f}" y="{y}">{html.escape(character, quote=False)}</text>')
            at += CELL * cell_len(character)
        return f'<g class="{style}">{"".join(glyphs)}</g>'

    return _RUN.sub(pinned, svg)


async def take(shot: Shot, size: tuple[int, int], *, theme: str = "") -> Path:
    """Draw one screen and write its picture; return its path."""
    control = shot.make()
    app = console(control)
    async with app.run_test(size=size) as pilot:
        if theme:
            app.theme = f"qsuite-{theme}"
        await pilot.pause(0.3)
        await follow(pilot, shot)
        name = f"{shot.name}-{size[0]}x{size[1]}{f'-{theme}' if theme else ''}.svg"
        path = PICTURES / name
        path.write_text(pin(app.export_screenshot(title=f"qsuite-console: {shot.name}", simplify=True)) + "\n")
    return path


async def follow(pilot: Pilot[Any], shot: Shot) -> None:
    """Press the keys one by one, each after the screen has come to rest."""
    for key in shot.keys:
        await pilot.press(key)
        await rest(pilot)
    await until(pilot, lambda: shot.drawn in seen(pilot.app), shot.drawn)
    await rest(pilot)


async def rest(pilot: Pilot[Any]) -> None:
    """Wait until the screen has not changed for a while."""
    before, calm = "", 0
    while calm < 3:
        await pilot.pause(0.1)
        now = seen(pilot.app)
        calm, before = (calm + 1, now) if now == before else (0, now)


def convert(path: Path) -> Path | None:
    """Write a PNG beside the SVG, where the converter is installed."""
    program = shutil.which("rsvg-convert")
    if program is None:
        return None
    target = path.with_suffix(".png")
    subprocess.run([program, str(path), "-o", str(target)], check=True)
    return target


async def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for shot in SHOTS:
        for size in SIZES:
            print(convert(path := await take(shot, size)) or path)
    for name in ("overview", "backfill"):
        shot = next(shot for shot in SHOTS if shot.name == name)
        print(convert(path := await take(shot, SIZES[1], theme="light")) or path)


if __name__ == "__main__":
    asyncio.run(main())
