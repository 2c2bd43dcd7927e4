"""From a file to the frozen configuration, or to every problem in it with its place.

Owns: reading `routing.yaml`, the order of its checks.
Must not: read the environment itself; the caller hands it over.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engines.families import load_catalogue
from gateway.config import schema
from gateway.config.checks import errors_in, warnings_in
from gateway.config.document import Document, Places
from gateway.config.finding import Finding
from gateway.config.mending import read
from gateway.config.problems import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Placing:
    """Which GPUs replicas were given, by name, and how many bytes of each were free before."""

    free: Mapping[int, int] = field(default_factory=dict)
    devices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration that can be used; relative paths in it start at `base`.

    `warnings` are what is surely not meant though it can be used; `places` tell where each part of
    the file stands. `placing` is what this machine makes of it.
    """

    file: schema.RoutingFile
    source: str
    base: Path
    warnings: tuple[Problem, ...] = ()
    places: Places = field(default_factory=Places, repr=False, compare=False)
    placing: Placing = field(default_factory=Placing, compare=False)


def load_config(path: Path, environ: Mapping[str, str]) -> LoadedConfig:
    """Read and check a file.

    Raises:
        ConfigError: it cannot be read, is not YAML, breaks the schema, or contradicts itself;
            every problem of a file that is YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError((Problem(str(path), 1, 1, f"cannot read the file: {why}"),)) from None
    return parse_config(text, str(path), environ, path.resolve().parent)


def parse_config(
    text: str, source: str, environ: Mapping[str, str], base: Path = Path()
) -> LoadedConfig:
    """Check a text; `source` is the name that problems carry.

    Raises:
        ConfigError: as for `load_config`.
    """
    tree = Document(text, source, environ)
    reading = read(tree.value, tree.unsure)
    findings = list(reading.refusals)
    if reading.file is not None:
        findings += reading.sound(errors_in(reading.file, functools.cache(load_catalogue)))
    problems = {*tree.problems, *_problems(findings, source, tree.places)}
    if problems or reading.file is None:
        raise ConfigError(tuple(sorted(problems)))
    warnings = _problems(warnings_in(reading.file), source, tree.places)
    return LoadedConfig(reading.file, source, base, warnings, tree.places)


def _problems(findings: Iterable[Finding], source: str, places: Places) -> tuple[Problem, ...]:
    found = {Problem(source, *places.of(one.path), one.message) for one in findings}
    return tuple(sorted(found))
