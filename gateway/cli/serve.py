"""`weighbridge serve`: the gateway on a socket, and what it says when it starts and ends.

Owns: the socket, exit codes, who may come in.
Must not: build what `gateway.parts` builds.
"""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from engines.platform import allow_open_files, cache_folder, runtime_folder, usable_cores
from gateway.app import build_app
from gateway.cli.address import is_loopback, url_of
from gateway.cli.banner import banner, cannot_start
from gateway.cli.config_source import find_config, names_config
from gateway.cli.logs import set_up_logs
from gateway.cli.parent import ParentServer, inside_of, parent_server
from gateway.cli.server import Server, connections_within, files_wanted, server_config
from gateway.cli.worker import GARBAGE
from gateway.config.loading import LoadedConfig, load_config
from gateway.config.problems import ConfigError
from gateway.environment import (
    LOG_FORMATS,
    LOG_LEVELS,
    Environment,
    EnvironmentProblem,
    read_environment,
)
from gateway.known import gather_facts
from gateway.middleware import DoorRules
from gateway.parts import Live, build_gateway
from gateway.reloading import LOOK_S, Ground, Reloader, mark_of
from gateway.workers.picture import House

_log = logging.getLogger("weighbridge")


@click.command()
@names_config
@click.option("--host", help="Address to bind; default: gateway.host in the file, 127.0.0.1.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port to bind, 0 for a free one; default: gateway.port in the file, 8000.",
)
@click.option("--no-auth", is_flag=True, help="Serve other machines without asking for a key.")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default=None,
    help="The lowest level to log; default: info.",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default=None,
    help="Plain lines, or one JSON object per line; default: text.",
)
@click.option(
    "--access-log/--no-access-log",
    default=True,
    help="Log one line per request; default: yes.",
)
@click.option(
    "--watch/--no-watch",
    default=True,
    help="Reload the file when it changes, as SIGHUP does; default: yes.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    help="Processes that relay requests, one per core; still one gateway; default: 1.",
)
def serve(
    config_option: str | None,
    host: str | None,
    port: int | None,
    *,
    workers: int,
    no_auth: bool,
    log_level: str | None,
    log_format: str | None,
    access_log: bool,
    watch: bool,
) -> None:
    """Serve the configured models at one OpenAI-compatible endpoint.

    A changed file takes effect while requests run; one with errors is rejected, and the old one
    stays in force.
    """
    try:
        environment = read_environment(os.environ)
        source = find_config(config_option, environment, Path())
        mark = mark_of(source.path)
        config = load_config(source.path, os.environ)
    except (ConfigError, EnvironmentProblem) as error:
        _fail(str(error), 2)
    level = log_level or environment.log_level or "info"
    form = log_format or environment.log_format or "text"
    set_up_logs(level, form, access_log=access_log)
    for warning in config.warnings:
        _log.warning("%s", warning)
    section = config.file.gateway
    _allow_files(section.max_connections)
    host = host or section.host
    rules = _door(config, environment, host, no_auth=no_auth)
    listener = _listen(host, section.port if port is None else port)
    bound_port: int = listener.getsockname()[1]
    with listener, _folder() as folder:
        cache, cores = cache_folder(os.environ), usable_cores()
        ground = Ground(source.path, os.environ, gather_facts, folder, cores, cache)
        gateway = build_gateway(
            config,
            gather_facts(config),
            runtime_folder=folder,
            cores=cores,
            cache=cache,
        )
        live = Live(gateway)
        reloader = Reloader(live, ground, mark, LOOK_S if watch else None)
        for line in cannot_start(gateway):
            _log.error("%s", line)
        said = banner(
            gateway,
            source,
            url_of(host, bound_port),
            keyed=rules.key is not None,
            exposed=rules.any_address,
        )
        house = House(workers, rules, inside_of(folder), level, form, access_log)
        if workers > 1:
            _run_parent(parent_server(live, reloader, house, listener, said))
        else:
            _run(_server(live, reloader, rules, said), [listener])


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make the folder for sockets; where none can be made, end with one clear line."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(runtime_folder())
        except OSError as error:
            _fail(f"No folder can be made for the engines' sockets: {error}.", 1)
        yield folder


def _allow_files(connections: int) -> None:
    allowed = allow_open_files(files_wanted(connections))
    taken = connections_within(allowed)
    if taken < connections:
        _log.warning(
            "only %d files may be open at once: %d connections are accepted, not the %d of "
            "gateway.max_connections; raise the limit (ulimit -n, LimitNOFILE=)",
            allowed,
            taken,
            connections,
        )


def _server(live: Live, reloader: Reloader, rules: DoorRules, announcement: str) -> Server:
    """Return the server of a gateway of one process."""
    gateway, app = live.gateway, build_app(live, rules, reloader.run)
    config = server_config(app, gateway.config.file.gateway)
    return Server(config, announcement, gateway.carer.kill_children, reloader.ask)


def _run_parent(parent: ParentServer) -> None:
    _run(parent, None)
    if parent.failed:
        _fail("No gateway worker can start; the log says why.", 1)


def _run(server: Server, sockets: list[socket.socket] | None) -> None:
    """Serve until a signal; the second one ends at once."""
    # uvicorn raises the signal again when it has ended: a clean end is no failure.
    signal.signal(signal.SIGTERM, _leave)
    # What is there now stays; collecting it again and again cost a tenth of every request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    try:
        server.run(sockets=sockets)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


def _leave(_signal: int, _frame: object) -> NoReturn:
    sys.exit(0)


def _door(config: LoadedConfig, environment: Environment, host: str, *, no_auth: bool) -> DoorRules:
    """Decide who may come in; without a key nobody but this machine, unless told otherwise.

    Without a key Host is checked wherever we listen: a page in the browser of somebody who reaches
    us could have its own name rebound to our address.
    """
    section = config.file.gateway
    local = is_loopback(host)
    if environment.api_key is None and not local and not no_auth:
        _fail(
            f"Listening on {host} without a key would let anybody in.\n"
            "Set WEIGHBRIDGE_API_KEY (or WEIGHBRIDGE_API_KEY_FILE), "
            "or pass --no-auth if that is what you want.",
            2,
        )
    key = None if no_auth else environment.api_key
    hosts = {name.lower() for name in section.allowed_hosts}
    if hosts or key is None:
        hosts.add(host.lower())
    return DoorRules(
        key=key,
        any_host=key is not None,
        any_address=key is None and not local,
        hosts=frozenset(hosts),
        origins=frozenset(origin.lower().rstrip("/") for origin in section.allowed_origins),
    )


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; an address in use ends the command with one clear line."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:  # the latter of names such as `0.0.0..0`
        why = error.strerror if isinstance(error, OSError) else "this is no address"
        _fail(f"Cannot listen on {host!r}: {why}. Check --host.", 1)
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        _fail(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            "Is another server running there? Choose another port with --port.",
            1,
        )
    listener.setblocking(False)
    return listener


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
