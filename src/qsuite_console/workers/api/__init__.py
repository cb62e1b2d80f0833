"""Requests to addresses outside that an operator or client names: one, or up to fifty at once."""

from qsuite_console.workers.api.worker import BulkWorker as BulkWorker
from qsuite_console.workers.api.worker import CallWorker as CallWorker
