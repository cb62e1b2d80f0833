"""Tries a small question to the provider a few times: assets, calendar. Bars have their own, under the rate limiter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from qsuite_console.providers.errors import ProviderError, ProviderThrottled

T = TypeVar("T")
_FIRST_S, _LONGEST_S = 0.2, 5.0
_TRIES: Final = 6
_RESET_LIMIT_S: Final = 65.0


async def persist(question: Callable[[], Awaitable[T]]) -> T:
    """Return the answer; failures that may pass are tried again with full jitter, a 429 after its reset."""
    for number in range(1, _TRIES + 1):
        try:
            return await question()
        except ProviderError as error:
            if not error.is_transient or number == _TRIES:
                raise
            delay_s = random.uniform(0, min(_LONGEST_S, _FIRST_S * 2**number))
            if isinstance(error, ProviderThrottled):
                stated = error.quota.retry_after_s or error.quota.reset_s or _LONGEST_S
                delay_s += min(_RESET_LIMIT_S, stated + 1.0)
        await asyncio.sleep(delay_s)
    raise AssertionError("unreachable: the last try returns or raises")
