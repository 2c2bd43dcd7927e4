"""How the processes of `weighbridge serve` log: one stream, one line for each event.

Owns: the forms, and what is left out. Must not: log anything.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime


class _Json(logging.Formatter):
    """One JSON object a line. What a message was put together from are fields of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; it has no line ends in it."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.args, Mapping):
            told |= {name: value for name, value in record.args.items() if name not in told}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def set_up_logs(level: str, form: str, *, access_log: bool) -> None:
    """Log to the error stream from `level` on, in one of `LOG_FORMATS`."""
    stream = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    stream.setFormatter(_Json() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[stream])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("weighbridge.access").disabled = not access_log
