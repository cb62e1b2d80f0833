"""What rows that change something have in common: an operation done by name, with the body's confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qsuite_console.headless.table import Api, Call
from qsuite_console.model.operations import Outcome
from qsuite_console.model.requests import ChangeRequest


async def perform(
    api: Api, call: Call, operation: str, parameters: Mapping[str, Any], asked: ChangeRequest | None = None
) -> Outcome:
    """Do an operation for whoever calls; the gate decides. Raises what ``Control.perform`` raises."""
    asked = call.decode(ChangeRequest) if asked is None else asked
    return await api.control.perform(
        operation, parameters, confirmation=asked.confirmation, origin=call.origin(asked.origin)
    )
