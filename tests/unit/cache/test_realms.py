"""Two databases never share an answer: whatever makes the data another one makes the realm another one."""

from __future__ import annotations

import socket

import pytest

from qsuite_console.cache.answers import realm_of
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.database import identify


def identity(dsn: str) -> tuple[str, ...]:
    return identify(DatabaseSettings(dsn=Secret(dsn)))


def test_address_database_and_user_tell_databases_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "here")
    found = [
        identity(dsn)
        for dsn in (
            "postgresql://app:one@db.example/shop",
            "postgresql://app:one@db.example/other",
            "postgresql://app:one@db.example:6432/shop",
            "postgresql://reader:one@db.example/shop",
            "postgresql://app:one@localhost/shop",
            "postgresql://app:one@[::1]/shop",
            "postgresql:///shop?host=/run/postgresql&user=app",
            "postgresql:///shop?host=/run/postgresql&user=reader",
        )
    ]
    assert len({realm_of("default", *one) for one in found}) == len(found)
    assert identity("postgresql://app:one@db.example/shop") == identity("postgresql://app:two@db.example/shop")
    assert not any("one" in part for one in found for part in one)
    assert realm_of("default", *found[0]) != realm_of("staging", *found[0])


def test_a_local_address_means_another_database_on_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for dsn, is_local in (("postgresql://a@127.0.0.1/x", True), ("postgresql://a@db.example/x", False)):
        monkeypatch.setattr(socket, "gethostname", lambda: "here")
        here = identity(dsn)
        monkeypatch.setattr(socket, "gethostname", lambda: "there")
        assert (identity(dsn) != here) is is_local
