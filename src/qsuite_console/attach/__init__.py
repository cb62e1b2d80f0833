"""Control over the socket or URL of an engine that runs in another process."""

from qsuite_console.attach.address import Address, of_socket, parse
from qsuite_console.attach.remote import RemoteControl, find_engine
from qsuite_console.model.errors import EngineGone

__all__ = ["Address", "EngineGone", "RemoteControl", "find_engine", "of_socket", "parse"]
