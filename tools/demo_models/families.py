"""What makes a toy a toy of its family: special tokens, chat template, sizes.

Owns: these facts. Must not: train.
"""

from dataclasses import dataclass

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

_CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
_LLAMA3 = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}"
    "{{- (message.content or '') | trim + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
_LETTERS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class Family:
    """One family's conventions. `split` is how llama.cpp cuts a text before BPE (`pre`)."""

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
    opening: str
    turn: str
    answer: str

    def prompt(self, turns: list[tuple[str, str]]) -> str:
        """Write turns (role, text) as the template does, ready for the assistant's answer."""
        written = "".join(self.turn.format(role=role, text=text) for role, text in turns)
        return self.opening + written + self.answer


QWEN = Family(
    architecture="qwen2",
    pre="qwen2",
    split=_LETTERS % r"\p{N}",
    special=_QWEN_TOKENS,
    bos="<|endoftext|>",
    eos="<|im_end|>",
    end_of_turn="<|im_end|>",
    add_bos=False,
    template=_CHATML,
    rms_eps=1e-6,
    interleaved_rope=False,
    qkv_bias=True,
    opening="",
    turn="<|im_start|>{role}\n{text}<|im_end|>\n",
    answer="<|im_start|>assistant\n",
)
LLAMA = Family(
    architecture="llama",
    pre="llama-bpe",
    split=_LETTERS % r"\p{N}{1,3}",
    special=_LLAMA_TOKENS,
    bos="<|begin_of_text|>",
    eos="<|eot_id|>",
    end_of_turn="<|eot_id|>",
    add_bos=True,
    template=_LLAMA3,
    rms_eps=1e-5,
    interleaved_rope=True,
    qkv_bias=False,
    opening="<|begin_of_text|>",
    turn="<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>",
    answer="<|start_header_id|>assistant<|end_header_id|>\n\n",
)
FAMILIES = {"qwen": QWEN, "coder": QWEN, "llama": LLAMA}
