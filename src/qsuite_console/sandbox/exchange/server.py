"""The sample exchange as an aiohttp server: authentication, rate limits, faults and compression around the answers."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import BasicAuth, web

from qsuite_console.sandbox.crypto import CryptoMarket
from qsuite_console.sandbox.exchange.answers import Refusal, RequestLog, RequestRecord
from qsuite_console.sandbox.exchange.faults import FaultPlan
from qsuite_console.sandbox.exchange.limits import RateLimit
from qsuite_console.sandbox.exchange.options import ExchangeOptions
from qsuite_console.sandbox.exchange.query import CRYPTO_RULES
from qsuite_console.sandbox.exchange.stocks import Answer, Stocks
from qsuite_console.sandbox.exchange.trading import Trading
from qsuite_console.sandbox.market import Market

HOST: Final = "127.0.0.1"
_GZIP_FROM: Final = 256  # bytes
_KINDS: Final = {"bars": "bar", "trades": "trade", "quotes": "quote"}
_Handler = Callable[[web.Request], Awaitable[Answer]]


class Exchange:
    """One sample exchange on 127.0.0.1; ``async with`` it, or ``start`` and ``stop``."""

    def __init__(self, options: ExchangeOptions, *, market: Market | None = None) -> None:
        self.options = options
        self.market = market or Market(symbols=options.symbols, seed=options.seed)
        self.requests = RequestLog()
        self._faults = FaultPlan(options.seed, options.fail_rate)
        self._stocks = Stocks(self.market, options)
        self._crypto = Stocks(CryptoMarket(seed=options.seed), options, CRYPTO_RULES)
        self._trading = Trading(self.market, options)
        self._limits = {name: self._limit() for name in ("data", "trading")}
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Exchange:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def data_url(self) -> str:
        """Return the address of the market-data host; the trading host has the same one."""
        return f"http://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point a client here."""
        return {
            "APCA_API_DATA_URL": self.data_url,
            "APCA_API_BASE_URL": self.data_url,
            "APCA_API_KEY_ID": self.options.key_id,
            "APCA_API_SECRET_KEY": self.options.secret_key,
        }

    async def start(self, port: int = 0) -> None:
        """Listen on ``port``, 0 for a free one; raises OSError when it is taken."""
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            handler_cancellation=True,  # who hung up asks again: work for nobody would only delay the others
        )
        await runner.setup()
        site = web.TCPSite(runner, HOST, port, reuse_address=True)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and cut the connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _limit(self) -> RateLimit:
        options = self.options
        return RateLimit(options.rate_limit, options.rate_window_s, is_bucket=options.is_bucket, now=time.time)

    def _application(self) -> web.Application:
        app = web.Application()
        stocks, crypto, trading = self._stocks, self._crypto, self._trading
        snapshot = _plain(lambda r: stocks.snapshots(r.query, r.match_info.get("symbol")))
        routes: list[tuple[str, str, _Handler]] = [
            ("data", "/v2/stocks/bars", lambda r: stocks.bars(r.query)),
            ("data", "/v2/stocks/{symbol}/bars", lambda r: stocks.bars(r.query, r.match_info["symbol"])),
            ("data", "/v1beta3/crypto/us/bars", lambda r: crypto.bars(r.query)),
            ("data", "/v2/stocks/snapshots", snapshot),
            ("data", "/v2/stocks/{symbol}/snapshot", snapshot),
            ("trading", "/v2/assets", _plain(lambda r: Answer(body=trading.assets(r.query)))),
            ("trading", "/v2/assets/{symbol}", _plain(lambda r: Answer(body=trading.asset(r.match_info["symbol"])))),
            ("trading", "/v2/calendar", _plain(lambda r: Answer(body=trading.calendar(r.query)))),
            ("trading", "/v2/clock", _plain(lambda _: Answer(body=trading.clock()))),
            ("trading", "/v2/account", _plain(lambda _: Answer(body=trading.account()))),
        ]
        for many, kind in _KINDS.items():
            newest = _plain(partial(_latest, stocks, kind))
            routes += [
                ("data", f"/v2/stocks/{many}/latest", newest),
                ("data", f"/v2/stocks/{{symbol}}/{many}/latest", newest),
            ]
        for host, path, handler in routes:
            app.router.add_get(path, self._guarded(host, handler))
        app.router.add_get("/sandbox/requests", self._show_requests)
        return app

    def _guarded(self, host: str, handler: _Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if self.options.latency_ms:
                await asyncio.sleep(self.options.latency_ms / 1000)
            number = self.requests.next_number()
            limit = self._limits[host]
            status, fault, answer = 200, "", Answer(body=None)
            try:
                self._authenticate(request)
                if not limit.take():
                    raise Refusal(429, "too many requests.", 42910000)
                fault = self._faults.next()
                if not fault or fault == "truncate":
                    answer = await handler(request)
            except Refusal as refusal:
                status, answer = refusal.status, Answer(body=refusal.body)
            self._note(number, request, 0 if fault == "reset" else status, fault, answer)
            if fault == "reset":
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=500)
            if fault and fault != "truncate":
                return web.Response(status=int(fault), text=f"<html>{fault}</html>", content_type="text/html")
            headers = {} if status in {401, 403} else limit.headers()
            return await _send(request, status, answer, headers, is_cut=fault == "truncate")

        return handle

    def _note(self, number: int, request: web.Request, status: int, fault: str, answer: Answer) -> None:
        query = dict(request.query)
        if "symbol" in request.match_info:
            query.setdefault("symbols", request.match_info["symbol"])
        self.requests.add(
            RequestRecord(
                number=number,
                at=time.time(),
                path=request.path,
                query=query,
                status=int(fault) if fault.isdecimal() else status,
                fault=fault,
                bars=answer.bars,
                bad_bars=answer.bad_bars,
                next_page_token=answer.next_page_token,
            )
        )

    def _authenticate(self, request: web.Request) -> None:
        key, secret = _credentials(request)
        if not key or not secret:
            raise Refusal(401, "request is not authorized", 40110000)
        if (key, secret) != (self.options.key_id, self.options.secret_key):
            raise Refusal(403, "forbidden.")

    async def _show_requests(self, request: web.Request) -> web.Response:
        """Tell a test in another process what was asked; ``?after=N`` leaves out what it has seen."""
        try:
            self._authenticate(request)
            after = int(request.query.get("after", "0"))
        except Refusal as refusal:
            return _json(refusal.status, refusal.body)
        except ValueError:
            return _json(400, {"message": "after must be a number"})
        return _json(200, {"requests": [record for record in self.requests if record.number > after]})


