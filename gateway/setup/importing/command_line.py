"""The command lines that a llama-swap file starts servers with, taken apart.

Owns: macros, comments and quotes of such a line; which flags of llama-server have a counterpart.
Must not: know the other keys of the file.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.setup.importing.commands import Command
from gateway.setup.importing.sheet import whole
from gateway.setup.importing.vllm_command import vllm_command

_MACRO = re.compile(r"\$\{([\w.-]+)\}")
_DEEPEST = 8  # macros within macros
_SERVER = re.compile(r"(?:^|[/\\])(?:llama-server|server)(?:\.exe)?$")
_VLLM = re.compile(r"(?:^|[/\\])vllm$")

# Long and short forms of llama-server's flags, by what they mean here.
_FLAGS = {
    "weights": ("-m", "--model"),
    "hub": ("-hf", "-hfr", "--hf-repo"),
    "hub_file": ("-hff", "--hf-file"),
    "url": ("-mu", "--model-url"),
    "context": ("-c", "--ctx-size"),
    "parallel": ("-np", "--parallel"),
    "threads": ("-t", "--threads"),
    "batch_threads": ("-tb", "--threads-batch"),
    "gpu_layers": ("-ngl", "--gpu-layers", "--n-gpu-layers"),
    "kv_type": ("-ctk", "--cache-type-k"),
    "batch_tokens": ("-b", "--batch-size"),
    "pooling": ("--pooling",),
}
_SWITCHES = {
    "embeddings": ("--embedding", "--embeddings"),
    "reranks": ("--rerank", "--reranking"),
    "context_shift": ("--context-shift",),
}
# What is so anyway, or has no meaning for a worker behind a gateway.
_IDLE = frozenset(
    [
        "--host",
        "--port",
        "-a",
        "--alias",
        "--api-key",
        "--jinja",
        "--no-webui",
        "--webui",
        "--metrics",
        "--slots",
        "--no-slots",
        "-fa",
        "--flash-attn",
        "--mlock",
        "--no-mmap",
        "--cont-batching",
        "-cb",
        "--no-warmup",
        "--verbose",
        "-v",
        "--log-file",
        "--log-disable",
        "--log-colors",
        "--log-prefix",
        "--log-timestamps",
        "--threads-http",
        "--timeout",
        "-to",
        "--props",
        "-ctv",
        "--cache-type-v",
        "-ub",
        "--ubatch-size",
        "--offline",
        "--kv-unified",
        "-kvu",
        "--cache-reuse",
        "--no-context-shift",
        "--prio",
        "--numa",
        "--reasoning-format",
        "--chat-template-file",
        "--no-perf",
        "-sps",
        "--slot-prompt-similarity",
        "--swa-full",
    ]
)
_ENGINE_KEYS = ("gpu_layers", "kv_type", "batch_tokens", "batch_threads", "context_shift")
_BY_FLAG = {flag: key for key, flags in _FLAGS.items() for flag in flags}
_BY_SWITCH = {flag: key for key, flags in _SWITCHES.items() for flag in flags}
_KV_TYPES = frozenset({"f16", "q8_0", "q4_0"})


def filled(text: str, macros: Mapping[str, Any]) -> str:
    """Return a text with its macros in place, those too that stand in macros."""
    for _ in range(_DEEPEST):
        changed = _MACRO.sub(lambda m: str(macros.get(m[1], m[0])), text)
        if changed == text:
            break
        text = changed
    return text


def words_of(text: str) -> list[str]:
    """Return the words of a command, lines of comment and line ends with a backslash left out.

    Raises:
        ValueError: a quotation is not closed.
    """
    lines = [line.strip() for line in text.splitlines()]
    kept = [line.removesuffix("\\") for line in lines if not line.startswith("#")]
    return shlex.split(" ".join(kept))


def read_command(words: Sequence[str]) -> Command:
    """Return what the words start, whatever program they name."""
    if words and _SERVER.search(words[0]):
        return _llama_server(words[1:])
    if len(words) > 1 and _VLLM.search(words[0]) and words[1] == "serve":
        return vllm_command(words[0], pairs_of(words[2:]))
    return Command("")


def _llama_server(words: Sequence[str]) -> Command:
    given: dict[str, str] = {}
    unknown: list[str] = []
    for flag, value in pairs_of(words):
        if flag in _BY_FLAG:
            given[_BY_FLAG[flag]] = value
        elif flag in _BY_SWITCH:
            given[_BY_SWITCH[flag]] = "true"
        elif flag and flag not in _IDLE:
            unknown.append(f"{flag} {value}".rstrip())
    found: dict[str, Any] = {
        "weights": _weights(given),
        "context": whole(given.get("context"), 64),
        "parallel": whole(given.get("parallel"), 1, 256),
        "threads": whole(given.get("threads")),
        "batch_threads": whole(given.get("batch_threads")),
        "gpu_layers": _gpu_layers(given.get("gpu_layers")),
        "batch_tokens": whole(given.get("batch_tokens"), 8),
        "kv_type": given.get("kv_type") if given.get("kv_type") in _KV_TYPES else None,
        "pooling": given.get("pooling")
        if given.get("pooling") in ("mean", "cls", "last")
        else None,
        "embeddings": True if "embeddings" in given and "reranks" not in given else None,
        "reranks": True if "reranks" in given else None,
        "context_shift": True if "context_shift" in given else None,
    }
    kept = {key: value for key, value in found.items() if value is not None}
    engine = {key: kept.pop(key) for key in _ENGINE_KEYS if key in kept}
    return Command("llamacpp", kept, engine, tuple(unknown))


def pairs_of(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return flags with their values, "" for a flag that stands alone.

    What stands before the first flag has "" for its flag.
    """
    pairs: list[tuple[str, str]] = []
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-\d+(?:\.\d+)?", word):
            flag, _, value = word.partition("=")
            pairs.append((flag, value))
        elif pairs:
            flag, before = pairs[-1]
            pairs[-1] = (flag, f"{before} {word}".lstrip())
        else:
            pairs.append(("", word))
    return pairs


def _weights(given: Mapping[str, str]) -> str | None:
    if "weights" in given:
        return given["weights"]
    if "hub" in given:
        repo = given["hub"]
        return f"{repo.partition(':')[0]}:{given['hub_file']}" if "hub_file" in given else repo
    return given.get("url")


def _gpu_layers(value: str | None) -> int | None:
    if value == "all":
        return -1
    number = whole(value, 0)
    return -1 if number is not None and number >= 99 else number
