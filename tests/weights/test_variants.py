"""What file names tell of the models in a repository."""

import pytest

from engines.weights import WeightsProblem
from engines.weights.problems import SeveralModels
from engines.weights.variants import SizedFile, Variant, picked, quantisation_of, variants_in


@pytest.mark.parametrize(
    ("path", "quantisation"),
    [
        ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"),
        ("Meta-Llama-3.1-8B-Instruct-IQ4_XS.gguf", "IQ4_XS"),
        ("Llama-3.3-70B-Q6_K/Llama-3.3-70B-Q6_K-00001-of-00002.gguf", "Q6_K"),
        ("UD-Q2_K_XL/model-00001-of-00003.gguf", "UD-Q2_K_XL"),
        ("mistral-7b.Q5_K_S.gguf", "Q5_K_S"),
        ("qwen2.5-0.5b-instruct-fp16.gguf", "F16"),
        ("Qwen3-8B-BF16.gguf", "BF16"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("gemma-3-4b-it-q4_0.gguf", "Q4_0"),
        ("Falcon3-1B-Instruct-1.58bit-TQ2_0.gguf", "TQ2_0"),
        ("ggml-model.gguf", ""),
        ("qwq-32b.gguf", ""),
    ],
)
def test_the_name_says_the_quantisation(path: str, quantisation: str) -> None:
    assert quantisation_of(path) == quantisation


FILES = [
    SizedFile("README.md", 1),
    SizedFile("m-q8_0.gguf", 80),
    SizedFile("m-q4_k_m-00002-of-00002.gguf", 15),
    SizedFile("m-q4_k_m-00001-of-00002.gguf", 30),
    SizedFile("m-q2_k-00001-of-00002.gguf", 20),
    SizedFile("UD-Q4_K_XL/m.gguf", 50),
    SizedFile("mmproj-m-f16.gguf", 5),
    SizedFile("m.imatrix.gguf", 5),
]


def test_parts_are_one_model_and_what_is_none_is_left_out() -> None:
    found = variants_in(FILES)
    assert [(v.quantisation, v.size_bytes, v.missing) for v in found] == [
        ("Q2_K", 20, (2,)),
        ("Q4_K_M", 45, ()),
        ("UD-Q4_K_XL", 50, ()),
        ("Q8_0", 80, ()),
    ]
    assert found[1].first == "m-q4_k_m-00001-of-00002.gguf"


@pytest.mark.parametrize(
    ("pick", "first"),
    [
        ("Q8_0", "m-q8_0.gguf"),
        ("q4_k_m", "m-q4_k_m-00001-of-00002.gguf"),
        ("Q4_K_XL", "UD-Q4_K_XL/m.gguf"),
        ("UD-Q4_K_XL", "UD-Q4_K_XL/m.gguf"),
        ("m-q4_k_m-00002-of-00002.gguf", "m-q4_k_m-00001-of-00002.gguf"),
        ("UD-Q4_K_XL/m.gguf", "UD-Q4_K_XL/m.gguf"),
    ],
)
def test_a_pick_is_a_quantisation_or_a_file(pick: str, first: str) -> None:
    assert picked(variants_in(FILES, pick), pick, "o/r").first == first


@pytest.mark.parametrize("pick", ["mmproj", "mmproj-m-f16", "mmproj-m-f16.gguf"])
def test_a_projector_is_picked_by_its_own_name(pick: str) -> None:
    eyes = [*FILES, SizedFile("more/mmproj.json", 1)]
    assert picked(variants_in(eyes, pick), pick, "o/r").first == "mmproj-m-f16.gguf"


def test_of_several_projectors_one_has_to_be_named() -> None:
    eyes = variants_in([*FILES, SizedFile("mmproj-m-f32.gguf", 9)], "mmproj")
    with pytest.raises(SeveralModels, match="name one: mmproj-m-f16, mmproj-m-f32"):
        picked(eyes, "mmproj", "o/r")
    assert picked(eyes, "mmproj-m-f32", "o/r").first == "mmproj-m-f32.gguf"
    with pytest.raises(WeightsProblem, match="has no mmproj-none"):
        picked(eyes, "mmproj-none", "o/r")


@pytest.mark.parametrize(
    ("files", "pick", "words"),
    [
        (FILES, "Q5_0", "o/r has no Q5_0; it has Q2_K, Q4_K_M, UD-Q4_K_XL, Q8_0"),
        (FILES, None, "o/r has 4 models that this may mean; name one: Q2_K"),
        ([], None, "o/r has no GGUF file with a model in it"),
        (
            [SizedFile("a-q4_0.gguf", 1), SizedFile("b-q4_0.gguf", 2)],
            "Q4_0",
            "name one: a-q4_0.gguf, b-q4_0.gguf",
        ),
        ([SizedFile(f"m{n}.gguf", n) for n in range(20)], None, "m11.gguf and 8 more"),
    ],
)
def test_what_cannot_be_picked_is_said_with_what_there_is(
    files: list[SizedFile], pick: str | None, words: str
) -> None:
    with pytest.raises(WeightsProblem) as caught:
        picked(variants_in(files), pick, "o/r")
    assert words in str(caught.value)


def test_one_model_needs_no_pick() -> None:
    assert picked(variants_in(FILES[1:2]), None, "o/r") == Variant("m-q8_0", "Q8_0", (FILES[1],))
