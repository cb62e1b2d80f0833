"""What a busy Valkey would answer to the cache screen's questions; always the same, but for the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from qsuite_console.model.advice import Effect, Evidence, Finding, Severity, Unread
from qsuite_console.model.cache import (
    CacheAdvice,
    Client,
    ClientPanel,
    CommandPanel,
    CommandUse,
    Element,
    Family,
    FamilyPanel,
    Flow,
    Key,
    KeyDetail,
    KeyOrder,
    KeyPage,
    Keyspace,
    Memory,
    MemoryPanel,
    Persistence,
    Replica,
    Replication,
    SlowCall,
    SlowPanel,
    Spike,
)
from qsuite_console.model.errors import NotFound
from qsuite_console.model.series import Line, Point, Series
from qsuite_console.model.warmth import AnswersPanel, AnswerUse, Warmth, WarmthPanel

MIB = 1024**2
HOSTILE = "evil\\x1b[31m[bold]red[/bold]\\x0aname"
BOOK = ("{", '  "bids": [', '    ["191.20", 400]', "  ],", '  "asks": []', "}")

Clock = Callable[[], datetime]
Answers = dict[str, Callable[[Mapping[str, Any]], msgspec.Struct]]


def memory_panel(now: datetime) -> MemoryPanel:
    return MemoryPanel(
        at=now,
        server="Valkey 9.1.2",
        uptime_s=273_600.0,
        memory=Memory(
            used=198 * MIB,
            peak=231 * MIB,
            resident=240 * MIB,
            limit=256 * MIB,
            policy="allkeys-lru",
            host=16 * 1024 * MIB,
            dataset=171 * MIB,
            overhead=27 * MIB,
            clients=2 * MIB,
            allocator_ratio=1.08,
            allocator_wasted=16 * MIB,
        ),
        interval_s=2.0,
        flow=Flow(
            commands=1843.0,
            lookups=1204.0,
            hit_rate=91.4,
            evicted=0.0,
            expired=28.4,
            rejected=0.0,
            received=412_000.0,
            sent=1_830_000.0,
            processor=6.2,
        ),
        clients=43,
        clients_limit=10_000,
        blocked=2,
        ping_p50_ms=0.21,
        ping_p99_ms=1.9,
        pings=200,
        spikes=(Spike(event="command", at=now - timedelta(minutes=4), latest_ms=112.0, worst_ms=184.0),),
        persistence=Persistence(
            snapshots="3600 1", saved_at=now - timedelta(minutes=41), unsaved=20_412, is_appending=False, fork_ms=3.1
        ),
        replication=Replication(
            role="primary", replicas=(Replica(address="10.0.0.12:6379", state="online", behind=1204, heard_s=1),)
        ),
        keyspaces=(
            Keyspace(number=0, keys=1_204_331, expiring=1_190_000, average_ttl_s=212.0, is_ours=True),
            Keyspace(number=1, keys=431, expiring=431),
        ),
        cost_ms=3.4,
    )


def family_panel(now: datetime) -> FamilyPanel:
    def family(name: str, seen: int, mean: float, ttl: tuple[float, ...], **more: Any) -> Family:
        keys = seen * 60.0
        return Family(
            name=name, seen=seen, keys=keys, measured=50, size=keys * mean, ageless=ttl[0], ttl=ttl,
            **{"types": {"string": 50}, "example": name.replace("*", "AAPL"), **more},
        )  # fmt: skip

    return FamilyPanel(
        at=now,
        total=1_204_331,
        seen=20_070,
        is_whole=False,
        seconds=0.31,
        measured=250,
        families=(
            family("ohlcv:*", 12_000, 140.0, (0.0, 0.0, 0.1, 0.2, 0.7, 0.0, 0.0)),
            family("price:*", 6_000, 120.0, (0.0, 0.9, 0.1, 0.0, 0.0, 0.0, 0.0)),
            family("session:*", 1_500, 400.0, (0.8, 0.0, 0.0, 0.0, 0.0, 0.1, 0.1), types={"hash": 50}),
            family("celery-task-meta-*", 400, 900.0, (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0), use="results"),
            family("_kombu.binding.orders", 1, 120.0, (1.0, 0, 0, 0, 0, 0, 0), use="broker", types={"set": 1}),
        ),
        cost_ms=312.0,
    )


def warmth_panel(now: datetime) -> WarmthPanel:
    def ago(**span: float) -> datetime:
        return now - timedelta(**span)

    return WarmthPanel(
        at=now,
        families=(
            Warmth(family="price", prefix="price:", kind="warm.prices", subject="symbol", expected=500, present=486,
                   whose="active symbols with a bar", read=200, newest=ago(seconds=41), oldest=ago(minutes=3)),
            Warmth(family="market_data", prefix="market_data:", kind="warm.market-data", subject="symbol", expected=100,
                   present=0, whose="or more symbols: a warming takes the 100 most traded"),
            Warmth(family="order_book", prefix="order_book:", kind="warm.order-books", subject="symbol", expected=212,
                   present=212, whose="symbols with resting orders", read=200, newest=ago(seconds=2),
                   oldest=ago(seconds=4)),
            Warmth(family="positions", prefix="positions:", kind="warm.positions", subject="user"),
        ),
        cost_ms=4.1,
    )  # fmt: skip


def answers_panel(now: datetime) -> AnswersPanel:
    return AnswersPanel(
        at=now,
        is_shared=True,
        hears=True,
        uses=(
            AnswerUse(name="market.positions", memory_hits=1_204, shared_hits=311, misses=140, joined=101, loads=39,
                      load_ms=184.0, forgotten=12, entries=6, size=18_412),
            AnswerUse(name="market.volatility", memory_hits=402, shared_hits=18, misses=31, loads=31, load_ms=92.4,
                      entries=9, size=9_120),
            AnswerUse(name="market.movers", misses=3, loads=3, failed=1, errors=2, load_ms=240.0),
        ),
    )  # fmt: skip


def key_page(now: datetime, parameters: Mapping[str, Any], *, total: int = 1_204_331) -> KeyPage:
    order, pattern = KeyOrder(parameters.get("order", "biggest")), str(parameters.get("pattern", ""))
    start = int(parameters.get("cursor") or 0)
    if order is KeyOrder.BIGGEST:
        keys = [
            Key(name="session:cart:8812", type="hash", size=48 * MIB, is_lasting=True),
            Key(name="ohlcv:AAPL:1Min:5000", type="string", size=2 * MIB, ttl_s=212.0, is_lasting=False),
            Key(name=HOSTILE, type="string", size=4096, ttl_s=8.2, is_lasting=False),
            *(Key(name=f"price:S{n:03d}", type="string", size=136, ttl_s=9.0, is_lasting=False) for n in range(60)),
        ]
    else:
        keys = [
            Key(name=f"price:S{n:05d}", type="string", size=136, ttl_s=9.0, is_lasting=False)
            for n in range(start, min(total, start + 500))
        ]
    shown = tuple(key for key in keys if pattern.strip("*") in key.name)
    end = start + 500
    return KeyPage(
        at=now,
        total=total,
        looked_at=20_070 if order is KeyOrder.BIGGEST else min(500, total - start),
        sized=5000 if order is KeyOrder.BIGGEST else len(shown),
        order=order,
        pattern=pattern,
        keys=shown,
        cursor=str(end) if order is KeyOrder.SCAN and end < total else "",
        seconds=0.3,
        cost_ms=180.0,
    )


def key_detail(now: datetime, parameters: Mapping[str, Any]) -> KeyDetail:
    name = str(parameters["key"])
    if name == "price:S001":
        raise NotFound(f"no key {name}", hint="it expired or was deleted meanwhile")
    if name == "session:cart:8812":
        return KeyDetail(
            at=now, name=name, type="hash", encoding="hashtable", is_lasting=True, size=48 * MIB, length=90_112,
            idle_s=4.0,
            elements=(Element(name="item:1", value="AAPL 100"), Element(name="note", value="[bold]x[/bold]")),
            preview="some 2 of 90,112", cost_ms=0.4,
        )  # fmt: skip
    return KeyDetail(
        at=now, name=name, type="string", encoding="raw", ttl_s=8.2, is_lasting=False, size=2 * MIB, length=88,
        idle_s=1.0, format="JSON", lines=BOOK, preview="all 88 bytes", cost_ms=0.4,
    )  # fmt: skip


def slow_panel(now: datetime) -> SlowPanel:
    def call(number: int, ago_s: float, ms: float, command: str, arguments: str, problem: str = "") -> SlowCall:
        at = now - timedelta(seconds=ago_s)
        return SlowCall(
            id=number, at=at, ms=ms, command=command, arguments=arguments, client="report-7", problem=problem
        )

    return SlowPanel(
        at=now,
        threshold_ms=10.0,
        length=4,
        most=128,
        calls=(
            call(104, 12, 184.2, "KEYS", "session:*", "walks over every key while all others wait: use SCAN"),
            call(103, 340, 31.0, "HGETALL", "session:cart:8812", "reads a whole hash at once: use HSCAN or HMGET"),
            call(102, 4000, 14.1, "SET", "ohlcv:AAPL:1Min:5000 (+3 hidden)"),
            call(101, 90_000, 11.9, "EVAL", "local t = redis.call('TIME') (+4 hidden)"),
        ),
        cost_ms=0.9,
    )


def client_panel(now: datetime, count: int = 4) -> ClientPanel:
    known = [
        Client(id=901, address="10.0.0.31:50110", name="report-7", user="reports", library="redis-py 8.1.0", database=0,
               age_s=86_500.0, idle_s=12.0, command="KEYS", memory=9 * MIB, output=8 * MIB),
        Client(id=907, address="10.0.0.21:41002", name="celery@w1", user="default", database=0, age_s=7200.0,
               idle_s=1.0, command="BRPOP", memory=21_000, state="blocked"),
        Client(id=912, address="10.0.0.9:60444", user="default", database=0, age_s=410.0, idle_s=300.0, command="GET",
               memory=2048),
        Client(id=950, address="127.0.0.1:55100", name="qsuite-console/panels", user="default",
               library="redis-py 8.1.0", database=0, age_s=61.0, idle_s=0.0, command="CLIENT LIST", memory=2048,
               is_ours=True),
    ]  # fmt: skip
    more = [
        Client(id=n, address=f"10.0.1.{n % 250}:4{n}", command="GET", memory=1) for n in range(1000, 1000 + count - 4)
    ]
    return ClientPanel(at=now, total=count, limit=10_000, clients=(*known, *more), cost_ms=0.8)


def command_panel(now: datetime) -> CommandPanel:
    def use(name: str, calls: float, mean: float, **more: Any) -> CommandUse:
        return CommandUse(name=name, calls=calls, mean_us=mean, processor=calls * mean / 1e4, **more)

    return CommandPanel(
        at=now,
        interval_s=2.0,
        commands=(
            use("GET", 1204.0, 1.4, p50_us=1.0, p99_us=4.0, total=9_120_331),
            use("KEYS", 0.5, 184_000.0, p50_us=101_000.0, p99_us=184_000.0, total=41),
            use("SET", 210.0, 2.2, p50_us=2.0, p99_us=11.0, total=812_004, rejected=3.0),
        ),
        cost_ms=1.2,
    )


def advice(now: datetime) -> CacheAdvice:
    def evidence(name: str, text: str) -> Evidence:
        return Evidence(name=name, value=text, text=text)

    return CacheAdvice(
        at=now,
        use="queues of a broker and cached values",
        interval_s=1.0,
        findings=(
            Finding(
                id="RD01", part="redis", subject="maxmemory-policy", title="A broker that may evict loses tasks",
                severity=Severity.CRITICAL, evidence=(evidence("broker keys", "12"), evidence("policy", "allkeys-lru")),
                formula="noeviction wherever queues are", current="allkeys-lru", recommended="noeviction",
                fix="CONFIG SET maxmemory-policy noeviction", effect=Effect.NONE,
            ),
            Finding(
                id="RD14", part="redis", subject="KEYS", title="KEYS holds up everybody else",
                severity=Severity.WARNING, evidence=(evidence("calls in the slow log", "1"),),
                formula="no command whose work grows with all there is", advice="it walks over every key: use SCAN",
            ),
        ),
        cost_ms=40.0,
    )  # fmt: skip


def unread(panel: msgspec.Struct, *said: Unread) -> Any:
    """The same answer, with parts that could not be read."""
    return msgspec.structs.replace(panel, unread=said)


def series(now: datetime, parameters: Mapping[str, Any]) -> Series:
    start = now - timedelta(seconds=float(parameters["window_s"]))
    limits = {"redis.memory": (85.0, 95.0), "redis.hit_rate": (80.0, 60.0)}

    def line(name: str) -> Line:
        level = {"redis.memory": 70.0, "redis.hit_rate": 92.0}.get(name, 1800.0)
        points = tuple(
            Point(at=start + timedelta(seconds=30 * n), mean=level + n % 7, low=level, high=level + n % 7)
            for n in range(60)
        )
        warning, critical = limits.get(name, (None, None))
        return Line(
            name=name, title=name, unit="%" if name in limits else "/s", points=points, warning=warning,
            critical=critical, is_low_bad=name == "redis.hit_rate",
        )  # fmt: skip

    return Series(at=now, start=start, end=now, step_s=30.0, lines=tuple(map(line, parameters["names"])))


def cache_answers(now: Clock) -> Answers:
    return {
        "cache.memory": lambda parameters: memory_panel(now()),
        "cache.families": lambda parameters: family_panel(now()),
        "cache.keys": lambda parameters: key_page(now(), parameters),
        "cache.key": lambda parameters: key_detail(now(), parameters),
        "cache.slowlog": lambda parameters: slow_panel(now()),
        "cache.clients": lambda parameters: client_panel(now()),
        "cache.commands": lambda parameters: command_panel(now()),
        "cache.advice": lambda parameters: advice(now()),
        "cache.warmth": lambda parameters: warmth_panel(now()),
        "cache.answers": lambda parameters: answers_panel(now()),
        "metrics.series": lambda parameters: series(now(), parameters),
    }
