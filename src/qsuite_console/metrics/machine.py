"""The machine PostgreSQL runs on: what was given counts first, then what this host says where the server is on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.db.settings import ServerFacts
from qsuite_console.metrics import from_host, units
from qsuite_console.metrics.advice.sizing import Profile
from qsuite_console.model.advice import Machine
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_LEAST_MEMORY: Final = 64 * 1024**2
_LOCAL: Final = ("localhost:", "127.", "[::1]:", "::1:", "/")


class MachineParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What can't be seen from here about the database's host; "" and 0: find out."""

    memory: str = ""  # "16GB": what PostgreSQL may use
    cores: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    storage: Literal["", "ssd", "hdd"] = ""
    workload: Literal["", "oltp", "mixed", "warehouse"] = ""
    connections: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0


def parse_memory(text: str) -> int | None:
    """Return the bytes of "16GB" or "512 MB" (binary units), None of nothing; raises InvalidParameters."""
    if not text.strip():
        return None
    match = _SIZE.fullmatch(text.strip())
    amount = int(float(match[1]) * 1024 ** _POWERS[match[2].lower()]) if match else 0
    if not _LEAST_MEMORY <= amount <= 1024**5:
        raise InvalidParameters({"memory": f"{clean(text, 40)!r} is no size of a memory"}, hint="for example 16GB")
    return amount


def is_here(facts: ServerFacts) -> bool:
    """Tell whether the server runs on this host: by a socket, or with one address at both ends."""
    address = facts.server["server_address"]
    return address is None or address == facts.server["client_address"]


def taken_by(cache: Cache, info: Mapping[str, Any] | None) -> int:
    """Return the bytes a Redis on this host may take from PostgreSQL."""
    if info is None or not cache.where.startswith(_LOCAL):
        return 0
    return int(info.get("maxmemory") or info.get("used_memory_rss") or 0)


def machine_of(
    wanted: MachineParameters, facts: ServerFacts | None, *, is_local: bool, reserved: int
) -> tuple[Machine, Profile | None]:
    """Return what sizes are computed from, and None for the profile where memory, cores or connections are unknown.

    ``is_local``: the server runs on this host. ``reserved``: bytes that others need there.
    """
    origins = {"storage": "assumed", "workload": "given" if wanted.workload else "assumed"}
    memory, cores = parse_memory(wanted.memory), wanted.cores or None
    origins |= {name: "given" for name, value in (("memory", memory), ("cores", cores)) if value}
    disk = data_disk(facts) if facts is not None and is_local else None
    if is_local:
        total, here = from_host.capacity()
        if memory is None:
            memory = max(_LEAST_MEMORY, total - reserved)
            origins["memory"] = f"this host, less {units.size(reserved)} for Redis" if reserved else "this host"
        if cores is None:
            cores, origins["cores"] = here, "this host"
    storage = wanted.storage
    if storage:
        origins["storage"] = "given"
    elif facts is not None and is_local and "data_directory" in facts.settings:
        rotates = from_host.is_rotating(facts.settings["data_directory"].setting)
        if rotates is not None:
            storage, origins["storage"] = "hdd" if rotates else "ssd", "this host"
    connections = wanted.connections or None
    origins["connections"] = "given"
    if connections is None and facts is not None and "max_connections" in facts.settings:
        connections, origins["connections"] = int(facts.settings["max_connections"].setting), "max_connections"
    machine = Machine(
        memory=memory,
        cores=cores,
        storage=storage or "ssd",
        workload=wanted.workload or "mixed",
        connections=connections,
        origins=origins,
    )
    if facts is None or memory is None or cores is None or connections is None:
        return machine, None
    return machine, _profile(machine, facts, memory, cores, connections, disk[1] if disk else None)


def _profile(
    machine: Machine, facts: ServerFacts, memory: int, cores: int, connections: int, wal_disk: int | None
) -> Profile:
    size = facts.rows.get("advice_size", ())
    written = facts.grown("wal_bytes")
    return Profile(
        memory=memory,
        cores=cores,
        connections=connections,
        storage=machine.storage,
        workload=machine.workload,
        version=facts.version,
        database=int(size[0]["bytes"]) if size else None,
        wal_rate=written / facts.seconds if written is not None and facts.seconds > 0 else 0.0,
        wal_disk=wal_disk,
        relations=sum(int(row["relations"]) for row in facts.rows.get("advice_partitions", ())[:1]),
        has_timescale=any(row["name"] == "timescaledb" for row in facts.rows.get("advice_extensions", ())),
    )


def data_disk(facts: ServerFacts) -> tuple[float, int] | None:
    """Return (percent in use, bytes) of the disk that holds the data, None when it can't be seen."""
    directory = facts.settings.get("data_directory")
    return None if directory is None else from_host.disk(directory.setting)
