"""One of several processes that settle orders at once: ``python -m integration.orders.settler NUMBER``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import Any

import asyncpg

from fakes.backfill import FakeContext, make_settings, open_services
from qsuite_console import workers
from qsuite_console.config.settings import TargetSettings
from qsuite_console.engine.parameters import decode

NOWHERE = dict.fromkeys(
    ("APCA_API_DATA_URL", "APCA_API_BASE_URL", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"), "http://127.0.0.1:1"
)
START = 77


async def main() -> None:
    settings = make_settings(os.environ["DATABASE_URL"], NOWHERE, redis=os.environ["REDIS_URL"])
    async with open_services(replace(settings, target=TargetSettings(paper_execution=True))) as services:
        starting = await asyncpg.connect(os.environ["DATABASE_URL"])  # waits for the slowest of them, however long
        await starting.execute(f"SELECT pg_advisory_lock_shared({START}), pg_advisory_unlock_shared({START})")
        await starting.close()
        worker: Any = workers.load("orders.settle", services)
        result = await worker.run(FakeContext(int(sys.argv[1])), decode(worker.kind.parameters, {"wait": False}))
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
