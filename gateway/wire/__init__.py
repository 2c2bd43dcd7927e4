"""The server's side of HTTP/1.1: connections, the requests on them, what a client may take.

Owns: what uvicorn's server makes a connection with.
Must not: know endpoints; what is a request goes to `gateway.middleware`.
"""

from gateway.wire.bounds import Census, WireLimits, protocol

__all__ = ["Census", "WireLimits", "protocol"]
