"""A console's engine reduced to what a SIGKILL can hurt: run as a program, it writes what it was told is durable.

    python engine_program.py DIRECTORY FIRST_NUMBER

Every acknowledged submission, checkpoint and effect is appended to ``told.log`` with one unbuffered write each.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.jobs import Doing, Number, running
from qsuite_console.engine.ports import JobContext
from qsuite_console.model.jobs import Submission


def main(directory: Path, first: int) -> None:
    told = os.open(directory / "told.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(*words: object) -> None:
        os.write(told, (" ".join(map(str, words)) + "\n").encode())

    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        step = int((context.checkpoint or {}).get("step", 0))
        tell("begin", context.job_id, context.attempt, step)
        while step < 5:
            step += 1
            await context.save({"step": step})
            tell("saved", context.job_id, step)
            await asyncio.sleep(0.002)
        tell("worked", context.job_id, context.attempt)
        return {"steps": step}

    async def produce(control: Any, numbers: Any) -> None:
        for number in numbers:
            receipt = await control.submit(Submission(kind="task", parameters={"n": number}))
            tell("submitted", receipt.job_id, number)

    async def live(control: Any) -> None:
        numbers = itertools.count(first)
        await asyncio.gather(*(produce(control, itertools.islice(numbers, 0, None)) for _ in range(4)))

    with running(directory, Doing(work)) as engine:
        tell("ready")
        asyncio.run(live(engine.control))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
