"""A node of a cluster and a Sentinel: what one connection shows of them, and what it says it can't."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings
from qsuite_console.metrics import cache_panels as panels
from qsuite_console.sandbox import binaries, servers


@contextmanager
def running(*arguments: str, configuration: str = "") -> Iterator[str]:
    """Start a Valkey with these arguments until the block ends; gives its URL."""
    port = servers.free_port()
    with tempfile.TemporaryDirectory(prefix="qsuite-mode-") as directory:
        path = Path(directory) / "valkey.conf"
        path.write_text(f'port {port}\nbind 127.0.0.1\nsave ""\ndir {directory}\n{configuration}')
        command = [str(binaries.valkey_program()), str(path), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(30)


async def ready(url: str) -> Cache:
    cache, end = Cache(CacheSettings(url=Secret(url)), application="test"), time.monotonic() + 30
    while True:
        try:
            await cache.ping()
        except CacheError:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        else:
            return cache


async def test_of_a_cluster_one_node_is_shown_and_said(connect: Callable[[str], Any]) -> None:
    bus = servers.free_port()  # by default the port plus 10,000, which may be beyond the last there is
    cluster = f"cluster-enabled yes\ncluster-port {bus}\ncluster-require-full-coverage no\n"
    with running(configuration=cluster) as url:
        cache = await ready(url)
        client: Any = cache.raw
        await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        async with asyncio.timeout(30):
            while (await client.execute_command("CLUSTER INFO"))["cluster_state"] != "ok":
                await asyncio.sleep(0.05)
        await client.set("price:1", "x")
        services = await connect(url)
        for probe in (panels.MemoryProbe, panels.FamiliesProbe, panels.KeysProbe, panels.AdviceProbe):
            answer = await probe(services).ask({})
            assert "one node" in next(one.why for one in answer.unread if "cluster" in one.what), probe.name
        assert [key.name for key in (await panels.KeysProbe(services).ask({})).keys] == ["price:1"]
        await cache.close()


async def test_a_sentinel_says_that_it_holds_no_keys(connect: Callable[[str], Any]) -> None:
    with running("--sentinel", configuration="sentinel monitor main 127.0.0.1 1 1\n") as url:
        cache = await ready(url)
        services = await connect(url)
        memory = await panels.MemoryProbe(services).ask({})
        assert "Sentinel" in next(one.why for one in memory.unread if one.what == "keys and memory")
        with pytest.raises(CacheError, match="no command DBSIZE"):
            await panels.KeysProbe(services).ask({})
        await cache.close()
