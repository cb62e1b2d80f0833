"""Five real sessions that stand in each other's way: root → a → b, root → c, and d outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ANY ($1)"


@dataclass
class Scene:
    """``pids`` by name; ``tasks`` are the statements of those that wait."""

    connections: dict[str, asyncpg.Connection]
    looker: asyncpg.Connection
    pids: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[str]] = field(default_factory=dict)

    async def waits(self, name: str, statement: str) -> None:
        """Let a session run into a lock and return when it stands there."""
        self.tasks[name] = asyncio.create_task(self.connections[name].execute(statement))
        await self.until(lambda: self._stands(name))

    async def _stands(self, name: str) -> bool:
        return bool(await self.looker.fetchval(WAITING, [self.pids[name]]))

    async def until(self, condition: Callable[[], object], limit_s: float = 30.0) -> None:
        """Wait for a condition to become true."""
        async with asyncio.timeout(limit_s):
            while not await condition():  # type: ignore[misc]
                await asyncio.sleep(0.01)

    async def all_free(self) -> list[str]:
        """Return what became of those that waited, in order of their names; each must go on by itself."""
        async with asyncio.timeout(30):
            for name in ("a", "c", "b"):
                await self.tasks[name]
                await self.connections[name].execute("COMMIT")
        return [self.tasks[name].result() for name in ("a", "b", "c")]


@asynccontextmanager
async def five_sessions(dsn: str, *, root: str = "idle") -> AsyncIterator[Scene]:
    """Let them block each other; ``root`` is "idle" in its transaction, or "busy" with a long statement."""
    async with AsyncExitStack() as stack:
        connections = {}
        for name in ("root", "a", "b", "c", "d", "looker"):
            connection = await asyncpg.connect(dsn, server_settings={"application_name": f"app-{name}"})
            stack.callback(connection.terminate)
            connections[name] = connection
        scene = Scene(connections, connections.pop("looker"))
        scene.pids = {name: one.get_server_pid() for name, one in connections.items()}
        await scene.looker.execute("CREATE TABLE IF NOT EXISTS public.accounts (id int PRIMARY KEY, amount int)")
        await scene.looker.execute(
            "INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 5) n ON CONFLICT DO NOTHING"
        )
        for name, mine in (("root", (1, 2)), ("a", (3,)), ("b", (4,)), ("c", ()), ("d", (5,))):
            await connections[name].execute("BEGIN")
            for row in mine:
                await connections[name].execute(f"UPDATE accounts SET amount = amount + 1 WHERE id = {row}")
        await scene.waits("a", "UPDATE accounts SET amount = amount + 10 WHERE id = 1")
        await scene.waits("b", "UPDATE accounts SET amount = amount + 10 WHERE id = 3")
        await scene.waits("c", "UPDATE accounts SET amount = amount + 10 WHERE id = 2")
        if root == "busy":
            scene.tasks["root"] = asyncio.create_task(connections["root"].execute("SELECT pg_sleep(600)"))
            busy = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'"
            await scene.until(lambda: scene.looker.fetchval(busy, scene.pids["root"]))
        try:
            yield scene
        finally:
            for task in scene.tasks.values():
                task.cancel()
            await asyncio.gather(*scene.tasks.values(), return_exceptions=True)
