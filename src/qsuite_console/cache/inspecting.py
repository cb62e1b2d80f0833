"""One key, looked at safely: what it is, and a preview that is bounded in bytes whatever the value's size.

How many elements are fetched follows from the mean size of one; fields of a hash are asked for their length first
where the server can. Nothing is decoded that could run code: a pickle is only named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from qsuite_console.cache.broker import use_at
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.panels import Look
from qsuite_console.model.cache import Element, KeyDetail
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import NotFound
from qsuite_console.model.keys import escape

STRING: Final = 16 * 1024  # bytes of a string that are fetched
BUDGET: Final = 256 * 1024  # bytes of all elements together
ELEMENTS: Final = 50
VALUE: Final = 400  # bytes of an element that are shown
_LINES: Final = 400
LENGTHS: Final = {
    "string": "STRLEN",
    "list": "LLEN",
    "hash": "HLEN",
    "set": "SCARD",
    "zset": "ZCARD",
    "stream": "XLEN",
}
_MAGIC: Final = ((b"\x80\x04", "pickle"), (b"\x80\x05", "pickle"), (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))


async def read_key(look: Look, name: bytes, clock: Clock) -> KeyDetail:
    """Return everything about a key; raises NotFound when there is none, CacheError when it can't be asked."""
    kind = (await look.ask("TYPE", name)).decode("ascii", "replace")
    if kind == "none":
        raise NotFound(f"no key {escape(name[:100])}", hint="it expired or was deleted meanwhile")
    life = await look.allowed("its life (PTTL)", "PTTL", name)
    size = await look.allowed("its size (MEMORY USAGE)", "MEMORY", "USAGE", name, "SAMPLES", 5)
    encoding = await look.allowed("its encoding (OBJECT ENCODING)", "OBJECT", "ENCODING", name)
    idle = (await look.many([("OBJECT", "IDLETIME", name)]))[0]
    length = await look.allowed("its length", LENGTHS[kind], name) if kind in LENGTHS else None
    detail = KeyDetail(
        at=clock.now(),
        name=escape(name),
        type=kind,
        encoding=encoding.decode("ascii", "replace") if encoding else "",
        ttl_s=life / 1000 if life is not None and life >= 0 else None,
        is_lasting=None if life is None else life == -1,
        size=size,
        length=length,
        idle_s=float(idle) if isinstance(idle, int) else None,  # a server that evicts by frequency has none
        use=await use_at(look, name),
    )
    try:
        detail = await _preview(look, name, detail)
    except CacheError as error:
        look.miss("its value", error)
    return msgspec.structs.replace(detail, unread=tuple(look.unread), cost_ms=look.cost_ms)


async def _preview(look: Look, name: bytes, detail: KeyDetail) -> KeyDetail:
    if detail.type == "string":
        value = await look.ask("GETRANGE", name, 0, STRING - 1)
        return describe_string(value, detail)
    if detail.type not in LENGTHS:
        return msgspec.structs.replace(detail, preview=f"no preview of the type {escape(detail.type.encode())}")
    count = fetched(detail.length, detail.size)
    if count == 0 and detail.type != "hash":
        return msgspec.structs.replace(detail, preview=f"not fetched: an element has more than {BUDGET:,} bytes")
    part, elements = await _elements(look, name, detail.type, count)
    whole = detail.length is not None and len(elements) >= detail.length
    shown = "all" if whole else f"{part} {len(elements):,}"
    of = "" if detail.length is None else f" of {detail.length:,}" if not whole else f" {detail.length:,}"
    return msgspec.structs.replace(detail, elements=tuple(elements), preview=f"{shown}{of}")


