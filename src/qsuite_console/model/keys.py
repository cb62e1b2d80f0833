"""Names of keys, which are bytes, as text and back without loss: what a screen shows is what an operation acts on.

Printable text stays as it is; everything a terminal could act on, and what is no UTF-8, becomes ``\\xNN``.
"""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"\\(?:\\|x([0-9a-fA-F]{2})|(?s:.)|$)")


def escape(name: bytes) -> str:
    """Return bytes as one line of printable text; ``unescape`` gives exactly the same bytes back."""
    text = name.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:  # a lone surrogate is not printable
        return text
    return "".join(_shown(one) for one in text)


def unescape(text: str) -> bytes:
    r"""Return the bytes of an escaped name; raises ValueError for a backslash that is neither \\ nor \xNN."""
    parts: list[bytes] = []
    at = 0
    for match in _CODE.finditer(text):
        parts.append(text[at : match.start()].encode())
        if match[0] == "\\\\":
            parts.append(b"\\")
        elif match[1] is not None:
            parts.append(bytes([int(match[1], 16)]))
        else:
            raise ValueError(r"a backslash in a key's name is written \\, any other byte \xNN")
        at = match.end()
    return b"".join([*parts, text[at:].encode()])


def _shown(one: str) -> str:
    if one == "\\":
        return "\\\\"
    if one.isprintable():
        return one
    return "".join(f"\\x{byte:02x}" for byte in one.encode("utf-8", "surrogateescape"))
