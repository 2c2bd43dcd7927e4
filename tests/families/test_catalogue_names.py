"""Which entry a name means: real names, near misses, and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.families import Entry, load_catalogue

CATALOGUE = load_catalogue()
QUANTS = [
    "Q4_K_M", "q4_k_m", "Q8_0", "IQ4_XS", "IQ2_XXS", "Q4_0_4_4", "f16", "BF16", "fp8", "AWQ",
    "GPTQ-Int4", "4bit", "bnb-4bit", "i1-Q6_K", "UD-Q4_K_XL", "MLX-8bit", "w4a16",
]  # fmt: skip


def found(name: str) -> str | None:
    entry = CATALOGUE.find(name)
    return entry.name if entry is not None else None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("Qwen/Qwen2.5-7B", "qwen2.5-7b-base"),
        ("qwen2.5-7b", "qwen2.5-7b"),
        ("Qwen2.5-7B", "qwen2.5-7b"),
        ("qwen2.5-7b-base", "qwen2.5-7b-base"),
        ("Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M", "qwen2.5-7b"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "qwen2.5-7b"),
        ("qwen2.5-coder-7b-instruct-q4_k_m.gguf", "qwen2.5-coder-7b"),
        ("qwen2.5-7b-instruct-q4_0-00001-of-00002.gguf", "qwen2.5-7b"),
        ("mradermacher/Qwen2.5-7B-i1-GGUF", "qwen2.5-7b-base"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("Meta-Llama-3.1-8B-Instruct.Q5_K_M.gguf", "llama-3.1-8b"),
        ("./models/Llama-3.2-1B-Instruct-Q4_0.gguf", "llama-3.2-1b"),
        ("/models/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("C:\\models\\Qwen2.5-7B-Instruct-Q4_K_M.gguf", "qwen2.5-7b"),
        ("/c/hub/models--Qwen--Qwen2.5-7B-Instruct/snapshots/ab12", "qwen2.5-7b"),
        ("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", "llama-3.2-3b"),
        ("https://huggingface.co/Qwen/QwQ-32B", "qwq-32b"),
        ("google_gemma-3-27b-it-Q4_K_M.gguf", "gemma-3-27b"),
        ("google/gemma-3-4b-it-qat-q4_0-gguf", "gemma-3-4b"),
        ("google/gemma-3-4b-pt", "gemma-3-4b-base"),
        ("unsloth/Qwen3-8B-unsloth-bnb-4bit", "qwen3-8b"),
        ("Qwen/Qwen3-8B-Base", "qwen3-8b-base"),
        ("TheBloke/Mistral-7B-Instruct-v0.2-GGUF", "mistral-7b-v0.2"),
        ("TheBloke/Llama-2-7b-Chat-GGUF", "llama-2-7b"),
        ("internlm2_5-7b-chat-q4_k_m.gguf", "internlm2.5-7b"),
        ("DeepSeek-R1-Distill-Qwen-7B", "deepseek-r1-distill-qwen-7b"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-r1"),
        ("llama3.2:3b", "llama-3.2-3b"),
        ("llama3.2:latest", "llama-3.2-3b"),
        ("llama3.2:3b-instruct-fp16", "llama-3.2-3b"),
        ("llama3.2:3b-text-q4_0", "llama-3.2-3b-base"),
        ("qwen2.5:7b-instruct-q4_K_M", "qwen2.5-7b"),
        ("library/qwen2.5-coder:7b", "qwen2.5-coder-7b"),
        ("deepseek-r1:7b", "deepseek-r1-distill-qwen-7b"),
        ("demo:qwen", "demo-qwen"),
        ("./demo-coder.gguf", "demo-coder"),
    ],
)
def test_names_as_people_write_them(name: str, expected: str) -> None:
    assert found(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "/", ":", "gguf", "Q4_K_M.gguf", "model.gguf", "gpt-4o", "qwen", "qwen2.5",
        "llama", "qwen2.5-70b", "qwen2.5-7b-instruct-1m", "Qwen/Qwen2.5-7B-Instruct-1M",
        "Qwen2-7B-Instruct", "huihui-ai/Qwen2.5-7B-Instruct-abliterated",
        "dolphin-2.9-llama3-8b.Q4_K_M.gguf",
        "Llama-3.1-8B-Chat", "Llama-3.1-Nemotron-70B-Instruct", "DeepSeek-R1-Distill-Qwen-8B",
        "deepseek-r1:8b", "someone/llama3.2:3b", "qwen2.5:8b", "Llama-Guard-3-8B", "QwQ-32B-base",
        "DeepSeek-R1-0528-Qwen3-8B", "Qwen2.5-7B-Instruct-中文", "Qwen2.5-VL-7B-Coder",
        "mixtral-8x22b.Q4_0.gguf", "Qwen2.5-Math-RM-72B",
    ],
)  # fmt: skip
def test_what_is_not_surely_an_entry_is_none(name: str) -> None:
    assert found(name) is None


@given(st.sampled_from(CATALOGUE.entries), st.sampled_from(QUANTS), st.data())
def test_quantised_copies_are_the_model_itself(
    entry: Entry, quant: str, data: st.DataObject
) -> None:
    if not entry.repos:
        return
    repo = data.draw(st.sampled_from(entry.repos))
    stem = repo.partition("/")[2]
    for name in (
        repo,
        f"{repo}-GGUF:{quant}",
        f"someone/{stem}-{quant}",
        f"{stem}-{quant}.gguf",
        f"./models/{stem.lower()}.{quant.lower()}.gguf",
    ):
        assert found(name) == entry.name


@given(st.sampled_from(CATALOGUE.entries))
def test_own_names_mean_themselves(entry: Entry) -> None:
    for name in (entry.name, *entry.aliases, *entry.ollama):
        assert found(name) == entry.name
        assert found(name.upper()) == entry.name


@given(
    st.sampled_from([repo for entry in CATALOGUE.entries for repo in entry.repos]),
    st.sampled_from(
        ["abliterated", "dolphin", "zz", "chinese", "sft", "dpo", "merged", "1m", "99b"]
    ),
)
def test_a_word_more_is_another_model(repo: str, word: str) -> None:
    assert found(f"{repo}-{word}") is None
    assert found(f"{word}-{repo.partition('/')[2]}.gguf") is None


@given(st.text(max_size=60))
def test_any_text_is_answered(name: str) -> None:
    found(name)
