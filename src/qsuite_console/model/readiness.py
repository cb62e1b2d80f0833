"""Whether an engine is alive and may be given work, with reasons: what load balancers and systemd ask."""

from __future__ import annotations

import msgspec

from qsuite_console.model.health import Level


class Liveness(msgspec.Struct, frozen=True, kw_only=True):
    """That the engine's loop turns: one that stands still does not answer."""

    is_live: bool = True


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the engine needs or watches."""

    name: str  # "engine", or a source: "postgresql"
    level: Level
    is_needed: bool  # the engine is not ready without it
    reason: str = ""  # "" where all is well


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """``problems`` are the reasons of the checks that are needed and fail."""

    is_ready: bool
    problems: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
