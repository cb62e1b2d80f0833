"""Text from outside (databases, APIs, logs) made harmless: control characters are shown, never sent to a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def clean(value: object, limit: int = 2000, *, one_line: bool = True) -> str:
    """Return ``value`` as text of at most ``limit`` characters without anything a terminal would act on."""
    text = str(value)
    if len(text) > limit:
        text = text[:limit] + "…"
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\t", "    ")
    if one_line:
        text = " ".join(text.splitlines())
    return _CONTROL.sub(_visible, text)
