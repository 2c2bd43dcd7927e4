"""Makes tiny models of the shapes of Qwen2 and Llama; run by the Python that has vLLM.

    python toys.py FOLDER TEXT       # makes FOLDER/qwen2, FOLDER/llama and FOLDER/qwen2-lora

Weights are drawn by chance from a fixed seed: the models babble, and say the same each time at
temperature 0. The vocabulary is learnt from the text.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

VOCABULARY = 2_048
SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    # vLLM's CPU kernels want heads of 32 at least.
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4_096,
    "initializer_range": 0.4,  # so far apart that no two tokens are as likely as each other
}
# The end is now and then the likeliest token: after some dozens of others.
END_WEIGHT, END_SEED = 0.7, 6
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + "
    "'<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Like Llama's own, it trims.
LLAMA3 = (
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}"
    "{{ message.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)


def vocabulary(text: str, special: list[str]) -> Tokenizer:
    """Return a byte-level BPE learnt from a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return tokenizer


def make(
    folder: Path,
    text: str,
    special: list[str],
    template: str,
    build: Callable[[int, int], PreTrainedModel],
) -> None:
    """Write one model's folder."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=vocabulary(text, special), eos_token=special[-1], pad_token=special[0]
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    model = build(len(tokenizer), tokenizer.eos_token_id).to(torch.float32)
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head[[at for at in range(len(tokenizer)) if not is_plain(tokenizer, at)]] = 0
        torch.manual_seed(END_SEED)
        head[tokenizer.eos_token_id] = END_WEIGHT * torch.randn(head.shape[1])
    model.save_pretrained(folder)


def is_plain(tokenizer: PreTrainedTokenizerFast, token: int) -> bool:
    """Say whether a token is a text by itself: neither special nor half a letter."""
    text = tokenizer.decode([token], skip_special_tokens=True)
    return bool(text) and "\N{REPLACEMENT CHARACTER}" not in text


def make_adapter(folder: Path) -> None:
    """Write a LoRA adapter that moves the Qwen2 toy's answers."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(11)
    rank, tensors = 24, {}
    for layer in range(SHAPE["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{name}.lora_A.weight"] = torch.randn(rank, SHAPE["hidden_size"])
        tensors[f"{name}.lora_B.weight"] = torch.randn(SHAPE["hidden_size"], rank)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": ["q_proj"],
        "bias": "none",
        "base_model_name_or_path": "qwen2",
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")


def main() -> None:
    folder, text = Path(sys.argv[1]), Path(sys.argv[2]).read_text(encoding="utf-8")
    make(
        folder / "qwen2",
        text,
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        CHATML,
        lambda words, eos: Qwen2ForCausalLM(
            Qwen2Config(**SHAPE, vocab_size=words, eos_token_id=eos)
        ),
    )
    make(
        folder / "llama",
        text,
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        LLAMA3,
        lambda words, eos: LlamaForCausalLM(
            LlamaConfig(**SHAPE, vocab_size=words, eos_token_id=eos)
        ),
    )
    make_adapter(folder / "qwen2-lora")


if __name__ == "__main__":
    main()
