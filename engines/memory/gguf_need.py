"""What a llama.cpp worker will take, from its file's own figures.

Owns: reckoning it, part by part, as llama.cpp lays it out (docs/memory.md has the measurements).
Must not: read files; know of models or sections of the configuration.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engines.memory.caches import LayerCache, layer_caches, masked_cells, whole_cells
from engines.memory.need import RAM, MemoryNeed, Part
from engines.memory.repacking import is_repacked
from engines.memory.steps import step_bytes
from engines.weights.description import Description, Tensor

MIB = 1 << 20

# Measured on workers with little and large vocabularies: Python, numpy and the HTTP server; the
# libraries, which are pages of files; llama.cpp's tables of tokens and the worker's pieces.
_PROCESS_FILE_BYTES = 20 * MIB
_PROCESS_BYTES = 38 * MIB
_WORD_BYTES = 340
# What answers are held to JSON Schemas and tools with, from the first that asks for it.
_GRAMMAR_BYTES = 14 * MIB
_GRAMMAR_WORD_BYTES = 620
# Of ended requests at most so many tokens are kept for each cell.
_KEPT_SHARE = 2
# Of so many tokens of a step a worker has room for logits, however few sequences there are: those
# of a prompt may be told, a block of matrix products at a time.
LEAST_ROWS = 16


@dataclass(frozen=True, slots=True)
class GgufSettings:
    """How a worker is started.

    `cells` are shared by `sequences`; a step has at most `step_tokens`. `kept_bytes` is what ended
    requests may leave. Of the `gpus` each takes its share of `gpu_layers` (-1: all), counted from
    the end. `embeds`: texts are evaluated in a context of their own, with `text_tokens` at once.
    `instructions` are the processor's.
    """

    cells: int
    sequences: int
    step_tokens: int = 512
    kv_type: str = "f16"
    kept_bytes: int = 0
    gpu_layers: int = 0
    gpus: tuple[str, ...] = ()
    gpu_shares: tuple[float, ...] = ()
    generates: bool = True
    embeds: bool = False
    text_tokens: int = 512
    context: int = 0
    instructions: frozenset[str] = frozenset()


def need_of_gguf(
    parts: Sequence[Description], settings: GgufSettings, adapter_bytes: int = 0
) -> MemoryNeed:
    """Return what a worker takes when its cells are full and as much is kept as may be.

    `parts` are the descriptions of a model's files: of more than one where it is split.
    """
    first = parts[0]
    placed = _Placed(first, settings)
    found = [
        *_weights(parts, placed, settings),
        *_caches(first, placed, settings),
        *_steps(parts, placed, settings),
        Part("adapters", RAM, adapter_bytes),
        Part("process", RAM, _PROCESS_FILE_BYTES, file_backed=True),
        Part("process", RAM, _PROCESS_BYTES + _WORD_BYTES * first.words),
        Part("process", RAM, _GRAMMAR_BYTES + _GRAMMAR_WORD_BYTES * first.words, late=True),
    ]
    return MemoryNeed(tuple(part for part in found if part.size_bytes))


class _Placed:
    """Which layer is on which device: the last ones on the GPUs, the output behind them all."""

    def __init__(self, described: Description, settings: GgufSettings) -> None:
        self.layers = described.number("block_count")
        wanted = settings.gpu_layers if settings.gpus else 0
        count = self.layers + 1 if wanted < 0 else min(wanted, self.layers + 1)
        self.first = self.layers + 1 - count
        self._gpus = settings.gpus
        shares = settings.gpu_shares or (1.0,) * len(settings.gpus)
        total = sum(shares) or 1.0
        self._ends = [sum(shares[: at + 1]) / total for at in range(len(shares))]
        self._count = count

    def device(self, layer: int) -> str:
        """Return the device of a layer; the output is the one behind the last."""
        if layer < self.first:
            return RAM
        place = (layer - self.first) / self._count
        return next(
            (gpu for gpu, end in zip(self._gpus, self._ends, strict=True) if place < end),
            self._gpus[-1],
        )

    def device_of(self, name: str) -> str:
        """Return the device of a tensor; what turns tokens into numbers stays where it is."""
        head, _, rest = name.partition(".")
        if head == "blk":
            return self.device(int(rest.partition(".")[0]))
        return self.device(self.layers) if head.startswith("output") else RAM


def _weights(
    parts: Sequence[Description], placed: _Placed, settings: GgufSettings
) -> Iterator[Part]:
    """Yield them: of each file the stretch that is mapped, and copies laid out anew."""
    tied = not any(t.name == "output.weight" for part in parts for t in part.tensors)
    for part in parts:
        mapped: list[Tensor] = []
        for tensor in part.tensors:
            device = placed.device_of(tensor.name)
            repacked = not settings.gpus and is_repacked(tensor, settings.instructions)
            if device != RAM:
                yield Part("weights", device, tensor.size_bytes)
            elif not repacked:
                mapped.append(tensor)
            elif tensor.name == "token_embd.weight":
                mapped.append(tensor)  # rows are looked up in it as it is
                if tied:
                    yield Part("weights", RAM, tensor.size_bytes)
            else:
                yield Part("weights", RAM, tensor.size_bytes)
        if mapped:
            start = min(tensor.offset for tensor in mapped)
            end = max(tensor.offset + tensor.size_bytes for tensor in mapped)
            yield Part("weights", RAM, end - start, file_backed=True)


def _caches(described: Description, placed: _Placed, settings: GgufSettings) -> Iterator[Part]:
    caches = layer_caches(described)
    cells = whole_cells(settings.cells)
    if settings.generates:
        whole = 0
        for layer, cache in enumerate(caches):
            size = cache.size_bytes(
                cells, settings.sequences, settings.step_tokens, settings.kv_type
            )
            whole += size
            yield Part("kv_cache", placed.device(layer), size)
        kept = min(settings.kept_bytes, _KEPT_SHARE * whole)
        yield Part("prefixes", RAM, kept, late=True)
    if settings.embeds:
        for layer, cache in enumerate(caches):
            yield Part("kv_cache", placed.device(layer), _of_texts(cache, settings), late=True)


def _of_texts(cache: LayerCache, settings: GgufSettings) -> int:
    cells = whole_cells(max(settings.context, settings.text_tokens))
    sequences = min(64, settings.step_tokens)
    return cache.size_bytes(cells, sequences, settings.text_tokens, settings.kv_type)


def _steps(parts: Sequence[Description], placed: _Placed, settings: GgufSettings) -> Iterator[Part]:
    devices = {placed.device(layer) for layer in range(placed.layers + 1)} | {RAM}
    tokens = [settings.step_tokens] if settings.generates else []
    tokens += [settings.text_tokens] if settings.embeds else []
    rows = max(settings.sequences, LEAST_ROWS) if settings.generates else 0
    outputs = 4 * parts[0].words * rows
    yield Part("compute", RAM, outputs)
    for each in tokens:
        cells = masked_cells(parts[0], settings.cells, settings.sequences, each)
        for device in devices:
            yield Part("compute", device, step_bytes(parts, cells, each), late=True)
