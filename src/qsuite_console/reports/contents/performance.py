"""The report "performance": scores with their reasons, figures against their limits, trends, what to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qsuite_console.model import units
from qsuite_console.model.advice import Analysis, Finding, Heavy, Measure, Score
from qsuite_console.model.alerts import RuleList, RuleView
from qsuite_console.model.health import Level
from qsuite_console.model.series import Line, Mark, Series
from qsuite_console.model.text import clean
from qsuite_console.reports.axes import amount
from qsuite_console.reports.document import (
    Advice,
    Block,
    Cell,
    Column,
    Curve,
    Document,
    Fact,
    Gauge,
    Gauges,
    Limit,
    LineChart,
    Notice,
    Section,
    Table,
    Tone,
    cell,
)
from qsuite_console.reports.frame import Frame, unread_lines

# chart title, unit, recorded figures: what shares an axis
TRENDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("Host: processor and memory", "%", ("host.cpu", "host.memory")),
    ("PostgreSQL: cache hit rate and connections in use", "%", ("postgresql.cache_hit", "postgresql.connections")),
    ("PostgreSQL: transactions", "/s", ("postgresql.tps",)),
    ("Redis: hit rate and memory in use", "%", ("redis.hit_rate", "redis.memory")),
    ("Time the platform's tables take to answer", "s", ("application.response_time",)),
    ("Jobs waiting in the deepest queue", "", ("jobs.queued",)),
)
_STATEMENT: Final = 160  # characters of a statement in a table
_LEVELS: Final[dict[str, Tone]] = {Level.OK: "good", Level.WARNING: "warn", Level.CRITICAL: "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was read for the report."""

    analysis: Analysis
    series: Series | None
    rules: RuleList | None
    problems: tuple[str, ...] = ()


def build(frame: Frame, found: Found, *, most_rows: int) -> Document:
    """Return the report; what could not be read is told on its cover."""
    analysis = found.analysis
    notes = [*found.problems, *unread_lines(analysis.unread)]
    if found.series is not None and found.series.problem:
        notes.append(f"trends: {found.series.problem}")
    sections = [
        _scores(analysis),
        _thresholds(found.rules, analysis),
        _trends(frame, found.series),
        _alerts(frame, found.series, most_rows),
        _findings(analysis.findings),
        _heavy(analysis.heavy, most_rows),
    ]
    overall = next((score for score in analysis.scores if score.area == "overall"), None)
    value = "unknown" if overall is None or overall.value is None else f"{overall.value:.0f}"
    counts = {name: sum(one.severity == name for one in analysis.findings) for name in ("critical", "warning", "info")}
    return frame.document(
        "Performance report",
        sections,
        subtitle=f"{analysis.database or 'no database'}, {analysis.cache or 'no cache'}",
        newest=analysis.at,
        coverage=_coverage(analysis, found.series),
        notes=notes,
        highlights=(
            Fact("overall score of 100", value, _score_tone(overall)),
            Fact("critical findings", str(counts["critical"]), "bad" if counts["critical"] else "good"),
            Fact("warnings", str(counts["warning"]), "warn" if counts["warning"] else "good"),
        ),
    )  # fmt: skip


def _score_tone(score: Score | None) -> Tone:
    if score is None or score.value is None:
        return "faint"
    return "good" if score.value >= 80 else "warn" if score.value >= 50 else "bad"


def _coverage(analysis: Analysis, series: Series | None) -> str:
    known = sum(measure.value is not None for measure in analysis.measures)
    text = f"{known} of {len(analysis.measures)} figures measured"
    if series is None or not series.lines:
        return f"{text}; no trends recorded"
    return f"{text}; {_recorded(series):.0f} % of the window recorded"


def _recorded(series: Series) -> float:
    """Return the share of the window in which the best recorded figure has values, in percent."""
    window = max(1.0, (series.end - series.start).total_seconds())
    best = max(
        (sum(point.mean is not None for point in line.points) * series.step_s for line in series.lines), default=0.0
    )
    return min(100.0, 100 * best / window)


