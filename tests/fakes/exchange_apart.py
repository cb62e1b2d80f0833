"""The sample exchange in a process of its own: ``python -P exchange_apart.py '{"symbols": 100}'`` prints where it is
as JSON and runs until its stdin ends, so that its work is on nobody else's account.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from qsuite_console.sandbox.exchange.options import ExchangeOptions
from qsuite_console.sandbox.exchange.server import Exchange


async def main() -> None:
    os.nice(10)  # a real one has a machine of its own
    async with Exchange(ExchangeOptions(**json.loads(sys.argv[1]))) as exchange:
        sys.stdout.write(json.dumps(exchange.environment) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
