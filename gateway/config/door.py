"""Whom `gateway:` may let in beside its own: names in Host, and web origins.

Owns: which of them a client or a browser can ever send. Must not: let anybody in
(`gateway.middleware` does).
"""

import re

from engines.door import host_name, is_address

# As browsers send it; those of extensions and applications have schemes of their own.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+")
_DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")


def host_problem(host: str) -> str | None:
    """Return why a Host header can never name this, or None where it can."""
    name = host.lower()
    if "*" in name:
        return f"{host!r} is not a host name: write each name out, there are no wildcards"
    if not name or (host_name(name) != name and not is_address(name)):
        return f"{host!r} is not a host name: leave out scheme, port and path"
    return None


def origin_problem(origin: str) -> str | None:
    """Return why no browser can ever send this as an Origin, or None where one can."""
    told = origin.lower().rstrip("/")
    if told == "null":
        return None
    if "*" in told:
        return (
            f"{origin!r} would let any page in: write each origin out, there are no wildcards "
            "(https://chat.example)"
        )
    if not _ORIGIN.fullmatch(told):
        return f"{origin!r} is not an origin: write scheme and host (https://chat.example)"
    if _DEFAULT_PORT.fullmatch(told):
        return f"{origin!r} is never sent: browsers leave out the scheme's own port"
    return None
