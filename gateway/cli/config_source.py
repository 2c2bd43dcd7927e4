"""Which configuration file a command means.

Owns: the order of the places, and the words for each.
Must not: read the file.
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.config.problems import ConfigError, Problem
from gateway.environment import Environment

PACKAGED = Path(__file__).resolve().parent.parent / "routing.yaml"
_HERE = "routing.yaml"


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """A file and why it was taken; `packaged` is the demo that comes with the package."""

    path: Path
    described: str
    packaged: bool = False


def find_config(option: str | None, environment: Environment, folder: Path) -> ConfigSource:
    """Return the first there is: `--config`, WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged copy.

    Raises:
        ConfigError: a file that was named does not exist.
    """
    for named, by in ((option, "--config"), (environment.config, "WEIGHBRIDGE_CONFIG")):
        if named:
            path = folder / named
            if not path.is_file():
                what = f"there is no such file (named by {by})"
                raise ConfigError((Problem(named, 1, 1, what),))
            return ConfigSource(path, f"{named} (named by {by})")
    if (folder / _HERE).is_file():
        return ConfigSource(folder / _HERE, "./routing.yaml")
    return ConfigSource(
        PACKAGED, "the packaged demo: no --config, no WEIGHBRIDGE_CONFIG, no ./routing.yaml", True
    )
