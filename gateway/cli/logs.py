"""How the processes of `weighbridge serve` log: one stream, one line for each event.

Owns: the form, and what is left out. Must not: log anything.
"""

import logging


def set_up_logs(level: str, *, access_log: bool) -> None:
    """Log to the error stream from `level` on."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("weighbridge.access").disabled = not access_log
