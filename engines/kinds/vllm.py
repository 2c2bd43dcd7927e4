"""`kind: vllm`: a `vllm serve` of ours for each replica, in an environment of its own.

Owns: the plan of a replica, and what it takes of memory.
Must not: start anything; import vllm. `engines.vllm` knows how its command line is written, and
`vllm_section` what the file may say.
"""

import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from engines.families import load_catalogue
from engines.kinds.address import ReplicaAddress
from engines.kinds.plan import Absent, Launch, ModelOrder, ReplicaPlan, Room
from engines.kinds.section import several
from engines.kinds.vllm_section import VllmSection
from engines.memory import MemoryNeed, VllmSettings, gpu, need_of_vllm
from engines.memory.placement import Wish
from engines.memory.vllm_need import DEFAULT_SHARE, GIB
from engines.platform import gpus, memory_bytes, seen_by, visible
from engines.vllm.adapters import Adapter, adapter_of
from engines.vllm.command import Container, Serving, Value, guarded
from engines.vllm.parsers import Parsers, parsers_for
from engines.vllm.weights import folder_of, is_hub_name, pulled_folder, source_of
from engines.weights import WeightsProblem

_NO_PARSER = "none"
_PARALLEL = 256  # vLLM's own number on most GPUs
# Variables and options by which vLLM takes weights from another place than we put them.
_ELSEWHERE = (
    "HF_",
    "HUGGINGFACE_",
    "VLLM_USE_MODELSCOPE",
    "--download-dir",
    "--load-format",
    "--revision",
    "--model-loader",
)
# After the drain vLLM still has to end its engine processes.
_FAREWELL_S = 8.0
# On a GPU that has less than this for each byte of weights, no cells to speak of are left.
_ROOM_TO_RUN = 1.1


