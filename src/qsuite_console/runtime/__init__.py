"""The composition root: the only package that knows every concrete class, and puts them together."""

from qsuite_console.runtime.composition import Runtime, ServiceFactory, open_runtime, view_target
from qsuite_console.runtime.observer import ObserverControl, open_observer

__all__ = ["ObserverControl", "Runtime", "ServiceFactory", "open_observer", "open_runtime", "view_target"]
