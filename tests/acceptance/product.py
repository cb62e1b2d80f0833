"""The installed program as a user runs it, and what an independent observer sees of its effects."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

PROGRAM = Path(sys.executable).with_name("qsuite-console")
YEAR = ("--timeframe", "1Day", "--start", "2025-01-02", "--end", "2025-12-31", "--table", "price_ticks")


@dataclass
class Console:
    """One instance: a home of its own and the environment it runs in."""

    home: Path
    environment: dict[str, str]

    @property
    def variables(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "QSUITE_CONSOLE_HOME": str(self.home), "TZ": "UTC", **self.environment}

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAM), *arguments],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(PROGRAM), *arguments],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *arguments: str, timeout: float = 120) -> Any:
        done = self.run(*arguments, "--json", timeout=timeout)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def with_environment(self, home: Path, **changes: str) -> Console:
        return Console(home, {**self.environment, **changes})


def parse_environment(lines: str) -> dict[str, str]:
    """Read ``sandbox env`` as a shell would."""
    return dict(word.split("=", 1) for word in shlex.split(lines))


class Exchange:
    """The provider seen by someone who is not the console: plain HTTP, exact decimals."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.url = environment["APCA_API_DATA_URL"]
        self.headers = {
            "APCA-API-KEY-ID": environment["APCA_API_KEY_ID"],
            "APCA-API-SECRET-KEY": environment["APCA_API_SECRET_KEY"],
        }

    def get(self, path: str, **query: str) -> Any:
        address = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(address, headers=self.headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read(), parse_float=Decimal)

    def mark(self) -> int:
        records = self.get("/sandbox/requests")["requests"]
        return max((record["number"] for record in records), default=0)

    def bar_requests(self, after: int) -> list[dict[str, Any]]:
        records = self.get("/sandbox/requests", after=str(after))["requests"]
        return [record for record in records if record["path"].endswith("/bars")]

    def bars(self, record: dict[str, Any]) -> set[tuple[str, str]]:
        """Return (symbol, start) of every bar in the page that this request was answered with."""
        page = self.get(record["path"], **record["query"])
        return {(symbol, bar["t"]) for symbol, bars in page["bars"].items() for bar in bars}

    def truth(self, symbols: list[str], timeframe: str, start: str, end: str) -> dict[tuple[str, str], tuple[Any, ...]]:
        """Page through everything the provider has, in the simplest possible way."""
        rows: dict[tuple[str, str], tuple[Any, ...]] = {}
        query = {"symbols": ",".join(symbols), "timeframe": timeframe, "start": start, "end": end, "limit": "10000"}
        while True:
            page = self.get("/v2/stocks/bars", **query)
            for symbol, bars in page["bars"].items():
                for bar in bars:
                    rows[symbol, bar["t"]] = tuple(Decimal(bar[key]) for key in "ohlcv")
            if page["next_page_token"] is None:
                return rows
            query["page_token"] = page["next_page_token"]


class Platform:
    """The platform's database seen by someone who is not the console."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        async def ask() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.url)
            try:
                return await connection.fetch(query, *arguments)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def execute(self, *statements: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.url)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(execute())

    def year(self) -> dict[tuple[str, str], tuple[Decimal, ...]]:
        """Return the daily rows of 2025, keyed and spelt as the provider does."""
        rows = self.fetch(
            """SELECT symbol, to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS t,
                      open, high, low, close, volume
                 FROM price_ticks WHERE timeframe = '1Day'
                    AND "timestamp" >= '2025-01-01' AND "timestamp" < '2026-01-01'"""
        )
        return {(row["symbol"], row["t"]): tuple(row)[2:] for row in rows}
