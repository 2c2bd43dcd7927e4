"""The worker's command line: `python -m engines.llamacpp --weights x.gguf`.

Exit codes: 0 after a drain, 1 when the address cannot be had or the engine failed, 2 for weights,
arguments or a missing extra that no restart mends.

Owns: the order of start and end.
Must not: contain what it starts.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import uvicorn
import uvloop

from engines.llamacpp.beforehand import missing_extra, own_cells, own_context
from engines.llamacpp.pages import environment_with

if __name__ == "__main__":
    # Before the imports that need the extra: they would end in a traceback that names one module.
    if (_missing := missing_extra()) is not None:
        print(_missing, file=sys.stderr)
        sys.exit(2)
    if (_environment := environment_with(os.environ)) is not None:
        program = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, program, _environment)  # noqa: S606 - itself, with no shell
    # Read by llama.cpp as it is imported: where it gives up, the reason shall be its last word,
    # not a stack, for which it starts a debugger.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    # Python would hear of Ctrl-C when the weights are loaded.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from engines.llamacpp.aborts import hopeless_aborts
from engines.llamacpp.adapters import Adapter
from engines.llamacpp.api import build_app
from engines.llamacpp.batcher import Batcher
from engines.llamacpp.binding import Limits, Runtime
from engines.llamacpp.complaints import LoadFailed
from engines.llamacpp.devices import devices_for
from engines.llamacpp.listening import CannotListen, is_loopback, listen, server_of
from engines.llamacpp.model import Model
from engines.llamacpp.offloading import seen, wanted_layers
from engines.llamacpp.options import parser
from engines.llamacpp.pooled import Pooled
from engines.llamacpp.shelf import Shelf, mark_of
from engines.llamacpp.sight import Sight
from engines.llamacpp.template import TemplateProblem
from engines.llamacpp.work import Worker
from engines.platform import usable_cores
from engines.weights import (
    Abilities,
    GgufHeader,
    WeightsProblem,
    abilities_of,
    locate,
    read_header,
    resolve,
)

_NO_MEMORY = "there is no memory for the model; try a smaller --context, --parallel or --kv-type"


def main() -> None:
    """Load, listen, serve until told to end."""
    asked = parser().parse_args()
    if asked.socket is None and not asked.no_auth and not is_loopback(asked.host):
        _fail(
            f"listening on {asked.host} would let anybody in: a worker asks for no key. "
            "Pass --no-auth if that is what you want",
            2,
        )
    runtime, pooled, model = _load(asked)
    listener = _listener(asked)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # uvicorn raises the signal again when it has ended: a clean end is no failure.
    signal.signal(signal.SIGTERM, _leave)
    try:
        sys.exit(uvloop.run(_serve(asked, runtime, pooled, model, listener)))
    except KeyboardInterrupt:
        sys.exit(0)
    finally:
        if asked.socket is not None:
            asked.socket.unlink(missing_ok=True)


def _load(asked: argparse.Namespace) -> tuple[Runtime, Pooled, Model]:
    """Return what is served; end the process with 2 and one line where that cannot be."""
    try:
        weights = resolve(asked.weights, Path.cwd())
        header = read_header(weights)
        name = asked.name or header.name or weights.stem
        adapters = [adapter.name for adapter in asked.adapter]
        _check_adapters(name, asked.adapter)
        abilities = abilities_of(header, pooling=asked.pooling, embeddings=asked.embeddings)
        _check_pooling(abilities)
        limits = _limits(asked, header)
        files = locate(asked.weights, Path.cwd()).files
        in_sight = seen(os.environ.get("CUDA_VISIBLE_DEVICES"))
        layers = wanted_layers(asked.gpu_layers, files, limits, asked.kv_type, in_sight)
        devices = devices_for(layers)
        with hopeless_aborts(weights.name):
            runtime = Runtime(
                weights,
                limits,
                devices.gpu_layers,
                prefix_cache=asked.prefix_cache,
                kv_type=asked.kv_type,
                adapters=asked.adapter,
                generates=abilities.generates,
            )
            pooled = Pooled(runtime, abilities.pooling, in_pieces=header.is_causal)
            if not abilities.generates:
                pooled.prepare()  # it is what the model is for: better to fail now
            sight = Sight(resolve(asked.mmproj, Path.cwd()), runtime) if asked.mmproj else None
            model = Model(
                name,
                weights,
                runtime,
                abilities,
                adapters=adapters,
                devices=devices,
                sight=sight,
            )
    except (WeightsProblem, LoadFailed, TemplateProblem) as error:
        _fail(str(error), 2)
    except MemoryError:
        _fail(_NO_MEMORY, 2)
    return runtime, pooled, model


def _check_adapters(model: str, adapters: Sequence[Adapter]) -> None:
    """Refuse names that stand twice, and what is no GGUF file at all.

    Raises:
        WeightsProblem: one of these.
    """
    names = [model]
    for adapter in adapters:
        if adapter.name in names:
            raise WeightsProblem(f"the name '{adapter.name}' is taken; give the adapter another")
        names.append(adapter.name)
        read_header(adapter.path)


def _check_pooling(abilities: Abilities) -> None:
    """Refuse to rank by a head that is not there.

    Raises:
        WeightsProblem: it is not there.
    """
    if abilities.pooling == "rank" and not abilities.reranks:
        raise WeightsProblem("these weights have no head that ranks; choose another --pooling")


async def _serve(
    asked: argparse.Namespace,
    runtime: Runtime,
    pooled: Pooled,
    model: Model,
    listener: socket.socket,
) -> int:
    """Serve to the end; return the exit code."""
    batcher = Batcher(runtime, pooled, asyncio.get_running_loop(), _shelf(asked))
    worker = Worker(model, batcher, int(time.time()), asked.max_waiting)
    server = server_of(asked, worker, build_app(worker))
    if asked.exit_with_stdin:
        threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
    where = asked.socket or f"http://{asked.host}:{listener.getsockname()[1]}"
    print(f"serving {model.name} on {where}", flush=True)
    ending = asyncio.create_task(_end_when_failed(server, batcher))
    try:
        await server.serve(sockets=[listener])
    finally:
        ending.cancel()
        await asyncio.to_thread(worker.holder.close)
        await asyncio.to_thread(batcher.close)
        pooled.close()
        if model.sight is not None:
            await asyncio.to_thread(model.sight.close)
        # Who reads the text of a request that was cut off reads it with the model's vocabulary.
        await asyncio.get_running_loop().shutdown_default_executor()
        runtime.close()
    return 1 if batcher.failed.is_set() else 0


def _shelf(asked: argparse.Namespace) -> Shelf | None:
    """Return where prefixes outlive the process: of these very files, kept in this very way."""
    if asked.prefix_cache_dir is None:
        return None
    files = [*locate(asked.weights, Path.cwd()).files, *(one.path for one in asked.adapter)]
    files += [resolve(asked.mmproj, Path.cwd())] if asked.mmproj else []
    facts = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    scales = [adapter.scale for adapter in asked.adapter]
    mark = mark_of(facts, scales, asked.kv_type, version("llama-cpp-python"))
    return Shelf(asked.prefix_cache_dir, mark)


async def _end_when_failed(server: uvicorn.Server, batcher: Batcher) -> None:
    await batcher.failed.wait()
    server.should_exit = True


def _limits(asked: argparse.Namespace, header: GgufHeader) -> Limits:
    context = asked.context or own_context(header.context_length)
    if not header.is_causal:  # an encoder may have no positions beyond its own
        context = min(context, header.context_length or context)
    cells = own_cells(context, asked.parallel, asked.cells)
    threads = asked.threads or usable_cores()
    return Limits(
        context=context,
        cells=cells,
        parallel=asked.parallel,
        batch_tokens=min(asked.batch_tokens, cells),
        threads=threads,
        batch_threads=asked.batch_threads or threads,
        drafts=asked.prompt_lookup,
        shifts=asked.context_shift,
        yields=asked.yield_cores,
        parked_bytes=asked.prefix_cache_mib << 20,
    )


def _listener(asked: argparse.Namespace) -> socket.socket:
    try:
        return listen(asked)
    except CannotListen as error:
        _fail(str(error), 1)


def _end_with_stdin(server: uvicorn.Server) -> None:
    """End the server when standard input does: whoever held its other end is gone."""
    # Not through `sys.stdin`: a thread that waits in it holds a lock which Python's end needs.
    while os.read(0, 4_096):
        pass
    server.should_exit = True


def _leave(_signal: int, _frame: object) -> NoReturn:
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
