"""Where a replica listens.

Owns: the address of one replica, TCP or unix socket.
Must not: resolve or connect.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trust:
    """How a server's certificate is checked: by whose authorities (None: the system's), if at all.

    `name` is whom it must be made out to, where that is not the host that is connected to.
    """

    authorities: Path | None = None
    verify: bool = True
    name: str | None = None


_USUAL = Trust()


@dataclass(frozen=True)  # no slots: each request needs what is put together here once
class ReplicaAddress:
    """A unix socket (`socket_path`) or a host and port; `base_path` goes before every path.

    `authorization` is the whole header value and never shows in a repr. `trust` counts with `tls`.
    """

    host: str = "localhost"
    port: int = 0
    tls: bool = False
    socket_path: Path | None = None
    base_path: str = "/v1"
    authorization: str | None = field(default=None, repr=False)
    trust: Trust = _USUAL

    @cached_property
    def key(self) -> str:
        """What tells this address from others; connections are pooled by it."""
        if self.socket_path is not None:
            return f"unix:{self.socket_path}"
        plain = f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"
        # A connection whose certificate was checked otherwise, or not at all, is another one.
        return plain if self.trust is _USUAL or self.trust == _USUAL else f"{plain} {self.trust}"

    @property
    def host_header(self) -> str:
        """The value of the Host header: the port is left out where it is the scheme's own."""
        if self.socket_path is not None:
            return "localhost"
        host = self.trust.name or self.host
        host = f"[{host}]" if ":" in host else host
        own_port = 443 if self.tls else 80
        return host if self.port == own_port else f"{host}:{self.port}"

    @cached_property
    def lines(self) -> str:
        """The lines that every request to it has in its head."""
        # Common firewalls (AWS's, for one) turn away who does not say what it is.
        lines = f"host: {self.host_header}\r\nuser-agent: weighbridge\r\n"
        lines += "accept-encoding: identity\r\n"
        if self.authorization is not None:
            lines += f"authorization: {self.authorization}\r\n"
        return lines
