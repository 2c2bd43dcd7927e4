"""The forms of a `weights:` value, told apart without looking at any file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.weights import WeightsProblem
from engines.weights.references import Demo, HubRepo, Local, WebFile, read_reference

SHA = "0123456789abcdef" * 4
QWEN = "Qwen/Qwen2.5-7B-Instruct-GGUF"
URL = "https://h.example/d/x%20y.gguf?a=b"


@pytest.mark.parametrize(
    ("weights", "meant"),
    [
        ("demo:qwen", Demo("qwen")),
        ("x.gguf", Local("x.gguf")),
        ("./o/r", Local("./o/r")),
        ("~/o/r", Local("~/o/r")),
        ("/o/r", Local("/o/r")),
        ("models/x.gguf", Local("models/x.gguf")),
        ("a/b/c", Local("a/b/c")),
        ("o/r", HubRepo("o/r")),
        (f"{QWEN}:Q4_K_M", HubRepo(QWEN, pick="Q4_K_M")),
        ("o/r:dir/x-q4_0.gguf", HubRepo("o/r", pick="dir/x-q4_0.gguf")),
        ("o/r@v1.0:Q8_0", HubRepo("o/r", "v1.0", "Q8_0")),
        ("hf://o/r:Q8_0", HubRepo("o/r", pick="Q8_0")),
        ("hf.co/o/r:Q8_0", HubRepo("o/r", pick="Q8_0")),
        ("https://huggingface.co/o/r", HubRepo("o/r")),
        ("https://hf.co/o/r/tree/v2", HubRepo("o/r", "v2")),
        ("https://huggingface.co/o/r/blob/main/d/x.gguf", HubRepo("o/r", pick="d/x.gguf")),
        (f"{URL}#sha256={SHA.upper()}", WebFile(URL, SHA, "x y.gguf")),
    ],
)
def test_the_form_tells_what_is_meant(weights: str, meant: object) -> None:
    assert read_reference(weights) == meant


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("https://h.example/x.gguf", "write https://h.example/x.gguf#sha256=DIGEST"),
        ("https://h.example/x.gguf#sha256=abc", "needs the file's checksum"),
        (f"http://h.example/x.gguf#sha256={SHA}", "over https only"),
        (f"https://u:secret@h.example/x.gguf#sha256={SHA}", "must not contain a password"),
        (f"https://h.example/x.bin#sha256={SHA}", "names no GGUF file"),
        (f"https://h.example/a%2fx.gguf#sha256={SHA}", "names no GGUF file"),
        (f"https://[x/x.gguf#sha256={SHA}", "is not a URL"),
        ("https://huggingface.co/datasets/o/r/x", "is not a model's page"),
    ],
)
def test_a_url_that_cannot_be_used_says_how_to_write_it(weights: str, words: str) -> None:
    with pytest.raises(WeightsProblem) as caught:
        read_reference(weights)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


WORD = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,8}[A-Za-z0-9]\Z").filter(
    lambda word: not word.lower().endswith((".gguf", ".safetensors"))
)


@given(owner=WORD, name=WORD, pick=st.none() | WORD)
def test_a_hub_name_reads_as_it_is_written(owner: str, name: str, pick: str | None) -> None:
    reference = HubRepo(f"{owner}/{name}", pick=pick)
    assert read_reference(str(reference)) == reference
