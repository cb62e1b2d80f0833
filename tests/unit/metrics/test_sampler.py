from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from qsuite_console.metrics.alerts import AlertBook
from qsuite_console.metrics.monitoring import unkept
from qsuite_console.metrics.sampler import HISTORY, Tile
from qsuite_console.metrics.sources import Rates, Sample, SourceSilent, figure, judged
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.health import AlertState, Figure, Level


class ScriptedSource:
    """Answers with whatever the test put into ``answer``."""

    name = "host"
    title = "Host"

    def __init__(self) -> None:
        self.unconfigured = ""
        self.answer: Callable[[], Awaitable[Sample]] = lambda: sample_of(10)

    @property
    def headline(self) -> Figure:
        return figure("cpu", "CPU", "measuring", None, "%")

    async def read(self) -> Sample:
        return await self.answer()

    async def close(self) -> None:
        pass


async def sample_of(cpu: float, disk: float = 10) -> Sample:
    return Sample(
        headline=judged("cpu", "CPU", f"{cpu} %", cpu, "host.cpu", cpu),
        figures=(judged("disk", "disk", f"{disk} %", disk, "host.disk", disk),),
        watched={"host.cpu": cpu, "host.disk": disk},
    )


async def silent() -> Sample:
    raise SourceSilent("no answer from \x1b[31mhost")


def make() -> tuple[ScriptedSource, Tile, AlertBook]:
    source = ScriptedSource()
    book = unkept(SystemClock()).book
    return source, Tile(source, SystemClock(), 2.0, book), book


def test_a_tile_measures_before_its_first_sample() -> None:
    reading = make()[1].reading()
    assert (reading.level, reading.headline.text, reading.sampled_at) == (Level.UNKNOWN, "measuring", None)


async def test_a_tile_is_as_bad_as_its_worst_figure() -> None:
    source, tile, book = make()
    source.answer = lambda: sample_of(10, disk=97)
    await tile.measure(1.0)
    assert tile.reading().level is Level.CRITICAL
    assert [alert.id for alert in book.alerts()] == ["host.disk"]


async def test_a_failure_keeps_the_last_figures_with_their_age_and_says_why() -> None:
    source, tile, _ = make()
    await tile.measure(1.0)
    good = tile.reading()
    source.answer = silent
    await tile.measure(1.0)
    stale = tile.reading()
    assert stale.error == "no answer from ␛[31mhost"
    assert stale.level is Level.CRITICAL
    assert (stale.headline, stale.figures, stale.sampled_at) == (good.headline, good.figures, good.sampled_at)
    assert stale.history == (10, None)


async def test_a_source_that_hangs_costs_its_budget_and_no_more() -> None:
    source, tile, _ = make()
    source.answer = lambda: asyncio.Event().wait()  # type: ignore[assignment, return-value]
    started = asyncio.get_running_loop().time()
    await tile.measure(0.2)
    assert asyncio.get_running_loop().time() - started < 1.0
    assert tile.reading().error == "Host did not answer within 0.2 s"


async def test_a_bug_in_a_reader_costs_one_tile() -> None:
    source, tile, _ = make()

    async def broken() -> Sample:
        raise KeyError("oops")

    source.answer = broken
    await tile.measure(1.0)
    assert tile.reading().error == "reading failed: KeyError: 'oops'"


async def test_silence_is_one_alert_that_clears_when_the_source_is_back() -> None:
    source, tile, book = make()
    await tile.measure(1.0)
    source.answer = silent
    await tile.measure(1.0)
    assert book.alerts() == ()
    await tile.measure(1.0)
    await tile.measure(1.0)
    [alert] = book.alerts()
    assert (alert.id, alert.level, alert.state) == ("host.answers", Level.CRITICAL, AlertState.FIRING)
    assert "no answer" in alert.message


async def test_an_unconfigured_source_is_neither_good_nor_bad() -> None:
    source, tile, book = make()
    source.unconfigured = "not configured: set X"
    await tile.measure(1.0)
    reading = tile.reading()
    assert (reading.level, reading.error, reading.headline.text) == (Level.UNKNOWN, "not configured: set X", "–")
    assert book.alerts() == ()
    assert reading.history == ()


async def test_the_history_is_bounded() -> None:
    _, tile, _ = make()
    for _ in range(HISTORY + 20):
        await tile.measure(1.0)
    assert len(tile.reading().history) == HISTORY >= 120


def test_rates_are_over_the_interval_and_survive_resets() -> None:
    rates = Rates()
    assert rates.advance(100.0, {"a": 1000.0}) is None
    assert rates.advance(102.0, {"a": 1010.0}) == {"a": 10.0}
    assert rates.seconds == 2.0
    assert rates.advance(104.0, {"a": 3.0}) is None  # the counter fell: the server was restarted
    assert rates.advance(106.0, {"a": 5.0}) == {"a": 2.0}
    assert rates.advance(108.0, {"a": 7.0}, epoch="other") is None
    assert rates.advance(108.0, {"a": 9.0}, epoch="other") is None  # no time has passed
    rates.forget()
    assert rates.advance(112.0, {"a": 11.0}, epoch="other") is None
