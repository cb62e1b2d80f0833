"""A connection that counts what it sends, so that a request can tell how many queries it took (``model.tally``)."""

from __future__ import annotations

from typing import Any

import asyncpg

from qsuite_console.model.tally import note_query


class CountedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """Counts one for each statement, cursor and copy. asyncpg's own set-up queries are not counted."""

    __slots__ = ()

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        note_query()
        return await super().execute(*arguments, **options)

    async def executemany(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's; one for all of its rows, which travel together."""
        note_query()
        return await super().executemany(*arguments, **options)

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        note_query()
        return await super().fetch(*arguments, **options)

    async def fetchval(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        note_query()
        return await super().fetchval(*arguments, **options)

    async def fetchrow(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        note_query()
        return await super().fetchrow(*arguments, **options)

    async def copy_records_to_table(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        note_query()
        return await super().copy_records_to_table(*arguments, **options)

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's."""
        note_query()
        return super().cursor(*arguments, **options)
