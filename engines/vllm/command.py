"""The command line of a `vllm serve`, as plain text made from plain values.

Owns: how vLLM's options are written, and in what they are wrapped: the guard, a container.
Must not: know the configuration file, or look at the machine.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from engines.vllm import guard
from engines.vllm.adapters import Adapter

Value: TypeAlias = str | int | float | bool | Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Serving:
    """One `vllm serve`: what it serves, where it listens, and its other options by their names.

    An option that is None is left to vLLM; True and False become `--x` and `--no-x`. It listens on
    a unix socket, or on a `port` of loopback.
    """

    source: str
    name: str
    socket_path: Path
    port: int | None
    drain_timeout_s: int
    options: Mapping[str, Value] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    extra: tuple[str, ...] = ()

    def arguments(self, host: str = "127.0.0.1") -> Iterator[str]:
        """Yield what stands behind `vllm`."""
        yield from ("serve", self.source, f"--served-model-name={self.name}")
        if self.port is None:
            yield f"--uds={self.socket_path}"
        else:
            yield from (f"--host={host}", f"--port={self.port}")
        # Without it a SIGTERM lets streams hang for ever.
        yield f"--shutdown-timeout={self.drain_timeout_s}"
        yield "--disable-access-log-for-endpoints=/health,/metrics"  # asked every second
        for name, value in self.options.items():
            yield from _option(name, value)
        if self.adapters:
            yield from self._lora()
        yield from self.extra

    def _lora(self) -> Iterator[str]:
        yield from ("--enable-lora", f"--max-loras={len(self.adapters)}")
        ranks = [adapter.rank for adapter in self.adapters if adapter.rank is not None]
        if ranks:
            yield f"--max-lora-rank={max(ranks)}"
        yield "--lora-modules"
        # As JSON: a name may have a `=` in it.
        for adapter in self.adapters:
            yield json.dumps({"name": adapter.name, "path": adapter.source})


def _option(name: str, value: Value) -> Iterator[str]:
    if value is True:
        yield f"--{name}"
    elif value is False:
        yield f"--no-{name}"
    elif isinstance(value, Mapping):
        yield f"--{name}={json.dumps(value)}"
    elif value is not None:
        yield f"--{name}={value}"


def guarded(
    command: Sequence[str], scratch: Path, *, venv: Path | None = None, container: str | None = None
) -> tuple[str, ...]:
    """Return a command that leaves nothing behind, whatever kills it or the gateway."""
    # -I: run by its path, nothing is imported from the working directory or another environment.
    wrapped = [sys.executable, "-I", str(Path(guard.__file__)), f"--scratch={scratch}"]
    if venv is not None:
        wrapped.append(f"--venv={venv}")
    if container is not None:
        wrapped.append(f"--container={container}")
    return (*wrapped, "--", *command)


@dataclass(frozen=True, slots=True)
class Container:
    """An image with vLLM in it, and the `docker` or `podman` that runs it."""

    runtime: str
    image: str
    name: str
    options: tuple[str, ...] = ()

    def command(
        self, serving: Serving, environment: Mapping[str, str], devices: Sequence[str] | None
    ) -> tuple[str, ...]:
        """Return the command that runs it: sockets and local weights are mounted as they are."""
        folder = serving.socket_path.parent
        argv = [self.runtime, "run", "--rm", "--init", "--name", f"{self.name}-{{pid}}"]
        argv += ["--ipc=host", f"--volume={folder}:{folder}"]
        if serving.port is not None:
            argv.append(f"--publish=127.0.0.1:{serving.port}:{serving.port}")
        local = [serving.source, *(adapter.source for adapter in serving.adapters)]
        argv += [f"--volume={path}:{path}:ro" for path in local if Path(path).is_absolute()]
        argv += [f"--env={name}={value}" for name, value in environment.items()]
        argv += _devices(self.runtime, devices)
        argv += [*self.options, "--entrypoint=vllm", self.image]
        return (*argv, *serving.arguments("0.0.0.0"))


def _devices(runtime: str, devices: Sequence[str] | None) -> list[str]:
    """Return how a container gets its GPUs; without a word it gets all."""
    if devices is not None and not devices:
        return []
    if Path(runtime).name == "podman":
        named = devices if devices is not None else ("all",)
        return [f"--device=nvidia.com/gpu={device}" for device in named]
    return ["--gpus=all" if devices is None else f'--gpus="device={",".join(devices)}"']
