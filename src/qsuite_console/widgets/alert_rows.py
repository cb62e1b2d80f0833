"""Alerts, silences and rules as lines of tables, and one of each in full. Level and standing are told in words."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

from textual.content import Content

from qsuite_console.model import units
from qsuite_console.model.alerts import RuleView, Silence
from qsuite_console.model.health import Alert, Figure, Level
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, looks
from qsuite_console.widgets.cells import Cell, Column, Row
from qsuite_console.widgets.text_view import pairs

CLEARED: Final = looks.Look("✔", "cleared", "dim")
ACKNOWLEDGED: Final = looks.Look("✓", "acknowledged", "dim")
SILENCED: Final = looks.Look("∅", "silenced", "dim")
_LABEL: Final = 12

ALERT_COLUMNS: Final = (
    Column("look", "", 1, keep=9),
    Column("since", "SINCE", 8, keep=7),
    Column("lasts", "LASTS", 8, is_right=True, keep=4),
    Column("state", "STATE", 12, keep=8),
    Column("source", "SOURCE", 11, keep=2),
    Column("message", "WHAT", 24, is_flexible=True, keep=9),
)
SILENCE_COLUMNS: Final = (
    Column("subject", "WHAT IS QUIET", 26, keep=9),
    Column("left", "ENDS IN", 8, is_right=True, keep=8),
    Column("until", "UNTIL", 8, keep=5),
    Column("by", "BY", 16, keep=4),
    Column("reason", "WHY", 20, is_flexible=True, keep=6),
)
RULE_COLUMNS: Final = (
    Column("look", "", 1, keep=9),
    Column("id", "RULE", 26, keep=9),
    Column("now", "NOW", 10, is_right=True, keep=8),
    Column("warning", "WARN", 9, is_right=True, keep=7),
    Column("critical", "CRIT", 9, is_right=True, keep=7),
    Column("clear", "CLEAR", 9, is_right=True, keep=4),
    Column("for", "FOR", 6, is_right=True, keep=3),
    Column("title", "WHAT", 16, is_flexible=True, keep=2),
)


def look_of(alert: Alert) -> looks.Look:
    """Return how an alert stands: its level's glyph while it burns; quiet ones keep the glyph and lose the colour."""
    if not alert.is_burning:
        return CLEARED
    level = looks.LEVELS[alert.level]
    if alert.silenced_until is not None:
        return level._replace(word=SILENCED.word, tone="dim")
    if alert.acknowledged_by is not None:
        return level._replace(word=ACKNOWLEDGED.word, tone="dim")
    return level


def lasted_s(alert: Alert, now: datetime) -> float:
    """Return how long an alert burned, or burns by now, in seconds."""
    return max(0.0, ((alert.cleared_at or now) - alert.since).total_seconds())


def alert_row(alert: Alert, now: datetime, zone: tzinfo | None) -> Row:
    """Return the line of an alert."""
    look = look_of(alert)
    tone = "dim" if look.tone == "dim" else ""
    return {
        "look": Cell(look.glyph, look.tone),
        "since": Cell(figures.moment(alert.since, zone, now), "dim"),
        "lasts": Cell(figures.duration(lasted_s(alert, now)), tone),
        "state": Cell(look.word, look.tone),
        "source": Cell(alert.source, "dim"),
        "message": Cell(alert.message, tone),
    }


def alert_facts(alert: Alert, newest: Figure | None, now: datetime, zone: tzinfo | None, width: int) -> Content:
    """Return everything about an alert; ``newest`` is the figure as it is now."""
    look = look_of(alert)
    level = looks.LEVELS[alert.level].word
    head = level if look.word == level else f"{look.word} ({level})"
    entries = [
        ("now", _text(newest), ""),
        ("limits", alert.limit or figures.DASH, ""),
        ("fired", figures.moment(alert.since, zone, now) + _value(alert), ""),
        ("lasts" if alert.is_burning else "lasted", figures.duration(lasted_s(alert, now)), ""),
    ]
    if alert.cleared_at is not None:
        entries.append(("cleared", figures.moment(alert.cleared_at, zone, now), ""))
    if alert.acknowledged_by is not None:
        at = figures.moment(alert.acknowledged_at, zone, now)
        entries.append(("taken by", f"{alert.acknowledged_by}, {at}", ""))
    if alert.silenced_until is not None:
        why = f": {alert.silence_reason}" if alert.silence_reason else ""
        until = figures.moment(alert.silenced_until, zone, now)
        entries.append(("silenced", f"until {until} by {alert.silenced_by}{why}", ""))
    entries.append(("rule", alert.id, "$dim"))
    if alert.about:
        entries.append(("measures", alert.about, "$dim"))
    title = clean(alert.title or alert.id, 80)
    first = Content.assemble((f"{look.glyph} {head}", looks.TONES[look.tone]), (f"  {title}", "bold"))
    return Content("\n").join([first, *pairs(entries, width=width, label_width=_LABEL)])


