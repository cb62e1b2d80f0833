"""The interface's own description, for clients that are made from it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from qsuite_console.headless.openapi import document
from qsuite_console.headless.table import Api, Call, Route
from qsuite_console.model.traffic import RequestsView


async def _document(api: Api, _call: Call) -> Any:
    return await asyncio.to_thread(document, api.routes)


async def _requests(api: Api, _call: Call) -> RequestsView:
    return api.costs.view()


ROUTES: Final = (
    Route(
        "GET",
        "/openapi.json",
        _document,
        "this interface as an OpenAPI document",
        answers=dict[str, Any],
        is_for_own=True,
        cache_s=3600.0,
    ),
    Route(
        "GET", "/requests", _requests, "what each route was asked and took, and the slow requests", answers=RequestsView
    ),
)
