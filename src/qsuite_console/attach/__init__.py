"""Control over the socket of an engine that runs in another process."""

from qsuite_console.attach.link import EngineGone
from qsuite_console.attach.remote import RemoteControl, find_engine

__all__ = ["EngineGone", "RemoteControl", "find_engine"]
