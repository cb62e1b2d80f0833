"""The great ingest at a small size; tests/bench runs the same at full size, QSUITE_TEST_INGEST_RECORDS at any."""

from __future__ import annotations

import os
from pathlib import Path

from integration.ingest.million import million

RECORDS = int(os.environ.get("QSUITE_TEST_INGEST_RECORDS", "40000"))


async def test_all_good_rows_each_bad_one_named_flat_memory_and_half_the_pace_of_copy(
    database_dsn: str, tmp_path: Path
) -> None:
    rounds = await million(database_dsn, tmp_path, RECORDS)
    assert max(one.ratio for one in rounds) >= 0.5, rounds
    assert max(one.grown_mb for one in rounds) < 100, rounds
