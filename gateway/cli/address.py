"""Where a gateway can be asked, as a URL of this machine.

Owns: how an address that is bound looks to who asks, and who reaches it. Must not: ask.
"""

import ipaddress

from gateway.config.loading import LoadedConfig

_PORT = 8000


def url_of(host: str, port: int) -> str:
    """Return the URL of a server that is bound to `host`; any address is loopback to us."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def url_by(config: LoadedConfig | None) -> str:
    """Return where on this machine a gateway with this file is, unless `serve` was told otherwise.

    Never elsewhere, whatever the file says: whoever asks sends the key.
    """
    if config is None:
        return url_of("127.0.0.1", _PORT)
    section = config.file.gateway
    host = section.host if section.host in ("::", "::1") else "127.0.0.1"
    return url_of(host, section.port or _PORT)


def is_loopback(host: str) -> bool:
    """Say whether nobody but this machine can reach `host`; other names than localhost may move."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
