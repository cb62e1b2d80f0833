"""Who asks over the engine's HTTP interface, and how much they may."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

LOCAL_ORIGIN: Final = "http"  # of a local program that asks for a change without saying what it is


class Scope(StrEnum):
    """What a caller may do; each covers those before it."""

    READ = "read"  # look
    OPERATE = "operate"  # start, stop and schedule work; acknowledge alerts
    ADMIN = "admin"  # change the platform itself

    def covers(self, other: Scope) -> bool:
        """Return whether who has this may do what wants ``other``."""
        order = tuple(Scope)
        return order.index(self) >= order.index(other)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a process of the same user over the Unix socket (``is_local``), or the holder of a named token."""

    name: str = ""
    scope: Scope = Scope.ADMIN
    is_local: bool = True
    own_jobs_only: bool = False  # sees and changes no jobs but those it made

    @property
    def origin(self) -> str:
        """Return what jobs and the audit say about who asked; a token's holder can't state another."""
        return LOCAL_ORIGIN if self.is_local else f"{LOCAL_ORIGIN}:{self.name}"


LOCAL: Final = Caller()