def fetched(length: int | None, size: int | None) -> int:
    """Return how many elements of a value may be fetched, by their mean size; 0: not even one."""
    if not length or size is None:
        return ELEMENTS
    mean = max(1, size // length)
    return max(0, min(ELEMENTS, BUDGET // mean))


async def _elements(look: Look, name: bytes, kind: str, count: int) -> tuple[str, list[Element]]:
    if kind == "hash":
        return "some", await _fields(look, name, count)
    if kind == "list":
        values = await look.ask("LRANGE", name, 0, count - 1)
        return "first", [Element(name=str(index), value=cut(value)) for index, value in enumerate(values)]
    if kind == "set":
        _, members = await look.ask("SSCAN", name, "0", "COUNT", count)
        return "some", [Element(name="", value=cut(member)) for member in sorted(members[:count])]
    if kind == "zset":
        flat = await look.ask("ZRANGE", name, 0, count - 1, "WITHSCORES")
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return "lowest", [Element(name=score.decode(), value=cut(member)) for member, score in pairs]
    entries = await look.ask("XREVRANGE", name, "+", "-", "COUNT", count)
    return "newest", [Element(name=one.decode(), value=_entry(fields or [])) for one, fields in entries]


async def _fields(look: Look, name: bytes, count: int) -> list[Element]:
    """Return fields of a hash; values that are too long are not fetched where the server can say so beforehand."""
    answer = (await look.many([("HSCAN", name, "0", "COUNT", ELEMENTS, "NOVALUES")]))[0]
    if isinstance(answer, CacheError):  # an older server gives fields with their values only
        _, flat = await look.ask("HSCAN", name, "0", "COUNT", count) if count else ("0", ())
        pairs = sorted(zip(flat[::2], flat[1::2], strict=True))[:count]
        return [Element(name=cut(field), value=cut(value)) for field, value in pairs]
    fields = sorted(answer[1][:ELEMENTS])
    lengths = await look.many([("HSTRLEN", name, field) for field in fields])
    small = [
        field
        for field, length in zip(fields, lengths, strict=True)
        if not isinstance(length, int) or length <= BUDGET // ELEMENTS
    ]
    values = dict(zip(small, await look.ask("HMGET", name, *small), strict=True)) if small else {}
    found = []
    for field, length in zip(fields, lengths, strict=True):
        value = values.get(field)
        text = cut(value) if value is not None else f"({length:,} bytes, not fetched)" if field not in values else ""
        found.append(Element(name=cut(field), value=text))
    return found


def _entry(fields: Sequence[bytes]) -> str:
    pairs = zip(fields[::2], fields[1::2], strict=False)
    return " ".join(f"{cut(field, 60)}={cut(value, 120)}" for field, value in pairs)


def cut(value: bytes, most: int = VALUE) -> str:
    """Return a value escaped, with its whole length where it is cut."""
    return escape(value) if len(value) <= most else f"{escape(value[:most])}… ({len(value):,} bytes)"


def describe_string(value: bytes, detail: KeyDetail) -> KeyDetail:
    """Return the detail with the string's lines: JSON indented, text as it is, the rest escaped."""
    length = len(value) if detail.length is None else detail.length
    is_whole = len(value) >= length
    form, lines = _lines(value, is_whole=is_whole)
    part = "all" if is_whole else f"first {len(value):,} of"
    if len(lines) > _LINES:
        part, lines = f"first {_LINES:,} lines of", lines[:_LINES]
    return msgspec.structs.replace(detail, format=form, lines=tuple(lines), preview=f"{part} {length:,} bytes")


def _lines(value: bytes, *, is_whole: bool) -> tuple[str, list[str]]:
    if is_whole and value[:1] in (b"{", b"["):
        try:
            pretty = msgspec.json.format(value, indent=2)
        except msgspec.DecodeError:
            pretty = b""
        if pretty:
            return "JSON", [_plain(line) for line in pretty.split(b"\n")]
    for magic, name in _MAGIC:
        if value.startswith(magic):
            return name, _blocks(value)
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        if is_whole or error.start < len(value) - 4:
            return "binary", _blocks(value)
        text = value[: error.start].decode()
    if any(not one.isprintable() and one not in "\n\r\t" for one in text):
        return "binary", _blocks(value)
    return "text", [_plain(line.encode()) for line in text.split("\n")]


def _plain(line: bytes) -> str:
    """Return a line of text: backslashes stay as they are, what a terminal would act on does not."""
    return escape(line.rstrip(b"\r").replace(b"\t", b"    ")).replace("\\\\", "\\")


def _blocks(value: bytes) -> list[str]:
    return [escape(value[start : start + 32]) for start in range(0, len(value), 32)]
