"""Which configuration file a command means.

Owns: the order of the places, and the words for each; how a command is told of one.
Must not: read the file.
"""

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.config.loading import LoadedConfig, load_config
from gateway.config.problems import ConfigError, Problem
from gateway.environment import Environment, EnvironmentProblem, read_environment

PACKAGED = Path(__file__).resolve().parent.parent / "routing.yaml"
_HERE = "routing.yaml"


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """A file and why it was taken; `packaged` is the demo that comes with the package."""

    path: Path
    described: str
    packaged: bool = False


def names_config(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command be told its file by --config, or as its one argument, as `init` is."""

    @functools.wraps(command)
    def told(*given: object, file: str | None, config_option: str | None, **others: object) -> None:
        if file is not None and config_option is not None and file != config_option:
            click.echo("FILE and --config name different files; give one.", err=True)
            sys.exit(2)
        command(*given, config_option=config_option or file, **others)

    option = click.option(
        "--config",
        "config_option",
        metavar="FILE",
        help="Same as FILE; default: WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged demo.",
    )
    return click.argument("file", required=False)(option(told))


def readable_config(option: str | None) -> LoadedConfig | None:
    """Return the file for commands that only look something up in it.

    None where there is none without problems; a named one has to be, or the command ends with 2.
    """
    if option is not None:
        return needed_config(option)
    try:
        return _found(option)
    except (ConfigError, EnvironmentProblem):
        return None


def needed_config(option: str | None, hint: str = "") -> LoadedConfig:
    """Return the file; where it cannot be used the command ends with 2.

    A `hint` says why it is needed, where nobody named it.
    """
    try:
        return _found(option)
    except (ConfigError, EnvironmentProblem) as error:
        click.echo(str(error), err=True)
        if hint and option is None:
            click.echo(hint, err=True)
        sys.exit(2)


def _found(option: str | None) -> LoadedConfig:
    source = find_config(option, read_environment(os.environ), Path())
    return load_config(source.path, os.environ)


def find_config(option: str | None, environment: Environment, folder: Path) -> ConfigSource:
    """Return the first there is: `--config`, WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged copy.

    Raises:
        ConfigError: a file that was named does not exist, or cannot be looked at.
    """
    places = (option, "on the command line"), (environment.config, "by WEIGHBRIDGE_CONFIG")
    for named, where in places:
        if named:
            path = folder / named
            what = _why_none(path)
            if what is not None:
                raise ConfigError((Problem(named, 1, 1, f"{what} (named {where})"),))
            return ConfigSource(path, f"{named} (named {where})")
    if (folder / _HERE).is_file():
        return ConfigSource(folder / _HERE, "./routing.yaml")
    return ConfigSource(
        PACKAGED, "the packaged demo: no --config, no WEIGHBRIDGE_CONFIG, no ./routing.yaml", True
    )


def _why_none(path: Path) -> str | None:
    """Return why there is no file at a path, None where there is one."""
    try:
        if path.is_file():
            return None
        return "this is not a regular file" if path.exists() else "there is no such file"
    except OSError as error:  # a folder that may not be entered, a name that is too long
        return f"cannot look at the file: {error.strerror}"
