"""Control over the socket of an engine that runs in another process."""

from qsuite_console.attach.remote import RemoteControl, find_engine
from qsuite_console.model.errors import EngineGone

__all__ = ["EngineGone", "RemoteControl", "find_engine"]
