"""The job kind ``ingest``: records of bars from files into the platform's table, each bad one named, none lost."""

from __future__ import annotations

from qsuite_console.workers.ingest.parameters import IngestParameters
from qsuite_console.workers.ingest.worker import IngestWorker

__all__ = ["IngestParameters", "IngestWorker"]
