"""Bulk calls through a whole console: the secrets they send are in no file of its home, and in nothing it says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

import aiohttp.web as web
import pytest

from integration.calls.canary import Receiver, serving
from qsuite_console import logs
from qsuite_console.config.loading import load
from qsuite_console.config.schema import secrets_of
from qsuite_console.config.settings import Settings
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.jobs import TERMINAL, Job, JobState, Submission
from qsuite_console.paths import Paths, resolve
from qsuite_console.providers.calls import masks_of
from qsuite_console.runtime import open_runtime

SECRET = "canary-7f3a/token+1"
LITERAL = "canary-typed-by-hand"


async def ended(control: Control, job_id: int) -> Job:
    async with asyncio.timeout(60):
        while (job := (await control.job(job_id)).job).state not in TERMINAL:
            await asyncio.sleep(0.02)
    return job


def holding(home: Path, needles: tuple[str, ...]) -> list[str]:
    """Return where a needle stands in any file of a home, also in what the history keeps compressed."""
    files = [path for path in home.rglob("*") if path.is_file()]
    texts = [(path.name, path.read_bytes()) for path in files]
    for path in files:
        if path.read_bytes()[:15] == b"SQLite format 3":
            texts += [(path.name, text) for text in _cells(path)]
    return [f"{name}: {needle}" for needle in needles for name, text in texts if needle.encode() in text]


def _cells(path: Path) -> Iterator[bytes]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    is_packed = isinstance(cell, bytes) and cell[:1] == b"x"
                    yield zlib.decompress(cell) if is_packed else str(cell).encode()


async def test_secrets_are_in_nothing_that_stays(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        n = int(request.query["n"])
        sent.append(request.headers.get("Authorization", ""))
        text = json.dumps({"n": n, "you sent": dict(request.headers), "query": request.query_string})
        return web.Response(
            status=500 if n % 7 == 3 else 404 if n % 7 == 5 else 200, text=text, content_type="text/plain"
        )

    sent: list[str] = []
    receiver = Receiver()
    receiver.handle = handle  # type: ignore[assignment,method-assign]
    async with serving(receiver):
        paths = resolve(str(tmp_path)).ensure()
        paths.config_file.write_text(
            f'log_level = "DEBUG"\n[outgoing]\nallow = "127.0.0.1:{receiver.port}"\n'
            '[secrets.broker]\nvalue = "env:BROKER_TOKEN"\nhosts = ["127.0.0.1"]\n'
        )
        paths.config_file.chmod(0o600)
        settings = load(paths, {"BROKER_TOKEN": SECRET}, {}).settings
        logs.configure(paths.log_file, level="DEBUG", secrets=())  # nothing else helps: not even the log's own mask
        try:
            jobs, says = await asyncio.to_thread(_work, settings, paths, receiver.url)
        finally:
            logs.configure(tmp_path.parent / "after.log")
    assert [job.state for job in jobs] == [JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.FAILED]
    assert len(sent) == 101
    assert set(sent) == {f"Bearer {SECRET}"}
    assert secrets_of(settings)
    needles = (*masks_of([SECRET]), LITERAL)
    assert holding(tmp_path, needles) == []
    assert [needle for needle in needles if needle in says] == []
    assert holding(tmp_path, ("you sent",))  # and the search finds what is there, packed or not
    assert "you sent" in says


def _work(settings: Settings, paths: Paths, url: str) -> tuple[list[Job], str]:
    """Run two bulks of fifty and a call that fails, and return what every entrance says of them."""

    async def work(control: Control) -> tuple[list[Job], str]:
        header = {"Authorization": "Bearer secret:broker"}
        says = []
        wrong = {"url": f"{url}/x", "headers": {"Authorization": f"Bearer {LITERAL}"}}
        with pytest.raises(InvalidParameters) as refused:
            await control.submit(Submission(kind="api.call", parameters=wrong))
        says.append(str(refused.value))
        receipts = []
        for base in (0, 50):
            calls = [{"url": f"{url}/v?n={n}&token=secret:broker", "headers": header} for n in range(base, base + 50)]
            receipts.append(
                await control.submit(Submission(kind="api.bulk", parameters={"calls": calls, "retries": 0}))
            )
        one = {"url": f"{url}/w?n=5", "headers": header}
        receipts.append(await control.submit(Submission(kind="api.call", parameters=one)))
        jobs = [await ended(control, receipt.job_id) for receipt in receipts]
        for job in jobs:
            says.append(repr(await control.job(job.id)))
            says.append(repr(await control.logs(job.id, limit=5000)))
        says.append(repr(control.state))
        return jobs, "\n".join(says)

    with open_runtime(settings, paths, claim=Claiming.ALL, origin="test") as runtime:
        return asyncio.run(work(runtime.control))
