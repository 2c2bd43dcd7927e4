"""The options of a worker's command line.

Owns: their names, defaults and help, and what is refused before anything is loaded.
Must not: load or start anything.
"""

import argparse
from pathlib import Path

from engines.llamacpp.adapters import Adapter, read_adapter
from engines.llamacpp.beforehand import LARGEST_OWN_CONTEXT, SHARED_CELLS
from engines.llamacpp.binding import KV_TYPES
from engines.llamacpp.crowd import MOST_WAITING
from engines.llamacpp.offloading import layers
from engines.llamacpp.pooled import POOLINGS


def parser() -> argparse.ArgumentParser:
    """Return what reads the options; a wrong one ends the process with 2."""
    options = argparse.ArgumentParser(
        prog="python -m engines.llamacpp",
        description="Serve one GGUF file over OpenAI-compatible HTTP.",
        allow_abbrev=False,
    )
    for add in (_model, _address, _sizes, _speed, _cache, _end):
        add(options)
    return options


def _model(options: argparse.ArgumentParser) -> None:
    options.add_argument("--weights", required=True, help="a GGUF file, or demo:qwen|coder|llama")
    options.add_argument("--name", help="the model's name; default: what the file says")
    options.add_argument(
        "--adapter",
        action="append",
        default=[],
        type=_adapter,
        metavar="NAME=PATH[:SCALE]",
        help="a LoRA adapter, served as a model of that name; may be repeated",
    )
    options.add_argument("--mmproj", help="the GGUF file of the model's projector, for images")
    options.add_argument(
        "--embeddings", action=argparse.BooleanOptionalAction, help="default: what the file says"
    )
    options.add_argument(
        "--pooling",
        choices=POOLINGS,
        help="how a text becomes a vector or a rank; default: what the file says, else mean",
    )


def _address(options: argparse.ArgumentParser) -> None:
    options.add_argument("--socket", type=Path, help="listen on this unix socket")
    options.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    options.add_argument("--port", type=int, default=8080, help="port (default: %(default)s)")
    options.add_argument(
        "--no-auth", action="store_true", help="serve other machines without asking for a key"
    )
    options.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a Host name to accept besides loopback names and --host; may be repeated",
    )


def _sizes(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--context",
        type=_positive,
        help=f"context in tokens; default: the file's own, at most {LARGEST_OWN_CONTEXT}",
    )
    options.add_argument(
        "--cells",
        type=_positive,
        help=f"KV cache cells for all sequences; default: what they need, at most {SHARED_CELLS}",
    )
    options.add_argument(
        "--parallel",
        type=_slots,
        default=8,
        help="sequences that decode at once (default: %(default)s)",
    )
    options.add_argument(
        "--batch-tokens", type=_positive, default=512, help="tokens per step (default: %(default)s)"
    )
    options.add_argument(
        "--max-waiting",
        type=_positive,
        default=MOST_WAITING,
        help="answers and texts that run or wait; more get a 503 (default: %(default)s)",
    )


def _speed(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--threads", type=_positive, help="threads for decoding; default: all usable cores"
    )
    options.add_argument(
        "--batch-threads",
        type=_positive,
        help="threads for prompts, and for texts to embed or rank; default: as --threads",
    )
    options.add_argument(
        "--yield-cores",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="use fewer threads while other processes want the cores (default: yes)",
    )
    options.add_argument(
        "--gpu-layers",
        type=layers,
        default=0,
        help="layers to offload; -1 is all, auto what fits now (default: %(default)s)",
    )
    options.add_argument(
        "--prompt-lookup",
        action="store_true",
        help="speculative decoding from the text so far, while one request runs alone",
    )


def _cache(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--prefix-cache",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compute common prompt prefixes once (default: yes)",
    )
    options.add_argument(
        "--prefix-cache-mib",
        type=_mebibytes,
        default=512,
        help="memory for prefixes of finished requests (default: %(default)s)",
    )
    options.add_argument(
        "--prefix-cache-dir",
        type=Path,
        help="a folder where the prefix cache outlives the process; it holds users' prompts",
    )
    options.add_argument(
        "--kv-type",
        choices=KV_TYPES,
        default="f16",
        help="type of the KV cache (default: %(default)s)",
    )
    options.add_argument(
        "--context-shift",
        action="store_true",
        help="let an answer outgrow the context by dropping the middle of the text",
    )


def _end(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--drain-timeout-s",
        type=float,
        default=10,
        help="seconds that running requests have to finish (default: %(default)s)",
    )
    options.add_argument(
        "--exit-with-stdin", action="store_true", help="exit when standard input closes"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _mebibytes(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def _adapter(text: str) -> Adapter:
    try:
        return read_adapter(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _slots(text: str) -> int:
    value = _positive(text)
    if value > 256:
        raise argparse.ArgumentTypeError("llama.cpp runs at most 256 sequences")
    return value
