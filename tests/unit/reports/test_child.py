"""What the rendering process makes of what a library throws at it."""

from __future__ import annotations

from qsuite_console.reports.orders import Why
from qsuite_console.reports.render_child import Child


def test_memory_that_did_not_suffice_for_an_exception_is_told_as_memory() -> None:
    def render() -> None:
        raise SystemError("<function render> returned NULL without setting an exception")

    def other() -> None:
        raise SystemError("bad argument to internal function")

    child = Child(-1, -1, prints=False)
    made, failed = child._attempt(render), child._attempt(other)
    assert made is not None
    assert made.why is Why.MEMORY
    assert failed is not None
    assert failed.why is Why.OTHER
