"""What this machine looks like in screen tests: two cores at work, a disk that fills, an interface that drops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from qsuite_console.model.advice import Unread
from qsuite_console.model.series import Line, Point, Series
from qsuite_console.model.system import (
    Device,
    DisksView,
    FileSize,
    HostView,
    Interface,
    Memory,
    Mount,
    NetworkView,
    Pressure,
    ProcessesView,
    ProcessRow,
    ProcessView,
    QuestionCost,
    Shares,
    Swap,
)
from qsuite_console.model.traffic import RequestsView, RouteCost, SlowRequest

GIB, MIB = 2**30, 2**20
LIMITS = {"host.cpu": (80.0, 95.0, "%"), "host.memory": (75.0, 90.0, "%"), "jobs.loop_lag": (0.5, 2.0, "s")}


def host(at: datetime) -> HostView:
    return HostView(
        at=at,
        interval_s=2.0,
        cpu=Shares(busy=46.0, user=38.0, system=6.0, iowait=2.0),
        cores=tuple(Shares(busy=busy) for busy in (71.0, 12.0, 38.0, 63.0)),
        core_limit=None,
        load=(2.41, 1.87, 1.62),
        memory=Memory(
            total=16 * GIB,
            available=int(3.5 * GIB),
            used=int(12.5 * GIB),
            free=GIB,
            cached=int(2.7 * GIB),
            buffers=200 * MIB,
            shared=900 * MIB,
            dirty=12 * MIB,
        ),
        swap=Swap(total=4 * GIB, used=600 * MIB, in_rate=0.0, out_rate=48_000.0),
        pressures=(
            Pressure(resource="cpu", some=(12.4, 8.2, 5.0), full=(0.0, 0.0, 0.0)),
            Pressure(resource="memory", some=(3.1, 1.0, 0.4), full=(2.0, 0.8, 0.3)),
            Pressure(resource="io", some=(0.0, 0.1, 0.2), full=(0.0, 0.1, 0.1)),
        ),
        booted_at=at - timedelta(days=41, hours=3),
        cost_ms=0.6,
    )


def disks(at: datetime) -> DisksView:
    mounts = (
        Mount(path="/var/lib/postgresql", device="/dev/nvme1n1", kind="xfs", total=500 * GIB, used=480 * GIB,
              free=20 * GIB, percent=96.0, files_percent=2.0),
        Mount(path="/", device="/dev/nvme0n1p2", kind="ext4", total=80 * GIB, used=31 * GIB, free=49 * GIB,
              percent=39.0, files_percent=11.0),
        Mount(path="/mnt/archive", device="filer:/archive", kind="nfs4", problem="does not answer"),
    )  # fmt: skip
    devices = (
        Device(name="nvme1n1", read_rate=18.4 * MIB, write_rate=42.0 * MIB, reads=410, writes=1210, read_ms=0.4,
               write_ms=2.6, busy=64.0),
        Device(name="nvme0n1", read_rate=0.0, write_rate=96 * 1024, reads=0, writes=6, write_ms=0.8, busy=1.0),
    )  # fmt: skip
    return DisksView(at=at, interval_s=2.0, mounts=mounts, devices=devices, cost_ms=0.9)


def network(at: datetime) -> NetworkView:
    interfaces = (
        Interface(name="eth0", is_up=True, speed=10_000, address="10.20.0.14", in_rate=3.1 * MIB, out_rate=0.8 * MIB,
                  in_packets=2900, out_packets=1700, errors=0.0, drops=2.5, errors_total=0, drops_total=18_212),
        Interface(name="lo", is_up=True, address="127.0.0.1", in_rate=900_000, out_rate=900_000, in_packets=800,
                  out_packets=800, errors=0.0, drops=0.0),
        Interface(name="eth1", is_up=False, in_rate=0.0, out_rate=0.0, in_packets=0, out_packets=0, errors=0.0,
                  drops=0.0),
    )  # fmt: skip
    unread = (Unread(what="TCP segments sent again", why="the kernel does not tell it here, as in many containers"),)
    sockets = {"inuse": 182, "orphan": 0, "tw": 41, "alloc": 190}
    return NetworkView(at=at, interval_s=2.0, interfaces=interfaces, sockets=sockets, cost_ms=1.1, unread=unread)


def processes(at: datetime, order: str, text: str) -> ProcessesView:
    rows = [
        ProcessRow(pid=1200 + n, name=name, user=user, command=f"{command} --number {n}", state="sleeping",
                   cpu=82.0 / (n + 1), memory=(n % 7 + 1) * 220 * MIB, share=(n % 7 + 1) * 1.3, threads=n % 5 + 1,
                   started_at=at - timedelta(hours=n * 5 + 1), is_own=name == "qsuite-console")
        for n, (name, user, command) in enumerate(
            [("postgres", "postgres", "postgres: qsuite trading 10.20.0.9(51122) SELECT"),
             ("qsuite-console", "ops", "/opt/qsuite/bin/qsuite-console"),
             ("celery", "qsuite", "/opt/qsuite/bin/python -m celery worker"),
             ("redis-server", "redis", "/usr/bin/redis-server *:6379"),
             ("node", "qsuite", "node /srv/app/server.js")] * 8
        )
        if text in name
    ]  # fmt: skip
    key = "cpu" if order == "cpu" else "memory"
    rows.sort(key=lambda row: -float(getattr(row, key) or 0))
    states = {"sleeping": 196, "running": 3, "idle": 12}
    return ProcessesView(at=at, interval_s=2.0, order=order, rows=tuple(rows), total=211, states=states, cost_ms=31.0)


def own(at: datetime) -> ProcessView:
    asked = (("database.activity", 512, 3, 6.1), ("market.watch", 204, 0, 11.8), ("system.host", 64, 0, 0.7))
    return ProcessView(
        at=at,
        interval_s=2.0,
        pid=4711,
        started_at=at - timedelta(hours=6, minutes=12),
        python="3.11.7",
        cpu=2.3,
        memory=148 * MIB,
        threads=13,
        files=34,
        files_limit=20_000,
        connections={"PostgreSQL 10.20.0.5:5432": 4, "Redis 10.20.0.6:6379": 2, "local sockets": 3},
        questions=tuple(
            QuestionCost(name=name, asked=n, failed=bad, total_ms=n * ms, last_ms=ms, worst_ms=9 * ms)
            for name, n, bad, ms in asked
        ),
        history=(
            FileSize(name="samples.sqlite", size=31 * MIB),
            FileSize(name="history.sqlite", size=4 * MIB),
            FileSize(name="history.sqlite.reserve", size=MIB),
        ),
        cost_ms=4.0,
    )


def requests(at: datetime) -> RequestsView:
    rows = (
        ("GET /prices/latest", 18_240, 2.1, 6.4, 210, 12_100, 0),
        ("GET /jobs", 2_412, 3.8, 9.7, 2_412, 1_804, 0),
        ("GET /jobs/{job_id}/status", 9_121, 0.6, 1.4, 0, 0, 17),
        ("POST /bars", 31, 212.0, 2_480.0, 310, 0, 4),
        ("POST /ask/{probe}", 402, 11.0, 96.0, 1_206, 0, 2),
    )
    routes = tuple(
        RouteCost(route=route, answered=asked, p50_ms=p50, p95_ms=p95, p99_ms=1.6 * p95, worst_ms=3 * p95,
                  total_ms=asked * p50, queries=queries, cached=cached, refused=refused,
                  failed=1 if route == "POST /bars" else 0, slow=2 if route == "POST /bars" else 0)
        for route, asked, p50, p95, queries, cached, refused in rows
    )  # fmt: skip
    slow = (
        SlowRequest(at=at - timedelta(minutes=4), route="POST /bars", path="/bars", caller="loader", status=200,
                    ms=7_440.0, queries=12, is_very_slow=True),
        SlowRequest(at=at - timedelta(hours=2), route="POST /ask/{probe}", path="/ask/database.tables",
                    caller="this machine", status=504, ms=2_510.0, queries=4, is_very_slow=False),
    )  # fmt: skip
    return RequestsView(
        at=at,
        since=at - timedelta(hours=6, minutes=12),
        routes=routes,
        slow=slow,
        turned_away={"NotAuthenticated": 3, "NotAllowed": 1},
        callers={"dashboard": 27_800, "this machine": 2_375, "loader": 31},
        listens_on=("/run/user/1000/engine.sock", "http://127.0.0.1:8765"),
        cost_ms=0.2,
    )


def series(at: datetime, parameters: Mapping[str, Any]) -> Series:
    """Half an hour of waves; the processor's reaches its warning."""
    start = at - timedelta(seconds=parameters.get("window_s", 1800))
    step = (at - start) / 120
    lines = []
    for number, name in enumerate(parameters["names"]):
        warning, critical, unit = LIMITS.get(name, (None, None, ""))
        top = warning or 4.0
        points = tuple(
            Point(start + n * step, *(top * (0.55 + 0.5 * math.sin(n / 14 + number)),) * 3) for n in range(121)
        )
        title = name.partition(".")[2].replace("_", " ")
        lines.append(Line(name=name, title=title, unit=unit, points=points, warning=warning, critical=critical))
    return Series(at=at, start=start, end=at, step_s=15.0, lines=tuple(lines))


def system_answers(now: Callable[[], datetime]) -> dict[str, Callable[[Mapping[str, Any]], msgspec.Struct]]:
    """What a FakeControl answers to the System screen."""
    return {
        "system.host": lambda parameters: host(now()),
        "system.disks": lambda parameters: disks(now()),
        "system.network": lambda parameters: network(now()),
        "system.processes": lambda parameters: processes(now(), parameters["order"], parameters["text"]),
        "system.console": lambda parameters: own(now()),
        "system.requests": lambda parameters: requests(now()),
    }
