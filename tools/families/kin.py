"""The table of families: which toy stands for each, and what is official of it.

Owns: the table. Families and architectures are the catalogue's (`engines.families`).
Must not: run anything.
"""

from dataclasses import dataclass
from typing import Literal

# Why llama.cpp does not run an architecture of the catalogue; in its own words.
NOT_LOADED = {"mllama": "unknown model architecture: 'mllama'"}


@dataclass(frozen=True, slots=True)
class Official:
    """A template that comes with llama.cpp, and how a model speaks that was trained on it.

    `form` and `opening` are the dialect's: how it writes calls, what opens a thought. `tools` says
    who tells the model of tools: the template, or we in a system prompt.
    """

    file: str
    form: str = "plain"
    opening: str | None = None
    tools: Literal["template", "us"] = "template"


@dataclass(frozen=True, slots=True)
class Kin:
    """A family in one architecture. `vocabularies` and `templates` are those of llama.cpp's."""

    family: str
    toy: str
    vocabularies: tuple[str, ...] = ()
    templates: tuple[Official, ...] = ()


_THINK = "<think>"


def _llama(version: str) -> Official:
    return Official(f"meta-llama-Llama-{version}-Instruct", "llama")


KIN = (
    Kin("qwen2.5", "qwen2", ("qwen2",), (Official("Qwen-Qwen2.5-7B-Instruct", "hermes"),)),
    Kin("qwen2.5", "qwen2vl", ("qwen2",)),
    Kin("qwen2-moe", "qwen2moe", ("qwen2",)),
    Kin("qwq", "qwen2", ("qwen2",), (Official("Qwen-QwQ-32B", "hermes", _THINK),)),
    Kin("qwen3", "qwen3", ("qwen2",), (Official("Qwen-Qwen3-0.6B", "hermes", _THINK),)),
    Kin("qwen3", "qwen3moe", ("qwen2",), (Official("Qwen3-Coder", "qwen-xml"),)),
    Kin("llama-2", "llama-2", ("llama-spm",)),
    Kin("llama-3", "llama-3", ("llama-bpe",)),
    Kin("llama-3.1", "llama-3", ("llama-bpe",), (_llama("3.1-8B"),)),
    Kin("llama-3.2", "llama-3", ("llama-bpe",), (_llama("3.2-3B"),)),
    Kin("llama-3.2", "mllama", ("llama-bpe",)),
    Kin("llama-3.3", "llama-3", ("llama-bpe",), (_llama("3.3-70B"),)),
    Kin("llama-4", "llama-4"),
    Kin("deepseek", "deepseek-v2-lite", ("deepseek-llm", "deepseek-coder")),
    Kin(
        "deepseek",
        "deepseek-v3",
        (),
        (
            Official("llama-cpp-deepseek-r1", "deepseek", _THINK),
            Official("deepseek-ai-DeepSeek-V3.1", "deepseek-bare", _THINK, "us"),
        ),
    ),
    Kin(
        "deepseek-r1-distill",
        "qwen2",
        ("qwen2",),
        (Official("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek", _THINK, "us"),),
    ),
    Kin(
        "deepseek-r1-distill",
        "llama-3",
        ("llama-bpe",),
        (Official("deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek", _THINK, "us"),),
    ),
    Kin("mistral", "mistral-7b"),
    Kin(
        "mistral",
        "mistral-nemo",
        (),
        (
            Official("mistralai-Mistral-Nemo-Instruct-2407", "mistral"),
            Official("Mistral-Small-3.2-24B-Instruct-2506", "mistral-args"),
            Official("unsloth-mistral-Devstral-Small-2507", "mistral-args"),
            Official("mistralai-Ministral-3-14B-Reasoning-2512", "mistral-args", "[THINK]"),
        ),
    ),
    Kin("mixtral", "mixtral"),
    Kin("yi", "yi"),
    Kin("internlm", "internlm2"),
    Kin("baichuan", "baichuan-7b", ("baichuan",)),
    Kin("baichuan", "baichuan-13b", ("baichuan",)),
    Kin("falcon", "falcon-7b", ("falcon",)),
    Kin("falcon", "falcon-40b", ("falcon",)),
    Kin("falcon", "falcon3"),
    Kin("gemma", "gemma2", (), (Official("google-gemma-2-2b-it", "hermes", tools="us"),)),
    Kin("gemma", "gemma3"),
)  # fmt: skip

# Templates of models that are in no family of ours, and speak in a way that we read.
NEIGHBOURS = (
    *(Official(f"deepseek-ai-DeepSeek-{v}", "dsml", _THINK) for v in ("V3.2", "V4")),
    *(Official(f"GLM-{version}", "glm", _THINK) for version in ("4.6", "4.7-Flash")),
    *(
        Official(f"google-gemma-4-31B-it{v}", "gemma", "<|channel>thought")
        for v in ("", "-interleaved")
    ),
    *(Official(f"ibm-granite-granite-{version}", "hermes") for version in ("4.0", "4.1")),
    *(
        Official(name, "cohere", "<|START_THINKING|>")
        for name in ("Cohere2MoE", "CohereForAI-c4ai-command-r7b-12-2024-tool_use")
    ),
    Official("ByteDance-Seed-OSS", "seed", "<seed:think>"),
    Official("HuggingFaceTB-SmolLM3-3B", "hermes", _THINK, "us"),
    Official("ibm-granite-granite-3.3-2B-Instruct", "granite", _THINK),
    Official("LFM2-8B-A1B", "lfm"),
    *(Official(f"LFM2.5-{size}", "lfm", _THINK) for size in ("8B-A1B", "Instruct")),
    Official("meetkai-functionary-medium-v3.1", "functionary"),
    Official("meetkai-functionary-medium-v3.2", "recipients"),
    Official("Kimi-K2-Thinking", "kimi", _THINK),
    Official("microsoft-Phi-3.5-mini-instruct", "hermes", tools="us"),
    Official("MiniMax-M2", "minimax", _THINK),
    Official("moonshotai-Kimi-K2", "kimi"),
    Official("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen-xml", _THINK),
    Official("openai-gpt-oss-120b", "harmony", "<|channel|>analysis<|message|>"),
    Official("Qwen3.5-4B", "qwen-xml", _THINK),
    Official("StepFun3.5-Flash", "qwen-xml", _THINK),
)
