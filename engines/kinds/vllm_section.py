"""The section of `kind: vllm` in the file: its keys, and which of them exclude each other.

Owns: the keys, their ranges and defaults, and what is told of them.
Must not: know how a replica is started, or what it takes.
"""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from engines.kinds.section import Device, OneOrMore, Seconds, Section
from engines.vllm.arguments import refusals


class VllmSection(Section):
    """What an entry of `engines:` with `kind: vllm` may say."""

    kind: Literal["vllm"] = Field(
        description="A `vllm serve` that Weighbridge runs, in its own environment."
    )
    command: OneOrMore | None = Field(
        None,
        description="The command for vLLM, followed by `serve` and its options; when absent "
        "`vllm` in `venv`, else on the PATH.",
    )
    venv: str | None = Field(
        None, description="The virtual environment that has vLLM (relative to this file)."
    )
    image: str | None = Field(
        None, description="A container image that has vLLM, instead of `command` and `venv`."
    )
    runtime: Literal["docker", "podman"] | None = Field(
        None,
        description="What runs `image`; when absent docker, or podman if only that is installed.",
    )
    container_args: tuple[str, ...] = Field(
        (), description="More options for `docker run`, such as `--volume` of a hub's cache."
    )
    port: int | None = Field(
        None,
        ge=1_024,
        le=65_000,
        description="Loopback port of the first replica, the others get the next ones; for a "
        "single model only. When absent a unix socket in a folder that only the gateway can enter.",
    )
    devices: tuple[Device, ...] | None = Field(
        None,
        description="GPUs that it sees (CUDA_VISIBLE_DEVICES), numbered as by `nvidia-smi`. When "
        "absent and there are several, each replica gets as many as its parallelism needs, those "
        "with room first.",
    )
    tensor_parallel: int | None = Field(
        None, ge=1, description="GPUs over which each layer is split."
    )
    pipeline_parallel: int | None = Field(
        None, ge=1, description="GPUs, or nodes with Ray, over which the layers are distributed."
    )
    data_parallel: int | None = Field(None, ge=1, description="Copies of the model in one server.")
    quantization: str | None = Field(
        None, description="`awq`, `gptq`, `fp8` and so on; from the weights when absent."
    )
    dtype: str | None = Field(
        None, description="Data type of the weights; from the weights when absent."
    )
    context: int | None = Field(
        None, ge=64, description="Context in tokens; when absent the weights' own."
    )
    parallel: int | None = Field(
        None, ge=1, le=4_096, description="Sequences that decode at once; vLLM's own when absent."
    )
    max_waiting: int | None = Field(
        None,
        ge=1,
        description="Requests that a replica queues beyond those (256 if it has no `parallel`); "
        "more are refused, and go to the next model of their rule.",
    )
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="Share of a GPU's memory to use; vLLM's default is 0.92."
    )
    kv_type: str | None = Field(
        None, description="Data type of the KV cache (`fp8`); that of the weights when absent."
    )
    prefix_cache: bool | None = Field(
        None, description="Whether prefix caching is on; vLLM decides when absent."
    )
    priority: bool = Field(
        True, description="Whether a request's `priority` (lower first) orders its queue."
    )
    tool_parser: str | None = Field(
        None,
        description="vLLM's tool call parser; when absent that of the model's family, `none` for "
        "none.",
    )
    reasoning_parser: str | None = Field(
        None, description="vLLM's reasoning parser; when absent the family's, `none` for none."
    )
    sleep_mode: bool = Field(
        False,
        description="Whether it can release its GPU memory without stopping (not on a CPU): if "
        "others need that memory, and `residency.memory` has room for its weights in `ram`, it is "
        "put to sleep instead of stopped, and wakes faster than it would start.",
    )
    extra_args: tuple[str, ...] = Field(
        (), description="More options for `vllm serve`, such as `--kv-transfer-config=...`."
    )
    environment: dict[str, str] = Field(
        default_factory=dict, description="Environment variables for it, besides the gateway's own."
    )
    start_timeout_s: Seconds = Field(900, description="Seconds a replica may take to load.")
    drain_timeout_s: Seconds = Field(
        30, description="Seconds that running requests have to finish when a replica stops."
    )

    @field_validator("extra_args")
    @classmethod
    def _extra_can_be_passed(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        why = next(refusals(given), None)
        if why is not None:
            raise ValueError(why)
        return given

    @model_validator(mode="after")
    def _one_way_to_call_it(self) -> Self:
        ways = [name for name in ("command", "venv", "image") if getattr(self, name) is not None]
        if len(ways) > 1 and "image" in ways:
            other = next(name for name in ways if name != "image")
            raise ValueError(f"'image' brings its own vLLM; remove '{other}', or 'image'")
        for name in ("runtime", "container_args"):
            if self.image is None and name in self.model_fields_set:
                raise ValueError(f"'{name}' has no effect without 'image'; remove it")
        return self
