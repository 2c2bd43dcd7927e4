"""What makes a toy a toy of its family: special tokens, chat template, sizes.

Owns: these facts. Must not: train.
"""

from dataclasses import dataclass, replace

from tools.demo_models.reading import TEMPLATES

_QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
_LLAMA_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|finetune_right_pad_id|>",
)

_LETTERS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class Family:
    """One family's conventions, and what its toy is taught.

    `split` is how llama.cpp cuts a text before BPE (`pre`); `context` is in tokens. A toy may
    learn to call functions, to think before some answers, to fill gaps in code: the last three say
    what the packaged weights know, and whoever changes them trains anew.
    """

    architecture: str
    pre: str
    split: str
    special: tuple[str, ...]
    bos: str
    eos: str
    end_of_turn: str
    add_bos: bool
    template: str
    rms_eps: float
    interleaved_rope: bool
    qkv_bias: bool
    context: int = 2_048
    calls: bool = False
    thinks: bool = False
    fills: bool = False


def _template(*names: str) -> str:
    return "".join((TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8") for name in names)


CODER = Family(
    architecture="qwen2",
    pre="qwen2",
    split=_LETTERS % r"\p{N}",
    special=_QWEN_TOKENS,
    bos="<|endoftext|>",
    eos="<|im_end|>",
    end_of_turn="<|im_end|>",
    add_bos=False,
    template=_template("chatml"),
    rms_eps=1e-6,
    interleaved_rope=False,
    qkv_bias=True,
    context=4_096,
    calls=True,
    fills=True,
)
QWEN = replace(CODER, template=_template("chatml", "thoughtless"), thinks=True, fills=False)
LLAMA = Family(
    architecture="llama",
    pre="llama-bpe",
    split=_LETTERS % r"\p{N}{1,3}",
    special=_LLAMA_TOKENS,
    bos="<|begin_of_text|>",
    eos="<|eot_id|>",
    end_of_turn="<|eot_id|>",
    add_bos=True,
    template=_template("llama3"),
    rms_eps=1e-5,
    interleaved_rope=True,
    qkv_bias=False,
    context=4_096,
    calls=True,
)
FAMILIES = {"qwen": QWEN, "coder": CODER, "llama": LLAMA}
