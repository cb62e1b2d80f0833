"""Rates over an interval, what a machine does not tell, and secrets in command lines."""

from __future__ import annotations

import asyncio
import types
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from qsuite_console.engine.costs import ProbeCosts
from qsuite_console.metrics import host_panels, own_panel
from qsuite_console.metrics.from_host import counters
from qsuite_console.metrics.from_host.counters import Times
from qsuite_console.metrics.from_host.mounts import Mounts, _worth_showing
from qsuite_console.metrics.host_panels import Counted, device_of, interface_of, rate, shares
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.system import HostView, Interface
from qsuite_console.workers import Services

SERVICES = cast("Services", types.SimpleNamespace(clock=SystemClock()))


@pytest.mark.parametrize(
    ("before", "now", "seconds", "expected"),
    [(10, 30, 2, 10), (None, 30, 2, None), (10, None, 2, None), (30, 10, 2, None), (10, 30, 0, None), (5, 5, 2, 0)],
)
def test_a_rate_is_over_the_interval_and_none_after_a_restart(
    before: float | None, now: float | None, seconds: float, expected: float | None
) -> None:
    assert rate(before, now, seconds) == expected


def test_shares_are_of_the_time_between_two_readings() -> None:
    before = Times(busy=100, user=60, system=40, iowait=5, steal=0, total=1000)
    now = Times(busy=101, user=60.5, system=40.4, iowait=5.2, steal=0.1, total=1002)
    found = shares(before, now)
    assert found is not None
    assert (round(found.busy), round(found.user), round(found.system)) == (50, 25, 20)
    assert (round(found.iowait), round(found.steal)) == (10, 5)
    assert shares(now, now) is None


def test_a_disk_tells_what_an_operation_took_and_nothing_where_there_was_none() -> None:
    before = {"read_bytes": 0, "write_bytes": 0, "read_count": 0, "write_count": 10, "read_time": 0, "write_time": 5,
              "busy_time": 0}  # fmt: skip
    now = {"read_bytes": 4096, "write_bytes": 0, "read_count": 4, "write_count": 10, "read_time": 10, "write_time": 5,
           "busy_time": 500}  # fmt: skip
    found = device_of("sda", before, now, 2.0)
    assert (found.read_rate, found.reads, found.read_ms, found.busy) == (2048, 2, 2.5, 25)
    assert (found.write_rate, found.writes, found.write_ms) == (0, 0, None)
    unknown = device_of("sdb", {}, {"read_bytes": 1}, 2.0)
    assert (unknown.read_rate, unknown.busy) == (None, None)


def test_errors_of_an_interface_count_both_ways() -> None:
    known = Interface(name="eth0")
    before = dict.fromkeys(("bytes_recv", "bytes_sent", "errin", "errout", "dropin", "dropout"), 0.0)
    now = before | {"bytes_recv": 1000.0, "errin": 1.0, "errout": 3.0}
    found = interface_of(known, before, now, 2.0)
    assert (found.in_rate, found.out_rate, found.errors, found.drops) == (500, 0, 2, 0)
    assert found.in_packets is None


async def test_who_asks_again_at_once_shares_an_answer_and_a_long_silence_begins_anew() -> None:
    now, reads = [100.0], []

    def read() -> int:
        reads.append(now[0])
        return len(reads)

    counted = Counted(read, lambda: now[0])
    first = await counted.take()
    assert first[:2] == (1, 2)
    assert await counted.take() == first
    now[0] += 2
    before, after, seconds = await counted.take()
    assert (before, after, seconds) == (2, 3, 2.0)
    now[0] += host_panels.LONGEST_S + 1
    before, after, _ = await counted.take()
    assert (before, after) == (4, 5), "an interval of minutes tells of the past"


async def test_the_machine_s_figures_are_those_of_an_independent_look() -> None:
    found = await host_panels.HostProbe(SERVICES).ask({})
    assert len(found.cores) == psutil.cpu_count()
    assert found.memory.total == psutil.virtual_memory().total
    assert found.cpu is not None
    assert 0 <= found.cpu.busy <= 100
    assert found.cost_ms > 0
    processes = await host_panels.ProcessesProbe(SERVICES).ask({"order": "memory", "limit": 5})
    assert len(processes.rows) == 5
    sizes = [row.memory or 0 for row in processes.rows]
    assert sizes == sorted(sizes, reverse=True)
    network = await host_panels.NetworkProbe(SERVICES).ask({})
    assert {one.name for one in network.interfaces} == set(psutil.net_io_counters(pernic=True))


