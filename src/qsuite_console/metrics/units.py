"""Figures as people read them, from the model: what is measured and what is done write a number the same way."""

from __future__ import annotations

from qsuite_console.model.units import count as count
from qsuite_console.model.units import percent as percent
from qsuite_console.model.units import rate as rate
from qsuite_console.model.units import size as size
from qsuite_console.model.units import span as span
