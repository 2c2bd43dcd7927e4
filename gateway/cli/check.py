"""`weighbridge check`: reads the routing file as `serve` would, and says what is wrong with it.

Owns: the lines on the terminal and the exit code.
Must not: judge the file (`gateway.config` does), start or reach anything.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from engines.kinds import LlamacppEngine, ReplicaPlan
from engines.platform import cache_folder
from engines.residency import hopeless
from engines.weights import WeightsProblem, read_header, resolve
from engines.words import counted, some_of
from gateway.cli.address import is_loopback
from gateway.cli.config_source import ConfigSource, find_config, names_config
from gateway.config.loading import LoadedConfig, load_config
from gateway.config.names import all_aliases, resolved_aliases, used_by
from gateway.config.problems import ConfigError, Problem
from gateway.environment import Environment, EnvironmentProblem, read_environment
from gateway.known import gather_facts
from gateway.planning import fetched_later, plans_of
from gateway.residing import residing_of
from gateway.selection.candidates import Known, meeting


@click.command()
@names_config
def check(config_option: str | None) -> None:
    """Validate the routing file: each problem with position and remedy.

    Exits with 2 when the file cannot be used. Warnings, such as for a rule that is never reached
    or for missing weights, leave the exit code at 0.
    """
    try:
        environment = read_environment(os.environ)
        source = find_config(config_option, environment, Path())
        config = load_config(source.path, os.environ)
    except (ConfigError, EnvironmentProblem) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    warnings = {
        *config.warnings,
        *_not_startable(config),
        *_never_loaded(config),
        *_without_candidates(config),
        *_open_to_all(config, environment),
    }
    for one in sorted(warnings):
        click.echo(f"{one.file}:{one.line}:{one.column}: warning: {one.message}")
    click.echo(f"{_verdict(source, len(warnings))} It serves {_served(config)}.")


def _verdict(source: ConfigSource, warnings: int) -> str:
    if not warnings:
        return f"Nothing is wrong with {source.described}."
    return f"It can be served, with {counted(warnings, 'warning')}: {source.described}."


def _served(config: LoadedConfig) -> str:
    file, aliases = config.file, all_aliases(config.file)
    served = f"{counted(len(file.models), 'model')} ({some_of([*file.models])})"
    if aliases:
        served += f" and {counted(len(aliases), 'alias', 'aliases')} ({some_of([*aliases])})"
    if not file.routes:
        return f"{served}; no rules for auto"
    rules = counted(len(file.routes), "rule")
    return f"{served}; {rules} {'chooses' if len(file.routes) == 1 else 'choose'} for auto"


def _not_startable(config: LoadedConfig) -> Iterator[Problem]:
    """Yield a warning for what keeps a model from starting on this machine."""
    # Planning names sockets in the folder and makes none: any folder will do.
    plans = tuple(plans_of(config, Path(), cores=1))
    for model in fetched_later(plans):
        what = (
            f"the weights of '{model}' are not here: its first request waits until they have "
            f"been fetched; `weighbridge pull {model}` fetches them now"
        )
        yield _problem(config, ("models", model, "weights"), what)
    for plan in (plan for plan in plans if plan.model not in fetched_later(plans)):
        missing = config.file.engines[plan.engine].missing_extra()
        if missing is not None:
            yield _problem(config, ("engines", plan.engine, "kind"), missing)
        # Without the extra a plan does not tell of the weights.
        why = _wrong_weights(config, plan) or (plan.problem if missing is None else None)
        if why is not None:
            what = f"'{plan.model}' cannot start here: {why}"
            yield _problem(config, ("models", plan.model, "weights"), what)


def _never_loaded(config: LoadedConfig) -> Iterator[Problem]:
    """Yield a warning for what the budget, pins and groups leave no room for, ever."""
    plans = tuple(plans_of(config, Path(), cores=1))
    residing = residing_of(config, plans, Path(), cache_folder(os.environ))
    units = {one.unit.name: one.unit for one in residing.residences}
    never = hopeless(residing.rules, units)
    for residence in residing.residences:
        why = never.get(residence.unit.name)
        if why is not None:
            as_one = " and ".join(f"'{model}'" for model in residence.models)
            what = f"{as_one} can never be loaded: {why}; `weighbridge plan` shows what would help"
            yield _problem(config, ("models", residence.models[0]), what)


def _wrong_weights(config: LoadedConfig, plan: ReplicaPlan) -> str | None:
    weights = config.file.models[plan.model].weights
    if weights is None or not isinstance(config.file.engines[plan.engine], LlamacppEngine):
        return None
    try:
        read_header(resolve(weights, config.base))
    except WeightsProblem as problem:
        return str(problem)
    return None


def _without_candidates(config: LoadedConfig) -> Iterator[Problem]:
    """Yield a warning for each rule whose `require:` none of its models meets."""
    known = Known(gather_facts(config), {})
    aliases = resolved_aliases(config.file)
    for index, route in enumerate(config.file.routes):
        names = [aliases.get(name, name) for name in used_by(route)]
        kept = meeting(names, route.require, known)
        if not kept.names:
            what = f"the rule '{route.name}' never decides: {'; '.join(map(str, kept.reasons))}"
            yield _problem(config, ("routes", index, "require"), what)


def _open_to_all(config: LoadedConfig, environment: Environment) -> Iterator[Problem]:
    """Yield a warning for a host at which `serve` does not listen without a key."""
    host = config.file.gateway.host
    if environment.api_key is None and not is_loopback(host):
        what = (
            f"`serve` does not listen on {host} without a key: set WEIGHBRIDGE_API_KEY, or pass "
            "--no-auth"
        )
        yield _problem(config, ("gateway", "host"), what)


def _problem(config: LoadedConfig, path: tuple[str | int, ...], message: str) -> Problem:
    return Problem(config.source, *config.places.of(path), message)
