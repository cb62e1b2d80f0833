"""``init``, ``doctor`` and ``db init`` against real servers."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from integration.cli.conftest import Console


def test_db_init_creates_then_adopts(console: Console, empty_database_dsn: str) -> None:
    console.environ["DATABASE_URL"] = empty_database_dsn
    first = console.json("db", "init")
    assert "price_ticks" in first["created"]
    assert first["adopted"] == []
    second = console.json("db", "init")
    assert second["created"] == []
    assert "price_ticks" in second["adopted"]
    assert "nothing was missing" in console.run("db", "init").stderr
    assert urlsplit(empty_database_dsn).password not in str(first)


def test_an_unreachable_database_is_one_line(console: Console) -> None:
    done = console.run("db", "init", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/d")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("error: PostgreSQL at 127.0.0.1:1/d")
    assert "hunter2" not in done.stderr
    assert len(done.stderr.splitlines()) == 2


async def test_init_tests_writes_and_doctor_is_content(
    console: Console, database_dsn: str, valkey_url: str, exchange: Callable[..., Awaitable[Any]]
) -> None:
    server = await exchange(symbols=3)

    secrets = "".join(
        f"{name}={value}\n"
        for name, value in {**server.environment, "DATABASE_URL": database_dsn, "REDIS_URL": valkey_url}.items()
    )
    done = await asyncio.to_thread(console.run, "init", "--yes", "--stdin", stdin=secrets)
    assert done.returncode == 0, done.stdout + done.stderr
    file = console.home / "config" / "config.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    password = urlsplit(database_dsn).password or ""
    assert password not in done.stdout + done.stderr
    checks = (await asyncio.to_thread(console.json, "doctor"))["checks"]
    verdicts = {check["name"]: check["verdict"] for check in checks}
    assert verdicts["database"] == verdicts["cache"] == verdicts["provider"] == "ok"
    assert verdicts["database tables"] == "ok"
    assert verdicts["database clock"] == "ok"
    assert password not in str(checks)
    again = await asyncio.to_thread(console.run, "init", "--yes", "--stdin", stdin=secrets)
    assert again.returncode == 1
    assert "exists" in again.stderr


def test_init_writes_nothing_when_a_connection_fails(console: Console) -> None:
    environ = {"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d"}
    done = console.run("init", "--yes", **environ)
    assert done.returncode == 1
    assert not (console.home / "config" / "config.toml").exists()
    assert "hunter2" not in done.stdout + done.stderr
    assert console.run("init", "--yes", "--no-test", **environ).returncode == 0
    assert "hunter2" in (console.home / "config" / "config.toml").read_text()


async def test_doctor_fails_for_a_wrong_key(
    console: Console, database_dsn: str, exchange: Callable[..., Awaitable[Any]]
) -> None:

    server = await exchange(symbols=3)
    environ = {**server.environment, "DATABASE_URL": database_dsn, "APCA_API_SECRET_KEY": "wrong"}
    done = await asyncio.to_thread(console.run, "doctor", **environ)
    assert done.returncode == 1
    assert "refused the key" in done.stdout
