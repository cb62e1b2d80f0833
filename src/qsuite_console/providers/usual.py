"""Usual records judged by column: texts of the common forms, remembered by what they mean; all others are left over.

What is taken here is exactly what the careful judgement would take, and becomes the same row. Nothing is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import repeat
from typing import Final

from qsuite_console.model.markets import Market
from qsuite_console.providers.records import OPTIONAL, Columns

PRICES: Final = ("open", "high", "low", "close")
_PLAIN: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,12}))?", re.ASCII)
_DECIMALS: Final = 12  # prices are compared as whole numbers of this many decimals
_KNOWN: Final = 65_536  # texts remembered at once
_WHOLE: Final = 18  # digits that a usual volume stays below


class _Prices(dict[str, int]):
    """Texts of prices that a column keeps as they are -> their value, 0 for any other text."""

    def __init__(self, scale: int | None) -> None:
        super().__init__()
        self._scale = _DECIMALS if scale is None else min(scale, _DECIMALS)

    def __missing__(self, text: str) -> int:
        found = _PLAIN.fullmatch(text)
        if found is None or len(found[2] or "") > self._scale:
            return 0
        if len(self) >= _KNOWN:
            self.clear()
        self[text] = value = int(found[1] + (found[2] or "").ljust(_DECIMALS, "0"))
        return value


class _Texts(dict[str, str]):
    """Texts -> what is sent for them; "" where that must be found out with care."""

    def __init__(self, read: Callable[[str], str]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> str:
        if len(self) >= _KNOWN:
            self.clear()
        self[text] = sent = self._read(text)
        return sent


class _Times(_Texts):
    """Texts of instants -> canonical form. ``tick_s``: bars start on this grid of the UTC day, 0 for other grids.

    There are far more instants than days and times of day: where both are known, the instant need not be.
    """

    def __init__(self, read: Callable[[str], str], tick_s: int) -> None:
        super().__init__(read)
        self.days: set[str] = set()  # all of whose times of day are good
        self.clocks: set[str] = set()
        self._last = f"T{timedelta(days=1) - timedelta(seconds=tick_s)!s:0>8}Z" if tick_s else ""

    def __missing__(self, text: str) -> str:
        sent = super().__missing__(text)
        if self._last and sent and sent == text:
            day = text[:10]
            if len(self.days) < _KNOWN and self._read(day + "T00:00:00Z") and self._read(day + self._last):
                self.days.add(day)
            self.clocks.add(text[10:])
        return sent


class _Senders(dict[str, tuple[str, str, _Times]]):
    """Symbols as they are written -> symbol, begin of its rows, and the times of its market, none for a bad one."""

    def __init__(
        self,
        read: Callable[[str], tuple[str, str, Market] | None],
        read_time: Callable[[str, Market], str],
        tick_s: int,
    ) -> None:
        super().__init__()
        self._read, self._read_time, self._tick_s = read, read_time, tick_s
        self._times: dict[str, _Times] = {}
        self._nobody = ("", "", _Times(lambda _: "", 0))

    def __missing__(self, text: str) -> tuple[str, str, _Times]:
        found = self._read(text)
        if found is None:
            return self._nobody  # and asked again: it may be known by then
        symbol, begin, market = found
        times = self._times.get(market.name)
        if times is None:
            times = _Times(lambda written: self._read_time(written, market), self._tick_s)
            self._times[market.name] = times
        if len(self) < _KNOWN:
            self[text] = (symbol, begin, times)
        return symbol, begin, times


class Usual:
    """Made once a run for one destination. The readers return "" or None for a text that they refuse.

    ``read_symbol`` returns symbol, begin of its rows, and market. ``tick_s``: the grid of the UTC day on which bars
    start, 0 for bars of days and longer.
    """

    def __init__(
        self,
        columns: Sequence[str],
        scales: Mapping[str, int],
        *,
        tick_s: int,
        read_symbol: Callable[[str], tuple[str, str, Market] | None],
        read_time: Callable[[str, Market], str],
        read_volume: Callable[[str], str],
        read_optional: Mapping[str, Callable[[str], str]],
    ) -> None:
        by_scale = {scale: _Prices(scale) for scale in {scales.get(name) for name in PRICES}}
        self._prices = [by_scale[scales.get(name)] for name in PRICES]
        self._senders = _Senders(read_symbol, read_time, tick_s)
        self._volumes = _Texts(read_volume)
        self._optional = {name: _Texts(read_optional[name]) for name in OPTIONAL if name in columns}

    def take(self, found: Columns, first: int, keys: list[tuple[str, str] | None], rows: list[str]) -> list[int]:
        """Write key (symbol, time) and row of each usual record to its place; return the places that are left.

        Places of ``found`` are counted from ``first``, the others from 0.
        """
        if not found.places:
            return [first + place for place in found.odd]
        fields = found.fields
        senders = list(map(self._senders.__getitem__, fields["symbol"]))
        times = [
            text if text[10:] in known.clocks and text[:10] in known.days else known[text]
            for (_, _, known), text in zip(senders, fields["timestamp"], strict=True)
        ]
        opened, high, low, close = (
            map(known.__getitem__, fields[name]) for known, name in zip(self._prices, PRICES, strict=True)
        )
        tails, end = self._tails(fields)
        is_good = [
            at and tail and 0 < lowest <= begin <= highest and lowest <= last <= highest
            for at, tail, begin, highest, lowest, last in zip(times, tails, opened, high, low, close, strict=True)
        ]
        made = zip([begin for _, begin, _ in senders], times, *(fields[name] for name in PRICES), tails, strict=True)
        left = [first + place for place in found.odd]
        places = [first + place for place in found.places]
        for place, is_taken, sender, at, row in zip(places, is_good, senders, times, map("\t".join, made), strict=True):
            if is_taken:
                keys[place] = (sender[0], at)
                rows[place] = row + end
            else:
                left.append(place)
        return sorted(left) if found.odd else left

    def _tails(self, fields: Mapping[str, Sequence[str]]) -> tuple[Sequence[str], str]:
        """Return what each row has from its volume on, "" where a part of that is unusual, and what all end with."""
        volumes, tails = self._volumes, fields["volume"]
        if not (all(map(str.isdecimal, tails)) and all(map(str.isascii, tails)) and max(map(len, tails)) < _WHOLE):
            tails = [
                text if text.isdecimal() and text.isascii() and len(text) < _WHOLE else volumes[text] for text in tails
            ]
        if not any(name in fields for name in self._optional):
            return tails, "\t\\N" * len(self._optional) + "\n"
        for name, known in self._optional.items():
            sent: Iterable[str] = map(known.__getitem__, fields[name]) if name in fields else repeat("\\N")
            tails = [f"{tail}\t{more}" if tail and more else "" for tail, more in zip(tails, sent, strict=False)]
        return tails, "\n"