def _text(newest: Figure | None) -> str:
    if newest is None:
        return "not measured now"
    return f"{newest.text}" + (f" ({quantity(newest.value, newest.unit)})" if newest.amount is not None else "")


def _value(alert: Alert) -> str:
    return "" if alert.value is None or alert.limit == "" else f", with {quantity(alert.value, alert.unit)}"


def quantity(value: float | None, unit: str) -> str:
    """Return a value with its unit, as limits are written: 85 %, 1,024 MiB, 5 m 10 s."""
    return figures.DASH if value is None else units.quantity(value, unit)


def silence_row(silence: Silence, now: datetime, zone: tzinfo | None) -> Row:
    """Return the line of a silence."""
    is_source = "." not in silence.subject
    return {
        "subject": f"everything of {silence.subject}" if is_source else silence.subject,
        "left": figures.duration(max(0.0, (silence.until - now).total_seconds())),
        "until": Cell(figures.moment(silence.until, zone, now), "dim"),
        "by": Cell(silence.by, "dim"),
        "reason": Cell(silence.reason or "no reason given", "" if silence.reason else "dim"),
    }


def rule_row(rule: RuleView) -> Row:
    """Return the line of a rule: what the settings state is marked with a star."""
    look = looks.LEVELS[rule.level] if rule.enabled else looks.Look("⊘", "off", "dim")
    tone = "" if rule.enabled else "dim"

    def limit(name: str, value: float | None) -> Cell:
        sign = "<" if rule.is_low_bad and value is not None and name != "clear" else ""
        star = "*" if name in rule.changed else ""
        return Cell(f"{sign}{quantity(value, rule.unit)}{star}", "accent" if star else tone)

    return {
        "look": Cell(look.glyph, look.tone),
        "id": Cell(rule.id + ("*" if rule.changed else ""), tone),
        "now": Cell(quantity(rule.value, rule.unit) if rule.enabled else "off", look.tone if rule.enabled else "dim"),
        "warning": limit("warning", rule.warning),
        "critical": limit("critical", rule.critical),
        "clear": limit("clear", rule.clear),
        "for": Cell(figures.duration(rule.for_s) if rule.for_s else "at once", tone),
        "title": Cell(rule.title, "dim"),
    }


def rule_facts(rule: RuleView, width: int) -> Content:
    """Return everything about a rule, and what to write into the configuration to change it."""
    side = "below" if rule.is_low_bad else "at or above"
    named = (("warning", rule.warning), ("critical", rule.critical))
    limits = [f"{name} {side} {quantity(value, rule.unit)}" for name, value in named if value is not None]
    calm = "at or above" if rule.is_low_bad else "at or below"
    is_failing = rule.level in (Level.WARNING, Level.CRITICAL)
    now = quantity(rule.value, rule.unit) if rule.value is not None else "not measured"
    entries = [
        ("measures", rule.about, ""),
        ("now", now, looks.TONES[looks.LEVELS[rule.level].tone] if is_failing else ""),
        ("fires", f"{'; '.join(limits)}; after {_seconds(rule.for_s)}", ""),
        ("clears", f"{calm} {quantity(rule.clear, rule.unit)}, after {_seconds(rule.clear_s)}", ""),
        ("stated", ", ".join(rule.changed) or "nothing: these are the defaults", "$dim"),
        ("change it", f'config.toml: [thresholds."{rule.id}"] warning = …   (y copies it as it is)', "$dim"),
    ]
    state = "" if rule.enabled else "  ⊘ off"
    return Content("\n").join(
        [Content.assemble((rule.title, "bold"), (state, "$warning")), *pairs(entries, width=width, label_width=_LABEL)]
    )


def snippet(rule: RuleView) -> str:
    """Return the table of the configuration that states this rule as it is, line by line."""
    limits = (("warning", rule.warning), ("critical", rule.critical), ("clear", rule.clear))
    stated = [f"{name} = {value:g}" for name, value in limits if value is not None]
    off = [] if rule.enabled else ["enabled = false"]
    times = [f"for_s = {rule.for_s:g}", f"clear_s = {rule.clear_s:g}"]
    return "\n".join((f'[thresholds."{rule.id}"]', *off, *stated, *times))


def _seconds(seconds: float) -> str:
    return figures.duration(seconds) if seconds else "one sample"
