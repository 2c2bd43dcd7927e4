"""`kind: vllm`: a `vllm serve` of ours for each replica, in an environment of its own.

Owns: its section of the file, and the plan of a replica.
Must not: start anything; import vllm. `engines.vllm` knows how its command line is written.
"""

import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from engines.families import load_catalogue
from engines.kinds.address import ReplicaAddress
from engines.kinds.plan import Absent, Launch, ModelOrder, ReplicaPlan, Room
from engines.kinds.section import Device, OneOrMore, Seconds, Section, several
from engines.memory import MemoryNeed, VllmSettings, gpu, need_of_vllm
from engines.memory.placement import Wish
from engines.memory.vllm_need import DEFAULT_SHARE, GIB
from engines.platform import gpus, memory_bytes, seen_by, visible
from engines.vllm.adapters import Adapter, adapter_of
from engines.vllm.arguments import refusals
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


class VllmEngine(Section):
    """An entry of `engines:` with `kind: vllm`: one `vllm serve` of ours per replica."""

    managed: ClassVar[bool] = True
    reads_images: ClassVar[bool] = True  # where the model does
    gives_tools: ClassVar[bool] = False  # to those models alone that know them

    kind: Literal["vllm"] = Field(description="A `vllm serve` of ours, in its own environment.")
    command: OneOrMore | None = Field(
        None,
        description="How vLLM is called, `serve` and its options follow; when absent `vllm` in "
        "`venv`, else on the PATH.",
    )
    venv: str | None = Field(
        None, description="The virtual environment that has vLLM (relative to this file)."
    )
    image: str | None = Field(
        None, description="A container image that has vLLM, instead of `command` and `venv`."
    )
    runtime: Literal["docker", "podman"] | None = Field(
        None, description="What runs `image`; when absent docker, or podman where only that is."
    )
    container_args: tuple[str, ...] = Field(
        (), description="More options for `docker run`, such as `--volume` of a hub's cache."
    )
    port: int | None = Field(
        None,
        ge=1_024,
        le=65_000,
        description="Port of loopback for the first replica, the next have the next; for one model "
        "only. When absent a unix socket in a folder that nobody else may enter.",
    )
    devices: tuple[Device, ...] | None = Field(
        None,
        description="GPUs that it sees (CUDA_VISIBLE_DEVICES), counted as `nvidia-smi` does. When "
        "absent and there are several, each replica gets as many as its parallelism asks for, "
        "those with room first.",
    )
    tensor_parallel: int | None = Field(
        None, ge=1, description="GPUs that share each layer of the model."
    )
    pipeline_parallel: int | None = Field(
        None, ge=1, description="GPUs, or nodes with Ray, that share the layers out."
    )
    data_parallel: int | None = Field(None, ge=1, description="Copies of the model in one server.")
    quantization: str | None = Field(
        None, description="`awq`, `gptq`, `fp8` and so on; the weights say it when absent."
    )
    dtype: str | None = Field(None, description="Numbers of the weights; they say it when absent.")
    context: int | None = Field(
        None, ge=64, description="Context in tokens; when absent the weights' own."
    )
    parallel: int | None = Field(
        None, ge=1, le=4_096, description="Sequences that decode at once; vLLM's own when absent."
    )
    max_waiting: int | None = Field(
        None,
        ge=1,
        description="Requests that a replica holds beyond those (256 when it has no `parallel`); "
        "more are refused, and go to the next model of their rule.",
    )
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="Share of a GPU's memory that it takes; vLLM's own is 0.92."
    )
    kv_type: str | None = Field(
        None, description="How KV cells are stored (`fp8`); as the weights are when absent."
    )
    prefix_cache: bool | None = Field(
        None, description="Whether prompts that begin alike share cells; vLLM decides when absent."
    )
    priority: bool = Field(
        True, description="Whether a request's `priority` (lower first) orders its queue."
    )
    tool_parser: str | None = Field(
        None,
        description="vLLM's parser of tool calls; when absent the one of the model's family, "
        "`none` for none.",
    )
    reasoning_parser: str | None = Field(
        None, description="vLLM's parser of thoughts; when absent the family's, `none` for none."
    )
    sleep_mode: bool = Field(
        False,
        description="Whether it can give its GPU memory up and stay (not on a CPU): where others "
        "need that, and `residency.memory` has room for its weights in `ram`, it sleeps in place "
        "of ending, and is back sooner than a new start.",
    )
    extra_args: tuple[str, ...] = Field(
        (), description="More options for `vllm serve`, such as `--kv-transfer-config=...`."
    )
    environment: dict[str, str] = Field(
        default_factory=dict, description="Variables that it gets besides the gateway's own."
    )
    start_timeout_s: Seconds = Field(900, description="Seconds a replica may take to load.")
    drain_timeout_s: Seconds = Field(
        30, description="Seconds that running requests have to end when a replica stops."
    )

    @field_validator("extra_args")
    @classmethod
    def _extra_can_be_passed(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        why = next(refusals(given), None)
        if why is not None:
            raise ValueError(why)
        return given

    @model_validator(mode="after")
    def _one_way_to_call_it(self) -> "VllmEngine":
        ways = [name for name in ("command", "venv", "image") if getattr(self, name) is not None]
        if len(ways) > 1 and "image" in ways:
            other = next(name for name in ways if name != "image")
            raise ValueError(f"'image' brings its own vLLM; remove '{other}', or 'image'")
        for name in ("runtime", "container_args"):
            if self.image is None and name in self.model_fields_set:
                raise ValueError(f"'{name}' has no effect without 'image'; remove it")
        return self

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