async def test_a_busy_process_is_at_the_top_with_its_share() -> None:
    probe = host_panels.ProcessesProbe(SERVICES)
    await probe.ask({})
    ends = asyncio.get_running_loop().time() + 0.6
    while asyncio.get_running_loop().time() < ends:
        sum(range(1000))
    own = next(row for row in (await probe.ask({"limit": 500})).rows if row.is_own)
    assert own.cpu is not None
    assert own.cpu > 15


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that tells next to nothing."""

    def refused(*arguments: object, **more: object) -> Any:
        raise PermissionError(13, "Permission denied")

    for name in ("disk_io_counters", "net_io_counters", "swap_memory", "boot_time"):
        monkeypatch.setattr(psutil, name, refused)
    monkeypatch.setattr(counters, "_PROC", Path("/nonexistent"))
    monkeypatch.setattr(counters, "_CGROUP", Path("/nonexistent"))


async def test_missing_counters_are_survived_and_named(container: None) -> None:
    host = await host_panels.HostProbe(SERVICES).ask({})
    assert isinstance(host, HostView)
    assert host.swap is None
    assert host.booted_at is None
    assert {one.what for one in host.unread} == {"pressure (PSI)", "swap"}
    disks = await host_panels.DisksProbe(SERVICES).ask({})
    assert disks.devices == ()
    assert [one.what for one in disks.unread] == ["read and write rates of disks"]
    assert any(mount.percent is not None for mount in disks.mounts)
    network = await host_panels.NetworkProbe(SERVICES).ask({})
    assert network.interfaces == ()
    assert len(network.unread) == 3


def test_a_container_s_files_and_doubles_are_no_file_systems() -> None:
    found = _worth_showing(
        [
            ("/", "/dev/vda", "ext4"),
            ("/var/lib/data", "/dev/vdb", "xfs"),
            ("/var/lib/data/again", "/dev/vdb", "xfs"),
            ("/etc/hosts", "/dev/vdc", "ext4"),
            ("/snap/x", "/dev/loop1", "squashfs"),
        ]
    )
    assert list(found) == ["/", "/var/lib/data"]


def test_a_mount_that_hangs_holds_up_nobody_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from qsuite_console.metrics.from_host import mounts

    release = threading.Event()
    real = mounts._measured

    def hanging(path: str, device: str, kind: str) -> Any:
        if path == "/mnt/slow":
            release.wait(30)
        return real(path, device, kind)

    monkeypatch.setattr(mounts, "_measured", hanging)
    monkeypatch.setattr(mounts, "_worth_showing", lambda parts: {"/": ("", ""), "/mnt/slow": ("filer", "nfs4")})
    monkeypatch.setattr(mounts, "PATIENCE_S", 0.05)
    watched = Mounts()
    watched.look()
    watched.wait(0.5)
    found = {mount.path: mount for mount in watched.look()}
    assert found["/mnt/slow"].problem == "does not answer"
    assert found["/"].percent is not None
    release.set()
    watched.wait(10)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("psql postgresql://ops:s3cret@db:5432/x", "psql postgresql://ops:***@db:5432/x"),
        ("redis-cli -u redis://:s3cret@cache/0", "redis-cli -u redis://:***@cache/0"),
        ("run --password=s3cret --port 1", "run --password=*** --port 1"),
        ("run --api-key s3cret", "run --api-key ***"),
        ("postgres: checkpointer      ", "postgres: checkpointer"),
    ],
)
def test_command_lines_keep_their_secrets(line: str, expected: str) -> None:
    assert counters.without_secrets(line) == expected


async def test_questions_are_counted_with_what_they_took_and_their_failures() -> None:
    class Probe:
        name, timeout_s = "test", 1.0

        async def ask(self, parameters: Any) -> Any:
            if parameters:
                raise ConsoleError("no")
            return HostView

    costs = ProbeCosts()
    probe = costs.metered(cast("Any", Probe()))
    await probe.ask({})
    with pytest.raises(ConsoleError):
        await probe.ask({"bad": 1})
    (cost,) = costs.costs
    assert (cost.name, cost.asked, cost.failed) == ("test", 2, 1)
    assert cost.total_ms >= cost.worst_ms >= cost.last_ms >= 0


def test_the_console_s_own_files_are_listed_biggest_first(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "small").write_bytes(b"1")
    (tmp_path / "below" / "big").write_bytes(b"1" * 500)
    assert [(one.name, one.size) for one in own_panel.sizes(tmp_path)] == [("below/big", 500), ("small", 1)]
