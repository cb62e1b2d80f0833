"""What is kept of what is watched: the alerts in the history, the figures in a file of their own beside it."""

from __future__ import annotations

import logging
from typing import Final

from qsuite_console.config.settings import Settings
from qsuite_console.history.samples import open_samples, samples_path
from qsuite_console.history.store import SqliteStore
from qsuite_console.metrics.alerts import AlertBook
from qsuite_console.metrics.monitoring import Monitoring
from qsuite_console.metrics.recorder import Recorder
from qsuite_console.metrics.score_keeper import ScoreKeeper
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import HistoryUnavailable
from qsuite_console.paths import Paths

log: Final = logging.getLogger(__name__)


def open_monitoring(settings: Settings, paths: Paths, store: SqliteStore, clock: Clock) -> Monitoring:
    """Return what the sampler fills, for the owner of the history; its recorder is closed before the store.

    A file of figures that can't be opened costs the curves, nothing else.
    """
    target = settings.target.name
    try:
        recorder = Recorder(open_samples(samples_path(paths.history), target, clock.now()))
    except HistoryUnavailable as error:
        log.error("figures are not recorded: %s", error.message)
        recorder = Recorder(None, problem=f"figures are not recorded: {error.message}")
    return Monitoring(
        recorder=recorder,
        book=AlertBook(settings.thresholds, store, target, clock),
        jobs=store.jobs,
        scores=ScoreKeeper(),
    )
