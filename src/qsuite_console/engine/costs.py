"""What the console's own questions cost: every probe is wrapped once, where it is made, and counted here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from qsuite_console.engine.ports import Probe
from qsuite_console.model.system import QuestionCost


class ProbeCosts:
    """The costs of one engine's probes since its start; used on the engine's loop."""

    def __init__(self) -> None:
        self._costs: dict[str, QuestionCost] = {}

    @property
    def costs(self) -> tuple[QuestionCost, ...]:
        """Return what each has cost, dearest first."""
        return tuple(sorted(self._costs.values(), key=lambda cost: -cost.total_ms))

    def note(self, name: str, spent_ms: float, *, is_failed: bool = False) -> None:
        """Add one question."""
        was = self._costs.get(name, QuestionCost(name=name, asked=0, failed=0, total_ms=0.0, last_ms=0.0, worst_ms=0.0))
        self._costs[name] = QuestionCost(
            name=name,
            asked=was.asked + 1,
            failed=was.failed + is_failed,
            total_ms=was.total_ms + spent_ms,
            last_ms=spent_ms,
            worst_ms=max(was.worst_ms, spent_ms),
        )

    def metered(self, probe: Probe) -> Probe:
        """Return the probe with its costs counted."""
        return _Metered(probe, self)


class _Metered:
    def __init__(self, probe: Probe, costs: ProbeCosts) -> None:
        self.name = probe.name
        self.timeout_s = probe.timeout_s
        self._probe = probe
        self._costs = costs

    async def ask(self, parameters: Mapping[str, Any]) -> msgspec.Struct:
        """Pass the question on."""
        started = time.monotonic()
        is_failed = True
        try:
            answer = await self._probe.ask(parameters)
            is_failed = False
            return answer
        finally:
            self._costs.note(self.name, 1000 * (time.monotonic() - started), is_failed=is_failed)