def _scores(analysis: Analysis) -> Section:
    blocks: list[Block] = [
        Gauges(
            gauges=tuple(
                Gauge(label=score.area, value=score.value, note=f"{100 * score.known:.0f} % of it measured")
                for score in analysis.scores
            )
        )
    ]
    rows = [(cell(score.area), cell(reason)) for score in analysis.scores for reason in score.reasons]
    blocks.append(
        Table(
            title="Why",
            columns=(Column(title="score"), Column(title="reason", is_wide=True)),
            rows=tuple(rows),
            total=len(rows),
            empty="every measured figure is as it should be",
        )
    )
    plain = [(score.area, component) for score in analysis.scores for component in score.components]
    blocks.append(
        Table(
            title="Plain formulas, for comparison",
            columns=(Column(title="score"), Column(title="value", is_number=True), Column(title="formula")),
            rows=tuple(
                (cell(area), cell(None if one.value is None else round(one.value, 1)), cell(one.formula))
                for area, one in plain
            ),
            total=len(plain),
        )
    )
    intro = "0 to 100; only what was measured counts, and the worst figure caps its score."
    return Section(id="scores", title="Scores", blocks=tuple(blocks), intro=intro)


def _thresholds(rules: RuleList | None, analysis: Analysis) -> Section:
    blocks: list[Block] = []
    if rules is not None and rules.rules:
        views = [view for view in rules.rules if view.enabled]
        blocks.append(
            Table(
                title="Figures that are watched, and their limits",
                columns=(
                    Column(title="figure"),
                    Column(title="now", is_number=True),
                    Column(title="state"),
                    Column(title="limits"),
                ),
                rows=tuple((cell(f"{v.source}: {v.title}"), _now(v), _state(v), cell(v.limits)) for v in views),
                total=len(views),
            )
        )
    unknown = [one for one in analysis.measures if one.value is None]
    why = (Column(title="not measured because"),) if unknown else ()
    blocks.append(
        Table(
            title="Figures that the scores count",
            columns=(
                Column(title="figure"),
                Column(title="value", is_number=True),
                Column(title="score", is_number=True),
                Column(title="weight", is_number=True),
                *why,
            ),
            rows=tuple(_measure(one)[: 4 + len(why)] for one in analysis.measures),
            total=len(analysis.measures),
        )
    )
    return Section(id="thresholds", title="Figures and thresholds", blocks=tuple(blocks))


def _now(view: RuleView) -> Cell:
    return cell(view.value, "" if view.value is None else amount(view.value, view.unit))


def _state(view: RuleView) -> Cell:
    return cell(
        "not measured" if view.level is Level.UNKNOWN else str(view.level), tone=_LEVELS.get(view.level, "faint")
    )


def _measure(one: Measure) -> tuple[Cell, ...]:
    return (
        cell(f"{one.area}: {one.title}"),
        cell(one.value, _value(one)),
        cell(None if one.score is None else round(one.score)),
        cell(one.weight),
        cell(one.why) if one.value is None else Cell(""),
    )


def _value(one: Measure) -> str:
    if one.value is None:
        return ""
    if one.unit == "1/0":
        return "yes" if one.value else "no"
    return amount(round(one.value, 2), one.unit)


def _trends(frame: Frame, series: Series | None) -> Section:
    lines = {line.name: line for line in series.lines} if series is not None else {}
    blocks: list[Block] = []
    for title, unit, names in TRENDS:
        shown = [lines[name] for name in names if name in lines and lines[name].points]
        if shown:
            blocks.append(_chart(frame, title, unit, shown))
    if not blocks:
        why = series.problem if series is not None and series.problem else "the console has not run in this window"
        blocks.append(Notice(title="No trend was recorded in this window", lines=(why,)))
    return Section(id="trends", title="Trends", blocks=tuple(blocks))


