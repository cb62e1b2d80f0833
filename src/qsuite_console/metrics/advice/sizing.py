"""How big PostgreSQL's settings should be on a machine: the published formulas, one function, whole kB."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

GIB: Final = 1024**3
MIB: Final = 1024**2
WORKLOADS: Final = ("oltp", "mixed", "warehouse")
STORAGES: Final = ("ssd", "hdd")
CHECKPOINT_S: Final = 900
COMPLETION: Final = 0.9
_WAL: Final = {"oltp": (2, 8), "mixed": (1, 4), "warehouse": (4, 16)}  # GB: least and most between checkpoints
LOCKS: Final = 64  # the default of max_locks_per_transaction
_CHUNK_LOCKS: Final = ((32, 512), (16, 256), (8, 128))  # GB of memory, locks
_MOST_LOCKS: Final = 1024
_TIMESCALE_WORKERS: Final = 16 + 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A machine and its use. ``memory`` in bytes is what PostgreSQL may use, not what the host has."""

    memory: int
    cores: int
    connections: int
    storage: str = "ssd"
    workload: str = "mixed"
    version: int = 17
    database: int | None = None  # bytes
    wal_rate: float = 0.0  # bytes a second
    wal_disk: int | None = None  # bytes
    has_timescale: bool = False
    relations: int = 0  # tables and indexes of the biggest partitioned table: what one query may have to lock


@dataclass(frozen=True, slots=True)
class Size:
    """One recommended value: bytes, seconds or a number, and the formula it came from. None bytes: leave it to -1."""

    value: float
    formula: str


def sizes(profile: Profile) -> dict[str, Size]:
    """Return setting -> recommended value with its formula."""
    return {**_memory(profile), **_wal(profile), **_planner(profile), **_workers(profile), **_locks(profile)}


def worst_case(shared_buffers: float, connections: float, work_mem: float, hash_multiplier: float) -> float:
    """Return the bytes taken when every session sorts or hashes once at the same time."""
    return shared_buffers + connections * work_mem * hash_multiplier


def _memory(profile: Profile) -> dict[str, Size]:
    memory = profile.memory
    if memory < GIB:
        shared, formula = memory * 15 // 100, "15 % of memory below 1 GB"
    else:
        shared, formula = min(memory // 4, 32 * GIB), "memory / 4, at most 32 GB"
    workers = max(8, profile.cores)
    half = 1 if profile.workload == "oltp" else 2
    work = (memory - shared) / ((profile.connections + workers) * 3 * half)
    share = "" if half == 1 else " / 2"
    upkeep = min(memory // 16, 2 * GIB)
    found = {
        "shared_buffers": Size(_kilo(shared), formula),
        "effective_cache_size": Size(_kilo(memory * 3 // 4), "memory x 3/4 (a hint for the planner only)"),
        "work_mem": Size(
            _kilo(min(256 * MIB, max(4 * MIB, work))),
            f"(memory - shared_buffers) / ((connections + workers) x 3){share}, 4 to 256 MB; workers = max(8, cores)",
        ),
        "maintenance_work_mem": Size(_kilo(upkeep), "memory / 16, at most 2 GB"),
    }
    if profile.version < 17:
        capped = _kilo(min(upkeep, GIB))
        found["autovacuum_work_mem"] = Size(
            capped, "maintenance_work_mem, at most 1 GB (VACUUM uses no more before 17)"
        )
    return found


def _wal(profile: Profile) -> dict[str, Size]:
    base = _WAL[profile.workload][1] * GIB
    needed = profile.wal_rate * CHECKPOINT_S * (1 + COMPLETION) * 1.2
    most = 64.0 * GIB if profile.wal_disk is None else min(64.0 * GIB, 0.6 * profile.wal_disk)
    return {
        "max_wal_size": Size(
            _kilo(min(max(base, needed), most)) // MIB * MIB,
            f"max({base // GIB} GB for {profile.workload}, WAL rate x 900 s x 1.9 x 1.2), at most 64 GB and 60 % of "
            "its disk",
        ),
        "checkpoint_timeout": Size(CHECKPOINT_S, "15 min: recovery after a crash takes longer with it"),
        "checkpoint_completion_target": Size(COMPLETION, "0.9"),
        "wal_buffers": Size(-1, "-1: 1/32 of shared_buffers, at most one WAL segment"),
    }


def _planner(profile: Profile) -> dict[str, Size]:
    is_bigger = profile.database is None or profile.database > profile.memory
    if profile.storage == "hdd" and is_bigger:
        page, formula = 4.0, "hard disks: 4 (1.1 when the database fits into memory)"
    elif profile.workload == "warehouse" and profile.database is not None and is_bigger:
        page, formula = 2.0, "warehouse larger than memory on SSD: 2"
    else:
        page, formula = 1.1, "SSD, or a database that fits into memory: 1.1"
    found = {"random_page_cost": Size(page, formula)}
    if profile.version >= 18:
        found["effective_io_concurrency"] = Size(16, "18 and newer: 16, the default")
    else:
        value = 2 if profile.storage == "hdd" else 200
        found["effective_io_concurrency"] = Size(value, "13 to 17: 2 on hard disks, 200 on SSD")
    return found


def _workers(profile: Profile) -> dict[str, Size]:
    cores = profile.cores
    extra = _TIMESCALE_WORKERS if profile.has_timescale else 0
    gather = min(4, math.ceil(cores / 2))
    plus = " + 16 + 3 for TimescaleDB" if extra else ""
    found = {
        "max_worker_processes": Size(max(8, cores) + extra, f"max(8, cores){plus}"),
        "max_parallel_workers": Size(cores, "cores"),
        "max_parallel_workers_per_gather": Size(gather, "min(4, cores / 2 rounded up)"),
        "max_parallel_maintenance_workers": Size(gather, "min(4, cores / 2 rounded up)"),
    }
    if profile.version >= 18:
        readers = min(32, max(3, cores // 4))
        found["io_workers"] = Size(readers, "a quarter of the cores, 3 to 32 (with io_method = worker)")
    return found


def _locks(profile: Profile) -> dict[str, Size]:
    """Return how many locks a transaction may take on average: a query locks every partition it can't leave out."""
    least, formula = LOCKS, "64"
    if profile.has_timescale:
        least = next((locks for memory, locks in _CHUNK_LOCKS if profile.memory >= memory * GIB), LOCKS)
        formula = "64 below 8 GB, 128 from 8, 256 from 16, 512 from 32 GB (TimescaleDB)"
    while least < min(profile.relations, _MOST_LOCKS):
        least *= 2
    if profile.relations > LOCKS:
        formula += f", doubled until {profile.relations} relations of one partitioned table fit, at most 1024"
    return {"max_locks_per_transaction": Size(least, formula)}


def _kilo(amount: float) -> int:
    return int(amount) // 1024 * 1024
