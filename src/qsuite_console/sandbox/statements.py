"""The sandbox's own SQL, kept in files: sections headed "-- @step NAME"."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Final

_STEP: Final = re.compile(r"^-- @step (.+)$", re.MULTILINE)


@lru_cache(maxsize=8)
def load(file: str) -> dict[str, str]:
    """Return name -> statement of ``sql/<file>.sql``, in the file's order."""
    text = resources.files("qsuite_console.sandbox").joinpath(f"sql/{file}.sql").read_text(encoding="utf-8")
    parts = _STEP.split(text)[1:]
    return {name.strip(): body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
