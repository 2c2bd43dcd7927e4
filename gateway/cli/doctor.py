"""`weighbridge doctor`: whether this machine and the file are well, each line with its remedy.

Owns: the order of the looks, the lines, their JSON and the exit code.
Must not: look at anything itself (`doctor_checks` does).
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from gateway.cli import doctor_checks as checks
from gateway.cli.config_source import find_config, names_config
from gateway.cli.doctor_found import Found
from gateway.cli.server import files_wanted
from gateway.config.loading import load_config
from gateway.config.problems import ConfigError
from gateway.environment import EnvironmentProblem, read_environment


@click.command(short_help="Check this machine and the file for problems.")
@names_config
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def doctor(config_option: str | None, *, as_json: bool) -> None:
    """Check hardware, limits, builds, port, weights, memory, hub and clock.

    Each line is ok, warn or fail, with a remedy. Exits with 1 on any fail.
    """
    found = list(_looks(config_option))
    if as_json:
        click.echo(msgspec.json.encode([asdict(one) for one in found]))
    else:
        for one in found:
            click.echo(f"{one.verdict:4}  {one.what}: {one.said}")
            if one.remedy and one.verdict != "ok":
                click.echo(f"      -> {one.remedy}")
    sys.exit(1 if any(one.verdict == "fail" for one in found) else 0)


def _looks(config_option: str | None) -> Iterator[Found]:
    yield from checks.machine()
    yield from checks.environment()
    connections = 0
    try:
        source = find_config(config_option, read_environment(os.environ), Path())
        config = load_config(source.path, os.environ)
    except (ConfigError, EnvironmentProblem) as error:
        yield Found("file", "fail", str(error), "weighbridge check shows each position")
    else:
        yield Found("file", "ok", source.described)
        connections = config.file.gateway.max_connections
        yield from checks.of_file(config, os.environ)
    yield checks.open_files(files_wanted(connections))
    yield from checks.hub(os.environ)
