"""What an attempt costs the process: CPU seconds and resident memory, from the system itself."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_FRESH_S: Final = 0.1  # thousands of short jobs share one reading of the memory
_CPU_FRESH_S: Final = 0.001  # and a few one of the processor's time, which costs a system call


class Meter:
    """Reads the process; memory at most ten times a second, processor time at most once a millisecond."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._resident = 0
        self._cpu_at = float("-inf")
        self._cpu_s = 0.0

    def cpu_s(self) -> float:
        """Return the CPU seconds this process has used, all threads together."""
        now = time.monotonic()
        if now - self._cpu_at >= _CPU_FRESH_S:
            self._cpu_at, self._cpu_s = now, time.process_time()
        return self._cpu_s

    def resident(self) -> int:
        """Return the bytes of resident memory; where only the peak is known (macOS), that."""
        now = time.monotonic()
        if now - self._read_at >= _FRESH_S:
            self._read_at = now
            try:
                self._resident = int(_STATM.read_text().split()[1]) * _PAGE
            except (OSError, ValueError, IndexError):
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                self._resident = peak if sys.platform == "darwin" else peak * 1024
        return self._resident
