"""What the process environment says; the one place that reads it, besides `${NAME}` in the file.

Owns: the variables' names and what makes their values wrong.
Must not: log or show a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")

# Name -> what it does: the table in docs/configuration.md, and all that is read here.
VARIABLES = MappingProxyType(
    {
        "WEIGHBRIDGE_API_KEY": "The key that clients must send as a bearer token; without one only "
        "this machine is served.",
        "WEIGHBRIDGE_API_KEY_FILE": "A file that holds the key, instead of `WEIGHBRIDGE_API_KEY`.",
        "WEIGHBRIDGE_CONFIG": "The routing file, if `--config` is not given.",
        "WEIGHBRIDGE_LOG_LEVEL": "`debug`, `info`, `warning` or `error`, if `--log-level` is not "
        "given.",
        "WEIGHBRIDGE_LOG_FORMAT": "`text` or `json`, if `--log-format` is not given.",
    }
)


class EnvironmentProblem(ValueError):
    """A variable is set to what cannot be used; the message names it and says how to mend it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables that Weighbridge reads; None is not set. The key never shows in a repr."""

    api_key: SecretStr | None = None
    config: str | None = None
    log_level: str | None = None
    log_format: str | None = None


def read_environment(environ: Mapping[str, str]) -> Environment:
    """Read and check the variables; empty ones count as not set.

    Raises:
        EnvironmentProblem: a value cannot be used.
    """
    level = _one_of(environ, "WEIGHBRIDGE_LOG_LEVEL", LOG_LEVELS)
    form = _one_of(environ, "WEIGHBRIDGE_LOG_FORMAT", LOG_FORMATS)
    return Environment(_api_key(environ), environ.get("WEIGHBRIDGE_CONFIG") or None, level, form)


def _one_of(environ: Mapping[str, str], name: str, words: tuple[str, ...]) -> str | None:
    word = environ.get(name, "").lower() or None
    if word is not None and word not in words:
        raise EnvironmentProblem(f"{name} must be one of {', '.join(words)}.")
    return word


def _api_key(environ: Mapping[str, str]) -> SecretStr | None:
    key, file = environ.get("WEIGHBRIDGE_API_KEY"), environ.get("WEIGHBRIDGE_API_KEY_FILE")
    if key and file:
        raise EnvironmentProblem(
            "WEIGHBRIDGE_API_KEY and WEIGHBRIDGE_API_KEY_FILE are both set; keep one."
        )
    if key is not None and not key.strip() and not file:
        raise EnvironmentProblem("WEIGHBRIDGE_API_KEY is set but empty; unset it or give a key.")
    source = "WEIGHBRIDGE_API_KEY"
    if file:
        source = "The file that WEIGHBRIDGE_API_KEY_FILE names"
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise EnvironmentProblem(f"{source} cannot be read.") from None
    if key is None:
        return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise EnvironmentProblem(f"{source} must hold one key of printable ASCII, without spaces.")
    return SecretStr(key)