def _chart(frame: Frame, title: str, unit: str, lines: Sequence[Line]) -> LineChart:
    began = min(point.at for line in lines for point in line.points)
    first, is_late = frame.local(began), began - frame.start > (frame.end - frame.start) / 20
    start = min(began.timestamp(), frame.end.timestamp() - 60) if is_late else frame.start.timestamp()
    limits: list[Limit] = []
    for line in lines:
        if line.warning is not None:
            limits.append(Limit(label=f"{line.title} warns", value=line.warning))
        if line.critical is not None:
            limits.append(Limit(label=f"{line.title} critical", value=line.critical, tone="bad"))
    return LineChart(
        title=title,
        unit=unit,
        curves=tuple(
            Curve(label=line.title, points=tuple((point.at.timestamp(), point.mean) for point in line.points))
            for line in lines
        ),
        start=start,
        end=frame.end.timestamp(),
        zone=frame.zone,
        limits=tuple(limits),
        note=f"Nothing was recorded before {first:%Y-%m-%d %H:%M:%S}."
        if is_late
        else "Gaps: nothing was measured there.",
    )


def _alerts(frame: Frame, series: Series | None, most_rows: int) -> Section:
    marks = [mark for mark in (series.marks if series is not None else ()) if mark.kind == "alert"]
    table = Table(
        title="Alerts that burned in the window",
        columns=(
            Column(title="since"),
            Column(title="until"),
            Column(title="level"),
            Column(title="alert", is_wide=True),
        ),
        rows=tuple(_alert(frame, mark) for mark in reversed(marks))[:most_rows],
        total=len(marks),
        empty="no alert burned in this window",
    )
    return Section(id="alerts", title="Alerts", blocks=(table,))


def _alert(frame: Frame, mark: Mark) -> tuple[Cell, ...]:
    until = cell(mark.until, frame.moment(mark.until)) if mark.until else cell("burns", tone="bad")
    return (
        cell(mark.at, frame.moment(mark.at)),
        until,
        cell(mark.level, tone=_LEVELS.get(mark.level, "")),
        cell(mark.title),
    )


def _findings(findings: Sequence[Finding]) -> Section:
    blocks: tuple[Block, ...] = tuple(map(_finding, findings))
    if not blocks:
        blocks = (Notice(title="Nothing to change was found", tone="good"),)
    intro = "The worst first, each with what was found, the rule it breaks, and what to run."
    return Section(id="findings", title="What to change", blocks=blocks, intro=intro if findings else "")


def _finding(one: Finding) -> Advice:
    facts = [Fact("found", clean("; ".join(f"{each.name} {each.text}" for each in one.evidence), 600))]
    facts.append(Fact("rule", clean(f"{one.id}: {one.formula}", 600)))
    if one.recommended:
        facts.append(Fact("change", clean(f"{f'{one.current} to ' if one.current else ''}{one.recommended}", 400)))
    if one.advice:
        facts.append(Fact("note", clean(one.advice, 800)))
    if one.fix and one.effect != "none":
        facts.append(Fact("takes effect", f"after a {one.effect}"))
    subject = f" ({clean(one.subject, 200)})" if one.subject else ""
    return Advice(
        title=f"{clean(one.title, 200)}{subject}",
        severity=str(one.severity),
        facts=tuple(facts),
        code=clean(one.fix, 2000, one_line=False),
    )


def _heavy(heavy: Sequence[Heavy], most_rows: int) -> Section:
    blocks: list[Block] = []
    for kind, title in (("statement", "Costliest statements"), ("table", "Biggest tables")):
        rows = [one for one in heavy if one.kind == kind]
        if rows:
            names = tuple(rows[0].figures)
            blocks.append(
                Table(
                    title=title,
                    columns=(*(Column(title=name.replace("_", " "), is_number=True) for name in names),
                             Column(title=kind, is_wide=True)),
                    rows=tuple(
                        (*(_figure(name, one.figures.get(name)) for name in names), cell(clean(one.name, _STATEMENT)))
                        for one in rows[:most_rows]
                    ),
                    total=len(rows),
                )
            )  # fmt: skip
    if not blocks:
        blocks.append(Notice(title="No statement or table could be listed", tone="faint"))
    return Section(id="heavy", title="Heavy operations", blocks=tuple(blocks))


def _figure(name: str, value: float | None) -> Cell:
    is_size = name == "bytes" or name.endswith("_bytes")
    return cell(value, units.size(value) if is_size and value is not None else "")