def _latest(stocks: Stocks, kind: str, request: web.Request) -> Answer:
    return stocks.latest(request.query, kind, request.match_info.get("symbol"))


def _plain(answer: Callable[[web.Request], Answer]) -> _Handler:
    async def handle(request: web.Request) -> Answer:
        return answer(request)

    return handle


def _credentials(request: web.Request) -> tuple[str, str]:
    """Return key and secret from the provider's headers or from HTTP basic authentication, as brokers send them."""
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("Basic "):
        try:
            basic = BasicAuth.decode(authorization)
        except ValueError:
            return "", ""
        return basic.login, basic.password
    return request.headers.get("APCA-API-KEY-ID", ""), request.headers.get("APCA-API-SECRET-KEY", "")


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), headers=headers, content_type="application/json")


async def _send(
    request: web.Request, status: int, answer: Answer, headers: dict[str, str], *, is_cut: bool
) -> web.StreamResponse:
    body = msgspec.json.encode(answer.body)
    if is_cut:
        body = body[: max(1, len(body) // 2)]
    if "gzip" in request.headers.get("Accept-Encoding", "") and len(body) > _GZIP_FROM:
        body = await asyncio.to_thread(_compress, body) if len(body) > 65_536 else _compress(body)
        headers["Content-Encoding"] = "gzip"
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")


def _compress(body: bytes) -> bytes:
    return zlib.compress(body, 1, wbits=31)
