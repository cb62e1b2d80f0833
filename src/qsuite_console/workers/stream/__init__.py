"""The job kinds ``stream`` and ``stream.file``: rows from a table or query to a table, or to a CSV or Parquet file."""

from __future__ import annotations

from qsuite_console.workers.stream.parameters import FileParameters, StreamParameters
from qsuite_console.workers.stream.worker import FileStreamWorker, StreamWorker

__all__ = ["FileParameters", "FileStreamWorker", "StreamParameters", "StreamWorker"]
