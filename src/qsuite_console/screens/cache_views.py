"""What the cache's panes write: figures of memory and traffic, one key, families, as lines of a given width. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from textual.content import Content

from qsuite_console.model.cache import TTL_LABELS, KeyDetail, MemoryPanel, Persistence, Replication
from qsuite_console.model.text import clean
from qsuite_console.screens.listing import milliseconds
from qsuite_console.widgets import figures
from qsuite_console.widgets.text_view import pairs

_FULL, _ALMOST = 85.0, 70.0  # percent of maxmemory
_SLOW_MS: Final = 25.0
_FRAGMENTED, _WASTED = 1.5, 100 * 1024**2
_LABEL: Final = 11
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
Entry = tuple[str, str, str]


def life(ttl_s: float | None, is_lasting: bool | None) -> str:
    """Return when a key expires: "no TTL", "42 s", "01:20"; a dash where it may not be read."""
    if is_lasting is None:
        return figures.DASH
    return "no TTL" if is_lasting else figures.duration(ttl_s)


def life_tone(is_lasting: bool | None) -> str:
    """Return the tone of a life: keys that stay are quiet."""
    return "dim" if is_lasting in (True, None) else ""


def histogram(shares: Sequence[float]) -> str:
    """Return the shares of a TTL histogram as blocks, one cell a class; an empty class is a blank."""
    return "".join(_BLOCKS[0 if share <= 0 else max(1, round(share * (len(_BLOCKS) - 1)))] for share in shares)


def histogram_words(shares: Sequence[float]) -> str:
    """Return the classes that have a share: "no TTL 12 % · ≤ 1 min 88 %"."""
    parts = [
        f"{label} {100 * share:.0f} %" if share >= 0.01 else f"{label} <1 %"
        for label, share in zip(TTL_LABELS, shares, strict=False)
        if share > 0
    ]
    return " · ".join(parts) or "not known"


def memory_lines(panel: MemoryPanel, width: int) -> Content:
    """Return where the memory is."""
    memory = panel.memory
    rows: list[Entry] = []
    if memory.limit and memory.used is not None:
        share = 100 * memory.used / memory.limit
        mark = "✖ " if share >= _FULL else "▲ " if share >= _ALMOST else ""
        style = "$error" if share >= _FULL else "$warning" if share >= _ALMOST else ""
        rows.append(("used", f"{mark}{figures.size(memory.used)}, {share:.1f} %", style))
        rows.append(("limit", f"{figures.size(memory.limit)}, {memory.policy or 'policy unknown'}", ""))
    else:
        rows.append(("used", figures.size(memory.used), ""))
        host = f", host {figures.size(memory.host)}" if memory.host else ""
        rows.append(("limit", f"▲ none{host}", "$warning"))
        rows.append(("policy", memory.policy or figures.DASH, ""))
    rows.append(("peak", figures.size(memory.peak), ""))
    rows.append(("resident", figures.size(memory.resident), ""))
    rows.append(("data", _of(memory.dataset, memory.used), ""))
    rows.append(("overhead", _of(memory.overhead, memory.used), ""))
    rows.append(("clients", figures.size(memory.clients), ""))
    if memory.scripts:
        rows.append(("scripts", figures.size(memory.scripts), ""))
    if memory.backlog:
        rows.append(("backlog", figures.size(memory.backlog), ""))
    rows.append(_fragmentation(memory.allocator_ratio, memory.allocator_wasted))
    return _join(rows, width)


def _of(part: int | None, whole: int | None) -> str:
    if part is None or not whole:
        return figures.size(part)
    return f"{figures.size(part)}, {100 * part / whole:.0f} %"


def _fragmentation(ratio: float | None, wasted: int | None) -> Entry:
    if ratio is None:
        return "fragmented", figures.DASH, ""
    is_bad = ratio > _FRAGMENTED and (wasted or 0) > _WASTED
    lost = "" if wasted is None else f", {figures.size(wasted)} lost"
    return "fragmented", f"{'▲ ' if is_bad else ''}{ratio:.2f}{lost}", "$warning" if is_bad else ""


def traffic_lines(panel: MemoryPanel, width: int) -> Content:
    """Return what it does, over the interval."""
    flow = panel.flow
    hit = "idle: too few lookups" if flow.hit_rate is None else f"{flow.hit_rate:.1f} %"
    is_low = flow.hit_rate is not None and flow.hit_rate < 80
    rows: list[Entry] = [
        ("commands", _rate(flow.commands), ""),
        ("lookups", _rate(flow.lookups), ""),
        ("hit rate", f"▲ {hit}" if is_low else hit, "$warning" if is_low else ""),
        ("evicted", f"{'▲ ' if flow.evicted else ''}{_rate(flow.evicted)}", "$warning" if flow.evicted else ""),
        ("expired", _rate(flow.expired), ""),
        ("received", _bytes(flow.received), ""),
        ("sent", _bytes(flow.sent), ""),
        ("processor", figures.DASH if flow.processor is None else f"{flow.processor:.1f} % of a core", ""),
        ("clients", _clients(panel), ""),
        _ping(panel),
    ]
    if flow.rejected:
        rows.append(("refused", f"▲ {_rate(flow.rejected)} connections", "$error"))
    for spike in panel.spikes[:3]:
        worst = milliseconds(spike.worst_ms)
        rows.append(("spike", f"▲ {clean(spike.event, 24)} {milliseconds(spike.latest_ms)}, worst {worst}", "$warning"))
    return _join(rows, width)


def traffic_title(panel: MemoryPanel) -> str:
    """Return over which interval the rates are."""
    if panel.interval_s is None:
        return "Traffic, measuring: counters were reset"
    return f"Traffic, last {figures.duration(panel.interval_s)}"


def _ping(panel: MemoryPanel) -> Entry:
    median, most = panel.ping_p50_ms, panel.ping_p99_ms
    if median is None or most is None:
        return "ping", figures.DASH, ""
    is_slow = most > _SLOW_MS
    text = f"{'▲ ' if is_slow else ''}{milliseconds(median)}, p99 {milliseconds(most)}"
    return "ping", text, "$warning" if is_slow else ""


def _clients(panel: MemoryPanel) -> str:
    limit = f" of {panel.clients_limit:,}" if panel.clients_limit else ""
    blocked = f", {panel.blocked:,} blocked" if panel.blocked else ""
    return f"{figures.count(panel.clients)}{limit}{blocked}"


def keeping_lines(panel: MemoryPanel, width: int, now: datetime) -> Content:
    """Return what survives a crash, who copies it, which databases hold keys."""
    rows: list[Entry] = []
    rows.extend(_persistence(panel.persistence, now))
    rows.extend(_replication(panel.replication))
    for space in panel.keyspaces:
        name = f"db{space.number}{' ◆' if space.is_ours and len(panel.keyspaces) > 1 else ''}"
        share = f", {100 * space.expiring / space.keys:.0f} % expire" if space.keys else ""
        rows.append((name, f"{space.keys:,} keys{share}", ""))
    rows.append(("up for", figures.duration(panel.uptime_s), ""))
    return _join(rows, width)


def _persistence(kept: Persistence, now: datetime) -> list[Entry]:
    rows: list[Entry] = [("✖ saving", problem, "$error") for problem in kept.problems]
    if kept.snapshots == "":
        rows.append(("snapshots", "never", ""))
    else:
        at = f"last {figures.age((now - kept.saved_at).total_seconds())} ago" if kept.saved_at else "none yet"
        busy = "saving now, " if kept.is_saving else ""
        changes = f", {kept.unsaved:,} changes since" if kept.unsaved is not None else ""
        rows.append(("snapshots", f"{busy}{at}{changes}", ""))
    if kept.is_appending is not None:
        size = f", {figures.size(kept.log_size)}" if kept.log_size is not None else ""
        rows.append(("append file", f"on{size}" if kept.is_appending else "off", ""))
    if kept.fork_ms:
        is_long = kept.fork_ms > 500
        rows.append(
            ("last fork", f"{'▲ ' if is_long else ''}{milliseconds(kept.fork_ms)}", "$warning" if is_long else "")
        )
    return rows


def _replication(said: Replication) -> list[Entry]:
    if said.role == "replica":
        is_up = said.link == "up"
        silent = "" if said.silent_s is None else f", heard {figures.age(said.silent_s)} ago"
        text = f"{'' if is_up else '✖ '}replica of {clean(said.primary, 60)}, link {said.link}{silent}"
        return [("role", text, "" if is_up else "$error")]
    rows: list[Entry] = [("role", f"{said.role or figures.DASH}, {figures.plural(len(said.replicas), 'replica')}", "")]
    for replica in said.replicas[:4]:
        behind = figures.DASH if replica.behind is None else f"{figures.size(replica.behind)} behind"
        rows.append(("replica", f"{clean(replica.address, 40)} {clean(replica.state, 20)}, {behind}", ""))
    return rows


def key_lines(detail: KeyDetail, width: int) -> Content:
    """Return everything about one key, then what is shown of its value."""
    length = None
    if detail.length is not None:
        length = f"{detail.length:,} bytes" if detail.type == "string" else figures.plural(detail.length, "element")
    facts: list[Entry] = [
        ("key", detail.name, "bold"),
        ("type", f"{detail.type}, {detail.encoding}" if detail.encoding else detail.type, ""),
        ("length", length or figures.DASH, ""),
        ("memory", figures.size(detail.size), ""),
        ("expires in", life(detail.ttl_s, detail.is_lasting), ""),
        ("idle for", figures.duration(detail.idle_s), ""),
    ]
    if detail.use != "cache":
        facts.append(
            ("belongs to", "the broker: queues and messages" if detail.use == "broker" else "task results", "$warning")
        )
    lines = pairs(facts, width=width, label_width=_LABEL)
    lines.extend(
        Content.assemble(("⊘ ", "$warning"), f"can't read {one.what}: {one.why}", (f"  {one.hint}", "$dim"))
        for one in detail.unread
    )
    title = " · ".join(part for part in (detail.format, detail.preview) if part)
    lines += [Content(""), Content.styled(title, "$dim")]
    lines += [Content(line) for line in detail.lines]
    if detail.elements:
        label = min(30, max(len(one.name) for one in detail.elements))
        shown = [(one.name, one.value, "") for one in detail.elements]
        lines += pairs(shown, width=width, label_width=max(1, label))
    return Content("\n").join(lines)


def _join(rows: Sequence[Entry], width: int) -> Content:
    return Content("\n").join(pairs(rows, width=width, label_width=_LABEL))


def _rate(value: float | None) -> str:
    if value is None:
        return figures.DASH
    return f"{value:,.1f} /s" if 0 < value < 10 else f"{value:,.0f} /s"


def _bytes(value: float | None) -> str:
    return figures.DASH if value is None else f"{figures.size(value)}/s"
