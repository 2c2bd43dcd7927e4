"""`kind: llamacpp`: workers of ours on llama-cpp-python, one process for each replica.

Owns: its section of the file, and the command line of a worker.
Must not: start anything; import llama_cpp.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engines.kinds.address import ReplicaAddress
from engines.kinds.beside import absent_of, adapter_option, bytes_beside, projector_option
from engines.kinds.plan import Launch, ModelOrder, ReplicaPlan, Room
from engines.kinds.section import Device, Seconds, Section
from engines.llamacpp.beforehand import missing_extra, own_cells, own_context
from engines.llamacpp.command import worker_command
from engines.memory import GgufSettings, MemoryNeed, gpu, layers_that_fit, need_of_gguf, shared_out
from engines.memory.offload import CONTEXT_BYTES
from engines.memory.placement import Wish
from engines.platform import gpus, instructions, seen_by, visible
from engines.weights import (
    Description,
    NotPulled,
    WeightsProblem,
    abilities_of,
    describe,
    header_of,
    locate,
    resolve,
)

# docs/decisions/0024: spinning is fastest on a quiet machine; beside others, fewer threads are.
_WAITS: dict[str, tuple[tuple[str, str], ...]] = {
    "auto": (),
    "brief": (("GOMP_SPINCOUNT", "300"),),
    "active": (("OMP_WAIT_POLICY", "active"),),
    "passive": (("OMP_WAIT_POLICY", "passive"),),
}


class LlamacppEngine(Section):
    """An entry of `engines:` with `kind: llamacpp`: workers of ours, one process per replica."""

    managed: ClassVar[bool] = True
    reads_images: ClassVar[bool] = False  # but with a model's `mmproj`
    gives_tools: ClassVar[bool] = True  # to every model

    kind: Literal["llamacpp"] = Field(description="Our worker on llama.cpp.")
    context: int | None = Field(
        None,
        ge=64,
        description="Context in tokens; when absent the weights' own, at most 16,384.",
    )
    parallel: int = Field(8, ge=1, le=256, description="Sequences that decode at once.")
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads per replica; when absent the usable cores are shared out, and a demo "
        "model gets one.",
    )
    batch_threads: int | None = Field(
        None,
        ge=1,
        description="Threads for prompts, and for texts to embed or rank; when absent as many as "
        "for decoding.",
    )
    batch_tokens: int = Field(
        512, ge=8, description="Tokens per step: decoding sequences first, then chunks of prompts."
    )
    max_waiting: int = Field(
        4_096,
        ge=1,
        description="Answers and texts to embed or rank that may run or wait in a replica at once; "
        "beyond that it answers 503 with `Retry-After`.",
    )
    prefix_cache: bool = Field(
        True, description="Compute common prompt prefixes once, and keep them for later requests."
    )
    prefix_cache_mib: int = Field(
        512,
        ge=0,
        description="Memory per replica for prefixes of finished requests, in MiB; at most twice "
        "what the KV cache holds, and of a longer text its beginning. 0: only concurrent requests "
        "share prefixes.",
    )
    prefix_cache_dir: str | None = Field(
        None,
        description="A folder (relative to this file) where the prefix cache outlives a replica: "
        "written at a clean end, also when a model is unloaded, and read at the next start. It "
        "contains users' prompts. What no start has read for two weeks is removed.",
    )
    prompt_lookup: bool = Field(
        False,
        description="Speculative decoding while one request runs alone: drafts come from the text "
        "so far or from what its schema forces. For answers that repeat their prompts (edits, "
        "extracts). Answers do not change.",
    )
    context_shift: bool = Field(
        False,
        description="Let an answer outgrow the context, up to its `max_tokens`: the middle of the "
        "text is dropped, and the rest prefilled again. Without it, and after an image, such an "
        "answer is cut off.",
    )
    kv_type: Literal["f16", "q8_0", "q4_0"] = Field(
        "f16",
        description="Type of the KV cache: `q8_0` takes about half the memory of `f16`, `q4_0` a "
        "quarter, at some cost in speed and precision.",
    )
    omp_wait: Literal["auto", "brief", "active", "passive"] = Field(
        "auto",
        description="How threads wait for each other in a step: `auto` spins, and without layers "
        "on a GPU uses fewer threads while other processes want the cores; `active` always spins, "
        "for machines that do nothing else; `passive` sleeps; `brief` spins for some microseconds, "
        "then sleeps.",
    )
    gpu_layers: Annotated[int, Field(ge=-1)] | Literal["auto"] = Field(
        0,
        description="Layers to offload to the GPU; -1 is all, `auto` as many as fit into the free "
        "memory of `devices` at each load. A llama-cpp-python built without GPU support keeps "
        "them on the CPU and says so in the log; the worker's `/v1/models` has `devices` and "
        "`gpu_layers`.",
    )
    devices: tuple[Device, ...] | None = Field(
        None,
        description="GPUs that a worker sees (CUDA_VISIBLE_DEVICES), numbered as by `nvidia-smi`. "
        "When absent and there are several, each replica with `gpu_layers` gets as few as have "
        "room for it.",
    )
    start_timeout_s: Seconds = Field(300, description="Seconds a replica may take to load.")
    drain_timeout_s: Seconds = Field(
        10, description="Seconds that running requests have to finish when a replica stops."
    )

    def missing_extra(self) -> str | None:
        """Return the line that says what to install, None when the worker can run."""
        return missing_extra()

    def context_for(self, trained_tokens: int | None) -> int | None:
        """Return the context of a model that names none itself, None where nobody knows it."""
        if self.context is not None or trained_tokens is None:
            return self.context
        return own_context(trained_tokens)

    def plan(self, order: ModelOrder, room: Room) -> tuple[ReplicaPlan, ...]:
        """Return `order.replicas` replicas, named "0", "1" and so on."""
        return tuple(self._replica(order, room, index) for index in range(order.replicas))

    def need(self, order: ModelOrder) -> MemoryNeed:
        """Return what one replica takes when its caches are full.

        Raises:
            WeightsProblem: there are no such weights, or they cannot be read.
        """
        path = resolve(order.weights or "", order.base)
        parts = [describe(file) for file in locate(order.weights or "", order.base).files]
        return self.need_of(order, parts, path.name, bytes_beside(order))

    def need_of(
        self,
        order: ModelOrder,
        parts: Sequence[Description],
        name: str,
        beside_bytes: int = 0,
    ) -> MemoryNeed:
        """Return the same for files of which only the headers are known; `name` is the first's.

        Raises:
            WeightsProblem: the header cannot be.
        """
        settings = self._settings(order, parts, name)
        return need_of_gguf(parts, self._placed(parts, settings, order), beside_bytes)

    def _settings(self, order: ModelOrder, parts: Sequence[Description], name: str) -> GgufSettings:
        header = header_of(parts[0], name)
        abilities = abilities_of(header, pooling=order.pooling, embeddings=order.embeddings)
        context = order.context or self.context or own_context(header.context_length)
        if not header.is_causal:
            context = min(context, header.context_length or context)
        parallel = order.parallel or self.parallel
        cells = own_cells(context, parallel)
        step = min(self.batch_tokens, cells)
        return GgufSettings(
            cells=cells,
            sequences=parallel,
            step_tokens=step,
            kv_type=self.kv_type,
            kept_bytes=self.prefix_cache_mib << 20 if self.prefix_cache else 0,
            generates=abilities.generates,
            embeds=abilities.embeds or abilities.reranks,
            text_tokens=step if header.is_causal else max(step, context),
            context=context,
            instructions=instructions(),
        )

    def wish(self, order: ModelOrder, _totals: Mapping[str, int]) -> Wish | None:
        """Return what a replica wants of GPUs, None where it uses none.

        It takes as few as have room for all of its layers: what lies on two waits for the bus.
        """
        if not self.gpu_layers:
            return None
        try:
            parts = [describe(file) for file in locate(order.weights or "", order.base).files]
            settings = self._settings(order, parts, resolve(order.weights or "", order.base).name)
        except WeightsProblem:
            return None
        layers = -1 if self.gpu_layers == "auto" else self.gpu_layers

        def needs(rooms: Mapping[str, int]) -> dict[str, int]:
            need = need_of_gguf(parts, replace(shared_out(settings, rooms), gpu_layers=layers))
            return {device: need.on(device) + CONTEXT_BYTES for device in rooms}

        return Wish(order.name, needs)

    def _placed(
        self, parts: Sequence[Description], settings: GgufSettings, order: ModelOrder
    ) -> GgufSettings:
        """Say what goes onto GPUs, as if nobody else used them: the same at every reading."""
        seen = visible(gpus(), order.gpus(0, self.devices)) if self.gpu_layers else ()
        if not seen:
            return settings
        whole = {gpu(one.index): one.total_bytes for one in seen}
        layers = self.gpu_layers
        if layers == "auto":
            layers = layers_that_fit(parts, settings, whole)
        return replace(shared_out(settings, whole), gpu_layers=layers)

    def _replica(self, order: ModelOrder, room: Room, index: int) -> ReplicaPlan:
        socket_path = room.socket_path(order, index)
        weights, problem, absent = order.weights or "", self.missing_extra(), None
        beside: tuple[str, ...] = ()
        try:
            weights = str(resolve(weights, order.base))
            beside = (
                *projector_option(order),
                *(adapter_option(one, order.base) for one in order.adapters),
            )
        except NotPulled as error:
            if problem is None:
                problem, absent = str(error), absent_of(order)
        except WeightsProblem as error:
            problem = problem or str(error)
        toy = (order.weights or "").startswith("demo:")
        threads = order.threads or self.threads or (1 if toy else room.threads)
        return ReplicaPlan(
            model=order.name,
            engine=order.engine,
            replica=str(index),
            address=ReplicaAddress(socket_path=socket_path),
            upstream_model=order.name,
            health_path="/health",
            health_interval_s=1,
            metrics_path="/metrics",
            tokenize_path="/tokenize",
            uses_path="/uses/",
            exact_seams=True,
            capacity=order.parallel or self.parallel,
            launch=Launch(
                (*self._worker(order, weights, socket_path, threads), *beside),
                socket_path,
                self.start_timeout_s,
                self.drain_timeout_s,
                (*_WAITS[self.omp_wait], *seen_by(order.gpus(index, self.devices)).items()),
            ),
            problem=problem,
            absent=absent,
            adapters=tuple(adapter.name for adapter in order.adapters),
        )

    def _worker(
        self, order: ModelOrder, weights: str, socket_path: Path, threads: int
    ) -> tuple[str, ...]:
        """Return the worker's command line; what the file leaves open the worker decides."""
        shelf = None if self.prefix_cache_dir is None else order.base / self.prefix_cache_dir
        return worker_command(
            {
                "weights": weights,
                "name": order.name,
                "socket": socket_path,
                "context": order.context or self.context,
                "parallel": order.parallel or self.parallel,
                "threads": threads,
                "batch-threads": self.batch_threads or threads,
                "batch-tokens": self.batch_tokens,
                "max-waiting": self.max_waiting,
                "prefix-cache": None if self.prefix_cache else False,
                "prefix-cache-mib": self.prefix_cache_mib,
                "prefix-cache-dir": shelf,
                "prompt-lookup": self.prompt_lookup or None,
                "context-shift": self.context_shift or None,
                "kv-type": self.kv_type,
                "yield-cores": None if self.omp_wait == "auto" else False,
                "gpu-layers": self.gpu_layers,
                "embeddings": order.embeddings,
                "pooling": order.pooling,
                "drain-timeout-s": self.drain_timeout_s,
            }
        )
