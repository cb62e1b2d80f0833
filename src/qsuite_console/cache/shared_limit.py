"""A provider's quota kept in Redis for every process that uses one key; the rules are those of ``engine.ratelimit``.

Two Lua scripts, because reading and taking must be one step. Requests in flight are a sorted set of tickets with an
expiry, so that a killed process gives its share back.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from qsuite_console.cache.client import Cache
from qsuite_console.model.quota import Quota

_TICKET_S: Final = 60
_MARGIN_MS: Final = 1000
_KEY_TTL_S: Final = 3600

# KEYS: state hash, tickets. ARGV: ticket, ticket life ms, key life s. Returns the milliseconds to wait, 0 when granted.
_TAKE: Final = """
local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local s = redis.call('HMGET', KEYS[1], 'available', 'reset', 'blocked', 'probe', 'blind', 'slot', 'limit')
local available, reset, blocked = tonumber(s[1]), tonumber(s[2]) or 0, tonumber(s[3]) or 0
if now < blocked then return blocked - now end
if s[5] == '1' then
    local slot = tonumber(s[6]) or 0
    if now < slot then return slot - now end
    redis.call('HSET', KEYS[1], 'slot', now + math.ceil(60000 / (tonumber(s[7]) or 200)))
elseif available == nil or (available <= 0 and now >= reset) then
    if now < (tonumber(s[4]) or 0) then return 250 end
    redis.call('HSET', KEYS[1], 'probe', now + ARGV[2])
elseif available <= 0 then
    return reset - now
else
    redis.call('HINCRBY', KEYS[1], 'available', -1)
end
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3]); redis.call('EXPIRE', KEYS[2], ARGV[3])
return 0
"""

# ARGV: ticket, limit, remaining ("" unknown), reset epoch, milliseconds to the reset, pause ms, margin ms
_SETTLE: Final = """
local t = redis.call('TIME'); local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'probe', 0, 'limit', ARGV[2])
local s = redis.call('HMGET', KEYS[1], 'available', 'epoch', 'reset', 'blocked')
local available, epoch = tonumber(s[1]), tonumber(s[2]) or 0
if ARGV[3] ~= '' then
    local known = math.max(0, ARGV[3] - redis.call('ZCARD', KEYS[2]))
    local given = tonumber(ARGV[4])
    redis.call('HSET', KEYS[1], 'blind', 0)
    if available == nil or given > epoch or (given == epoch and now >= (tonumber(s[3]) or 0)) then
        redis.call('HSET', KEYS[1], 'available', known, 'epoch', given, 'reset', now + ARGV[5] + ARGV[7])
    elseif given == epoch then
        redis.call('HSET', KEYS[1], 'available', math.min(available, known))
    end
elseif available == nil then
    redis.call('HSET', KEYS[1], 'blind', 1)
end
if tonumber(ARGV[6]) > 0 then
    if available ~= nil then redis.call('HSET', KEYS[1], 'available', 0, 'reset', now + ARGV[6]) end
    redis.call('HSET', KEYS[1], 'blocked', math.max(tonumber(s[4]) or 0, now + ARGV[6]))
end
return 0
"""


class SharedLimit:
    """The quota of one provider key. Raises CacheError when Redis can't be reached: the caller then goes alone."""

    def __init__(self, cache: Cache, key_id: str, *, prefix: str = "qsuite:ratelimit") -> None:
        digest = hashlib.sha256(key_id.encode()).hexdigest()[:24]  # the key id itself never leaves the process
        self._cache = cache
        self._keys = [f"{prefix}:{{{digest}}}:window", f"{prefix}:{{{digest}}}:tickets"]
        self._limit = 0

    async def take(self, limit: int) -> tuple[str, float]:
        """Return (ticket, 0) when one request may go, else ("", seconds to wait)."""
        self._limit = limit
        ticket = secrets.token_hex(8)
        wait_ms = await self._run(_TAKE, ticket, _TICKET_S * 1000, _KEY_TTL_S)
        return ("", wait_ms / 1000) if wait_ms > 0 else (ticket, 0.0)

    async def settle(self, ticket: str, quota: Quota, pause_s: float) -> None:
        """Take in the answer to the ticket's request; ``pause_s`` is what a 429 asked for, else 0."""
        await self._run(
            _SETTLE,
            ticket,
            quota.limit or self._limit,
            "" if quota.remaining is None else quota.remaining,
            quota.reset_epoch or 0,
            int(max(0.0, quota.reset_s or 0.0) * 1000),
            int(pause_s * 1000),
            _MARGIN_MS,
        )

    async def _run(self, script: str, *arguments: Any) -> int:
        async with self._cache.guard() as client:
            return int(await client.eval(script, len(self._keys), *self._keys, *arguments))
