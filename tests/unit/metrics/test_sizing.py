"""The advisor's sizes against the published formulas, worked out by hand for six machines, and what is worth a word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qsuite_console.db.settings import ServerFacts, Setting
from qsuite_console.metrics.advice.postgres import settings_findings
from qsuite_console.metrics.advice.sizing import Profile, sizes, worst_case
from qsuite_console.metrics.advice.wording import alter_system, bytes_setting, seconds_setting
from qsuite_console.model.advice import Effect, Finding, Severity

GB, MB, KB = 1024**3, 1024**2, 1024

# memory GB, cores, connections, storage, workload, version, database GB ->
# shared_buffers MB, effective_cache_size MB, work_mem kB, maintenance_work_mem MB, autovacuum_work_mem MB (None: not
# set from 17 on), max_wal_size GB, random_page_cost, effective_io_concurrency, workers, parallel, a gather
MACHINES = {
    "1 GB, HDD, OLTP": ((1, 1, 50, "hdd", "oltp", 15, 2), (256, 768, 4519, 64, 64, 8, 4, 2, 8, 1, 1)),
    "4 GB, SSD, mixed": ((4, 2, 100, "ssd", "mixed", 14, 2), (1024, 3072, 4854, 256, 256, 4, 1.1, 200, 8, 2, 1)),
    "8 GB, SSD, mixed": ((8, 4, 100, "ssd", "mixed", 16, 2), (2048, 6144, 9709, 512, 512, 4, 1.1, 200, 8, 4, 2)),
    "16 GB, SSD, OLTP": ((16, 4, 200, "ssd", "oltp", 15, 50), (4096, 12288, 20164, 1024, 1024, 8, 1.1, 200, 8, 4, 2)),
    "64 GB, HDD, warehouse": (
        (64, 16, 40, "hdd", "warehouse", 17, 500),
        (16384, 49152, 149796, 2048, None, 16, 4, 2, 16, 16, 4),
    ),
    "128 GB, SSD, warehouse": (
        (128, 32, 20, "ssd", "warehouse", 18, 900),
        (32768, 98304, 262144, 2048, None, 16, 2, 16, 32, 32, 4),
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_the_figures_are_those_of_the_formulas(name: str) -> None:
    (memory, cores, connections, storage, workload, version, database), expected = MACHINES[name]
    found = sizes(
        Profile(
            memory=memory * GB,
            cores=cores,
            connections=connections,
            storage=storage,
            workload=workload,
            version=version,
            database=database * GB,
        )
    )
    vacuum = found.get("autovacuum_work_mem")
    assert (
        found["shared_buffers"].value / MB,
        found["effective_cache_size"].value / MB,
        found["work_mem"].value / KB,
        found["maintenance_work_mem"].value / MB,
        None if vacuum is None else vacuum.value / MB,
        found["max_wal_size"].value / GB,
        found["random_page_cost"].value,
        found["effective_io_concurrency"].value,
        found["max_worker_processes"].value,
        found["max_parallel_workers"].value,
        found["max_parallel_workers_per_gather"].value,
    ) == expected
    assert found["max_parallel_maintenance_workers"].value == found["max_parallel_workers_per_gather"].value
    assert (found["checkpoint_timeout"].value, found["checkpoint_completion_target"].value) == (900, 0.9)
    assert found["wal_buffers"].value == -1
    assert all(size.formula for size in found.values())


# The same six machines in every use and on every disk. Worked out with exact fractions from the formulas, not by the
# program: memory GB, cores, connections -> work_mem kB for oltp, mixed, warehouse; max_locks_per_transaction with
# TimescaleDB; io_workers; max_worker_processes plain and with TimescaleDB; parallel workers of a query
EVERY_USE = {
    (1, 1, 50): ((4519, 4096, 4096), 64, 3, (8, 27), 1),
    (4, 2, 100): ((9709, 4854, 4854), 64, 3, (8, 27), 1),
    (8, 4, 100): ((19418, 9709, 9709), 128, 3, (8, 27), 2),
    (16, 4, 200): ((20164, 10082, 10082), 256, 3, (8, 27), 2),
    (64, 16, 40): ((262144, 149796, 149796), 512, 4, (16, 35), 4),
    (128, 32, 20): ((262144, 262144, 262144), 512, 8, (32, 51), 4),
}
USES = ("oltp", "mixed", "warehouse")
# storage, workload, whether the database fits into memory -> random_page_cost
PAGES = {
    ("hdd", "oltp", True): 1.1, ("hdd", "mixed", True): 1.1, ("hdd", "warehouse", True): 1.1,
    ("hdd", "oltp", False): 4, ("hdd", "mixed", False): 4, ("hdd", "warehouse", False): 4,
    ("ssd", "oltp", True): 1.1, ("ssd", "mixed", True): 1.1, ("ssd", "warehouse", True): 1.1,
    ("ssd", "oltp", False): 1.1, ("ssd", "mixed", False): 1.1, ("ssd", "warehouse", False): 2,
}  # fmt: skip
WAL_GB = {"oltp": 8, "mixed": 4, "warehouse": 16}
READS_AHEAD = {("hdd", 17): 2, ("ssd", 17): 200, ("hdd", 18): 16, ("ssd", 18): 16}


@pytest.mark.parametrize("machine", EVERY_USE, ids=[f"{gb} GB" for gb, _, _ in EVERY_USE])
@pytest.mark.parametrize("workload", USES)
@pytest.mark.parametrize("storage", ["ssd", "hdd"])
def test_six_machines_in_every_use_on_every_disk(machine: tuple[int, int, int], workload: str, storage: str) -> None:
    memory, cores, connections = machine
    work, locks, readers, workers, gather = EVERY_USE[machine]
    for fits in (True, False):
        for version in (17, 18):
            profile = Profile(
                memory=memory * GB, cores=cores, connections=connections, storage=storage, workload=workload,
                version=version, database=memory * GB * (1 if fits else 3) // 2,
            )  # fmt: skip
            found = {name: size.value for name, size in sizes(profile).items()}
            expected = {
                "shared_buffers": min(memory / 4, 32) * GB,
                "effective_cache_size": memory * 3 / 4 * GB,
                "work_mem": work[USES.index(workload)] * KB,
                "maintenance_work_mem": min(memory / 16, 2) * GB,
                "max_wal_size": WAL_GB[workload] * GB,
                "checkpoint_timeout": 900,
                "checkpoint_completion_target": 0.9,
                "wal_buffers": -1,
                "random_page_cost": PAGES[storage, workload, fits],
                "effective_io_concurrency": READS_AHEAD[storage, version],
                "max_worker_processes": workers[0],
                "max_parallel_workers": cores,
                "max_parallel_workers_per_gather": gather,
                "max_parallel_maintenance_workers": gather,
                "max_locks_per_transaction": 64,
                **({"io_workers": readers} if version == 18 else {}),
            }
            assert found == expected
            timescale = sizes(replace(profile, has_timescale=True))
            assert timescale["max_locks_per_transaction"].value == locks
            assert timescale["max_worker_processes"].value == workers[1]


@pytest.mark.parametrize(
    ("memory", "cores", "connections", "workload", "expected_mb"),
    [(16, 4, 200, "oltp", 19.7), (16, 4, 200, "mixed", 9.8), (8, 4, 100, "mixed", 9.5), (64, 16, 200, "oltp", 75.9),
     (24, 2, 100, "mixed", 28.4)],
)  # fmt: skip
def test_work_mem_of_the_published_check_values(
    memory: int, cores: int, connections: int, workload: str, expected_mb: float
) -> None:
    found = sizes(Profile(memory=memory * GB, cores=cores, connections=connections, workload=workload))
    assert found["work_mem"].value / MB == pytest.approx(expected_mb, abs=0.051)


@pytest.mark.parametrize(
    ("relations", "locks"), [(0, 64), (64, 64), (65, 128), (128, 128), (400, 512), (1024, 1024), (9000, 1024)]
)
def test_a_query_over_all_partitions_fits_into_its_locks(relations: int, locks: int) -> None:
    found = sizes(Profile(memory=4 * GB, cores=2, connections=100, relations=relations))
    assert found["max_locks_per_transaction"].value == locks


def test_limits_of_the_formulas() -> None:
    small = sizes(Profile(memory=512 * MB, cores=1, connections=100))
    assert small["shared_buffers"].value == 512 * MB * 15 // 100 // KB * KB
    assert small["work_mem"].value == 4 * MB
    huge = sizes(Profile(memory=1024 * GB, cores=64, connections=20, has_timescale=True))
    assert huge["shared_buffers"].value == 32 * GB
    assert huge["work_mem"].value == 256 * MB
    assert huge["max_worker_processes"].value == 64 + 16 + 3
    busy = sizes(Profile(memory=16 * GB, cores=4, connections=100, wal_rate=10 * MB))
    assert busy["max_wal_size"].value / MB == pytest.approx(10 * 900 * 1.9 * 1.2, abs=1)
    assert sizes(Profile(memory=16 * GB, cores=4, connections=9, wal_rate=1e9))["max_wal_size"].value == 64 * GB
    assert sizes(Profile(memory=16 * GB, cores=4, connections=9, wal_disk=5 * GB))["max_wal_size"].value == 3 * GB


def test_values_as_the_server_writes_them() -> None:
    assert [bytes_setting(value) for value in (4 * GB, 1536 * MB, 20164 * KB, -1, 0)] == [
        "4GB", "1536MB", "20164kB", "-1", "0",
    ]  # fmt: skip
    assert [seconds_setting(value) for value in (900, 3600, 30, 0.2, 0)] == ["15min", "1h", "30s", "200ms", "0"]
    assert alter_system('a"b', "it's \\") == "ALTER SYSTEM SET \"a\"\"b\" = E'it''s \\\\';"


def number(name: str, setting: str, unit: str | None = None, **changes: str) -> Setting:
    return Setting(name=name, setting=setting, unit=unit, vartype="integer", **changes)


def facts_of(*settings: Setting, version: int = 170002, rows: dict[str, Any] | None = None) -> ServerFacts:
    return ServerFacts(
        server={"version_num": version},
        settings={setting.name: setting for setting in settings},
        before={},
        after={},
        sessions={"idle_in_tx": 0},
        rows=rows or {},
    )


def findings(*settings: Setting, memory: int = 16 * GB, connections: int = 100) -> dict[str, Finding]:
    facts = facts_of(*settings)
    profile = Profile(memory=memory, cores=4, connections=connections)
    return {finding.subject: finding for finding in settings_findings(facts, profile)}


def test_only_what_is_far_off_or_untouched_is_told() -> None:
    pages = str(3 * GB // 8192)
    assert not findings(number("shared_buffers", pages, "8kB", source="configuration file"))
    tiny = findings(number("shared_buffers", str(GB // 8192), "8kB", source="configuration file", context="postmaster"))
    assert tiny["shared_buffers"].id == "PG03"
    assert (tiny["shared_buffers"].current, tiny["shared_buffers"].recommended) == ("1GB", "4GB")
    assert tiny["shared_buffers"].effect is Effect.RESTART
    assert findings(number("effective_cache_size", str(8 * GB // 8192), "8kB"))["effective_cache_size"].fix == (
        "ALTER SYSTEM SET \"effective_cache_size\" = '12GB';"
    )
    assert not findings(number("effective_cache_size", str(8 * GB // 8192), "8kB", source="configuration file"))
    assert not findings(number("effective_cache_size", str(3 * GB // 2 // 8192), "8kB"), memory=3 * GB)
    forced = findings(number("shared_buffers", str(GB // 8192), "8kB", source="command line"))["shared_buffers"]
    assert "command line, which wins" in forced.advice


def test_more_than_all_memory_for_sorts_is_critical_and_told_once() -> None:
    shared = number("shared_buffers", str(4 * GB // 8192), "8kB", source="configuration file")
    multiplier = Setting(name="hash_mem_multiplier", setting="2", vartype="real")
    work = number("work_mem", str(256 * 1024), "kB", source="configuration file")
    found = findings(shared, multiplier, work, connections=200)["work_mem"]
    assert (found.id, found.severity) == ("PG02", Severity.CRITICAL)
    evidence = {one.name: one.value for one in found.evidence}
    assert evidence["worst case"] == 4 * GB + 200 * 256 * MB * 2
    recommended = int(found.recommended.removesuffix("kB")) * KB
    assert worst_case(4 * GB, 200, recommended, 2) <= 16 * GB


@pytest.mark.parametrize(("name", "rule"), [("fsync", "PG01"), ("full_page_writes", "PG01"), ("autovacuum", "PG23")])
def test_what_endangers_data_is_critical(name: str, rule: str) -> None:
    found = findings(Setting(name=name, setting="off", vartype="bool"))[name]
    assert (found.id, found.severity, found.recommended) == (rule, Severity.CRITICAL, "on")
    assert not findings(Setting(name=name, setting="on", vartype="bool"))


def test_more_locks_than_needed_are_nobodys_trouble() -> None:
    facts = facts_of(number("max_locks_per_transaction", "512", source="configuration file"))
    profile = Profile(memory=4 * GB, cores=2, connections=100, relations=100)
    assert not list(settings_findings(facts, profile))
    (found,) = settings_findings(facts_of(number("max_locks_per_transaction", "64", context="postmaster")), profile)
    assert (found.id, found.recommended, found.effect) == ("PG46", "128", Effect.RESTART)
    assert {one.name: one.value for one in found.evidence}["relations of the biggest partitioned table"] == 100


@pytest.mark.parametrize(
    ("method", "expected"),
    [("worker", {"io_workers": "4"}), ("io_uring", {}), ("sync", {"io_method": "worker"})],
)
def test_reading_of_18(method: str, expected: dict[str, str]) -> None:
    facts = facts_of(
        Setting(name="io_method", setting=method, vartype="enum"), number("io_workers", "3"), version=180001
    )
    profile = Profile(memory=64 * GB, cores=16, connections=40, version=18)
    assert {one.subject: one.recommended for one in settings_findings(facts, profile)} == expected


@pytest.mark.parametrize(
    ("pages", "wanted", "status", "fix"),
    [
        (8, "off", "off", "ALTER SYSTEM SET \"huge_pages\" = 'try';"),
        (8, "try", "off", "vm.nr_hugepages = 4200"),
        (8, "try", "on", None),
        (8, "try", None, None),  # before 17 the server does not say
        (7, "off", "off", None),
    ],
)
def test_huge_pages_where_shared_buffers_are_large(
    pages: int, wanted: str, status: str | None, fix: str | None
) -> None:
    facts = facts_of(
        number("shared_buffers", str(pages * GB // 8192), "8kB", source="configuration file"),
        Setting(name="huge_pages", setting=wanted, vartype="enum", context="postmaster"),
        rows={"advice_memory": [{"huge_pages": status, "huge_pages_needed": 4200}]},
    )
    profile = Profile(memory=pages * 4 * GB, cores=8, connections=100)
    found = [one for one in settings_findings(facts, profile) if one.id == "PG48"]
    assert [one.fix for one in found] == ([fix] if fix else [])
    assert all({"huge pages needed": 4200}.items() <= {e.name: e.value for e in one.evidence}.items() for one in found)
