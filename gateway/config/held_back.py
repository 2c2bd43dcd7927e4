"""What of a changed file needs a restart, and the file that can be served without one.

Owns: which keys those are. Must not: read a file or put one in force.
"""

from typing import Any

from gateway.config.schema import RoutingFile

# The listening socket, the door and its server are made once; so is the journal.
_OF_GATEWAY = (
    "host",
    "port",
    "allowed_hosts",
    "allowed_origins",
    "head_timeout_s",
    "body_timeout_s",
    "unread_timeout_s",
    "max_connections",
    "drain_timeout_s",
)
_OF_FILE = ("mode", "observe")


def hold_back(in_force: RoutingFile, wanted: RoutingFile) -> tuple[RoutingFile, tuple[str, ...]]:
    """Return `wanted` with the old values of what needs a restart, and the keys that differ."""
    old, new = in_force.gateway, wanted.gateway
    kept_gateway: dict[str, Any] = {key: getattr(old, key) for key in _OF_GATEWAY}
    kept_file: dict[str, Any] = {key: getattr(in_force, key) for key in _OF_FILE}
    differ = [f"gateway.{key}" for key in _OF_GATEWAY if getattr(new, key) != kept_gateway[key]]
    differ += [key for key in _OF_FILE if getattr(wanted, key) != kept_file[key]]
    gateway = new.model_copy(update=kept_gateway)
    return wanted.model_copy(update={**kept_file, "gateway": gateway}), tuple(differ)