class VllmEngine(VllmSection):
    """An entry of `engines:` with `kind: vllm`: one `vllm serve` of ours per replica."""

    managed: ClassVar[bool] = True
    reads_images: ClassVar[bool] = True  # where the model does
    gives_tools: ClassVar[bool] = False  # to those models alone that know them

    def missing_extra(self) -> str | None:
        """Return the line that says what to install, or None when it can run."""
        if self.image is not None:
            if shutil.which(self._runtime()) is None:
                return f"kind: vllm with an image needs {self._runtime()}; install it"
            return None
        if self.command is None and self.venv is None and shutil.which("vllm") is None:
            return (
                "kind: vllm needs the command `vllm`: install vLLM into an environment of its own "
                "(python -m venv vllm && vllm/bin/pip install vllm) and write `venv: ./vllm`"
            )
        return None

    def context_for(self, trained_tokens: int | None) -> int | None:
        """Return the context of a model that names none itself, None where nobody knows it."""
        return trained_tokens if self.context is None else self.context

    def plan(self, order: ModelOrder, room: Room) -> tuple[ReplicaPlan, ...]:
        """Return `order.replicas` replicas, named "0", "1" and so on."""
        options = dict(self._options(order))
        return tuple(self._replica(order, room, index, options) for index in range(order.replicas))

    def need(self, order: ModelOrder) -> MemoryNeed:
        """Return what one replica takes; what is not on this machine yet counts as nothing."""
        tensors = _tensor_bytes(order)
        cells = self.environment.get("VLLM_CPU_KVCACHE_SPACE", "")
        settings = VllmSettings(
            gpus={} if cells else self._gpus(order),
            ram_bytes=memory_bytes(),
            share=self.gpu_memory_utilization or DEFAULT_SHARE,
            cells_bytes=int(cells) * GIB if cells.isdigit() else None,
        )
        return need_of_vllm(tensors, settings)

    def wish(self, order: ModelOrder, totals: Mapping[str, int]) -> Wish | None:
        """Return what a replica wants of GPUs, None where it uses none.

        It takes as much of each of them, a share of the smallest: vLLM fills it with cells.
        """
        if self.environment.get("VLLM_CPU_KVCACHE_SPACE"):
            return None
        share, tensors = self.gpu_memory_utilization or DEFAULT_SHARE, _tensor_bytes(order)

        def needs(rooms: Mapping[str, int]) -> dict[str, int]:
            smallest = min((totals[device] for device in rooms), default=0)
            weights = round(_ROOM_TO_RUN * tensors / max(1, len(rooms)))
            return dict.fromkeys(rooms, max(int(share * smallest), weights))

        return Wish(order.name, needs, self._gpu_count())

    def _gpu_count(self) -> int:
        asked = (self.tensor_parallel, self.pipeline_parallel, self.data_parallel)
        return math.prod(one or 1 for one in asked)

    def _gpus(self, order: ModelOrder) -> dict[str, int]:
        """Return the bytes of the GPUs that one server uses: the first of those that it sees."""
        seen = visible(gpus(), order.gpus(0, self.devices))
        return {gpu(one.index): one.total_bytes for one in seen[: self._gpu_count()]}

    def _replica(
        self, order: ModelOrder, room: Room, index: int, options: dict[str, Value]
    ) -> ReplicaPlan:
        socket_path = room.socket_path(order, index)
        port = None if self.port is None else self.port + index
        problem = self.missing_extra() or self._wrong_place(order.base)
        source, adapters = order.weights or "", tuple[Adapter, ...]()
        try:
            source = source_of(self._pulled(source, order.base), order.base)
            adapters = tuple(
                adapter_of(one.name, one.weights, one.scale, order.base) for one in order.adapters
            )
        except WeightsProblem as error:
            problem = problem or str(error)
        serving = Serving(
            source=source,
            name=order.name,
            socket_path=socket_path,
            port=port,
            drain_timeout_s=math.ceil(self.drain_timeout_s),
            options=options,
            adapters=adapters,
            extra=self.extra_args,
        )
        devices = order.gpus(index, self.devices)
        environment = self._environment(order, devices)
        return ReplicaPlan(
            model=order.name,
            engine=order.engine,
            replica=str(index),
            address=ReplicaAddress(socket_path=socket_path)
            if port is None
            else ReplicaAddress("127.0.0.1", port),
            upstream_model=order.name,
            health_path="/health",
            health_interval_s=1,
            metrics_path="/metrics",
            tokenize_path="/tokenize",
            capacity=order.parallel or self.parallel,
            takes_priority=self.priority,
            launch=Launch(
                self._command(serving, environment, order.base, devices),
                socket_path,
                self.start_timeout_s,
                math.ceil(self.drain_timeout_s) + _FAREWELL_S,
                tuple(environment.items()),
                measurable=self.image is None,
            ),
            problem=problem,
            absent=None if problem is not None else self._absent(order),
            adapters=tuple(adapter.name for adapter in order.adapters),
            sleeps=self.sleep_mode and bool(self._gpus(order)),
        )

    def _absent(self, order: ModelOrder) -> Absent | None:
        """Return what a hub has and this machine has not; None where vLLM looks elsewhere."""
        named = (*self.environment, *(option.partition("=")[0] for option in self.extra_args))
        if self.image is not None or any(name.startswith(_ELSEWHERE) for name in named):
            return None
        weights = order.weights or ""
        if not is_hub_name(weights) or folder_of(weights, order.base) is not None:
            return None
        if pulled_folder(weights, order.base) is not None:
            return None
        return Absent(weights, "safetensors")

    def _pulled(self, weights: str, base: Path) -> str:
        """Return the folder of what was pulled; a container does not see our folders."""
        folder = pulled_folder(weights, base) if self.image is None else None
        return weights if folder is None else str(folder)

    def _command(
        self,
        serving: Serving,
        environment: dict[str, str],
        base: Path,
        gpus_seen: tuple[int | str, ...] | None,
    ) -> tuple[str, ...]:
        scratch = serving.socket_path.parent
        if self.image is not None:
            runtime = self._runtime()
            name = f"weighbridge-{serving.socket_path.name}"
            container = Container(runtime, self.image, name, self.container_args)
            devices = None if gpus_seen is None else [str(one) for one in gpus_seen]
            command = container.command(serving, environment, devices)
            return guarded(command, scratch, container=runtime)
        venv = None if self.venv is None else base / Path(self.venv).expanduser()
        command = ("vllm",) if venv is None else (str(venv / "bin" / "vllm"),)
        if self.command is not None:
            command = several(self.command)
        return guarded((*command, *serving.arguments()), scratch, venv=venv)

    def _options(self, order: ModelOrder) -> Iterator[tuple[str, Value]]:
        parsers = self._parsers(order)
        yield "max-model-len", order.context or self.context
        yield "max-num-seqs", order.parallel or self.parallel
        yield "max-num-queued-reqs", self._most(order)
        yield "tensor-parallel-size", self.tensor_parallel
        yield "pipeline-parallel-size", self.pipeline_parallel
        yield "data-parallel-size", self.data_parallel
        yield "quantization", self.quantization
        yield "dtype", self.dtype
        yield "gpu-memory-utilization", self.gpu_memory_utilization
        yield "kv-cache-dtype", self.kv_type
        yield "enable-prefix-caching", self.prefix_cache
        yield "scheduling-policy", "priority" if self.priority else "fcfs"
        yield "enable-auto-tool-choice", True if parsers.tools else None
        yield "tool-call-parser", parsers.tools
        yield "reasoning-parser", parsers.reasoning
        yield "enable-sleep-mode", self.sleep_mode or None
        if order.embeddings or order.pooling is not None:
            yield "runner", "pooling"
            yield "convert", "classify" if order.pooling == "rank" else "embed"
        # `usage` then says what the cache spared, as our own worker's does.
        yield "enable-prompt-tokens-details", True

    def _most(self, order: ModelOrder) -> int | None:
        """Return how many requests it holds at all: vLLM counts those that run as well."""
        if self.max_waiting is None:
            return None
        running = (order.parallel or self.parallel or _PARALLEL) * (self.data_parallel or 1)
        return running + self.max_waiting

    def _parsers(self, order: ModelOrder) -> Parsers:
        """Return the parsers that the file names, else those of the model's family."""
        own = Parsers()
        if self.tool_parser is None or self.reasoning_parser is None:
            catalogue = load_catalogue()
            names = (order.catalogue, order.name, order.weights)
            own = parsers_for(next(filter(None, (catalogue.find(n) for n in names if n)), None))
        tools, reasoning = self.tool_parser or own.tools, self.reasoning_parser or own.reasoning
        return Parsers(
            tools=None if tools == _NO_PARSER else tools,
            reasoning=None if reasoning == _NO_PARSER else reasoning,
        )

    def _environment(
        self, order: ModelOrder, devices: tuple[int | str, ...] | None
    ) -> dict[str, str]:
        found = {"VLLM_NO_USAGE_STATS": "1"}
        if self.image is None:
            found |= seen_by(devices)
        if order.threads is not None:
            found["OMP_NUM_THREADS"] = str(order.threads)
        if self.sleep_mode:
            found["VLLM_SERVER_DEV_MODE"] = "1"  # without it there is no /sleep
        return found | self.environment

    def _runtime(self) -> str:
        if self.runtime is not None:
            return self.runtime
        return "podman" if shutil.which("podman") and not shutil.which("docker") else "docker"

    def _wrong_place(self, base: Path) -> str | None:
        """Return why there is no vLLM where the file says that it is."""
        if self.command is not None:
            first = several(self.command)[0]
            return None if shutil.which(first) else f"there is no command {first!r}"
        if self.venv is None or (base / Path(self.venv).expanduser() / "bin" / "vllm").is_file():
            return None
        return f"there is no bin/vllm in the venv {self.venv!r}; install vLLM into it"


def _tensor_bytes(order: ModelOrder) -> int:
    """Return the size of a model's tensors, 0 where they are not on this machine."""
    weights = order.weights or ""
    folder = folder_of(weights, order.base) or pulled_folder(weights, order.base)
    return sum(f.stat().st_size for f in folder.glob("*.safetensors")) if folder else 0
