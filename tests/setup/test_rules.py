"""Which rules follow from which models, with the catalogue's real facts."""

import pytest

from engines.families import load_catalogue
from engines.weights import GgufHeader
from gateway.setup.draft import draft
from gateway.setup.rules import Rule, rules_for
from gateway.setup.sources import Listed, Server, Sources, WeightsFile

CATALOGUE = load_catalogue()
SMALL, LARGE = "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-72B-Instruct"
CODER = "Qwen/Qwen2.5-Coder-32B-Instruct"
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"


def rules(*models: str | Listed) -> tuple[Rule, ...]:
    listed = tuple(m if isinstance(m, Listed) else Listed(m) for m in models)
    sources = Sources((Server("http://gpu1:8000/v1", listed),))
    return rules_for(draft(sources, CATALOGUE).models)


def uses(*models: str | Listed) -> dict[str, tuple[str, ...]]:
    return {rule.name: rule.use for rule in rules(*models)}


def test_one_model_has_one_rule() -> None:
    assert uses("anything") == {"default": ("anything",)}


def test_the_default_puts_generalists_then_the_unknown_then_specialists() -> None:
    order = uses(CODER, "acme/mystery", SMALL, LARGE)["default"]
    assert order == ("qwen2.5-72b", "qwen2.5-7b", "mystery", "qwen2.5-coder-32b")


def test_code_goes_to_a_coder_and_falls_back_to_the_default() -> None:
    assert uses(LARGE, CODER)["code"] == ("qwen2.5-coder-32b", "qwen2.5-72b")


def test_models_made_for_code_come_before_those_that_are_also_good_at_it() -> None:
    found = uses(SMALL, "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", CODER)
    assert found["code"][:2] == ("qwen2.5-coder-32b", "deepseek-r1-distill-qwen-32b")


def test_one_reasoner_takes_mathematics_and_reasoning_in_one_rule() -> None:
    found = rules(LARGE, "Qwen/QwQ-32B")
    hard = next(rule for rule in found if rule.name == "hard")
    assert hard.when == {"task": ["math", "reasoning"]}
    assert hard.use == ("qwq-32b", "qwen2.5-72b")


def test_a_model_for_mathematics_takes_only_that() -> None:
    found = uses(LARGE, "Qwen/QwQ-32B", "Qwen/Qwen2.5-Math-7B-Instruct")
    assert found["math"][:2] == ("qwen2.5-math-7b", "qwq-32b")
    assert found["reasoning"][0] == "qwq-32b"
    assert "hard" not in found


def test_images_go_only_to_those_that_see() -> None:
    found = rules(LARGE, "Qwen/Qwen2.5-VL-7B-Instruct")
    assert (found[0].name, found[0].when) == ("images", {"images": True})
    assert found[0].use == ("qwen2.5-vl-7b",)


def test_a_file_of_a_model_that_sees_takes_no_images() -> None:
    """Our own workers read text only."""
    header = GgufHeader("gemma3", None, 131_072, 4_000_000_000, None, has_chat_template=True)
    files = (WeightsFile("./gemma-3-4b-it-Q4_K_M.gguf", header),)
    sources = Sources((Server("http://gpu1:8000/v1", (Listed(LARGE),)),), (), files)
    found = draft(sources, CATALOGUE).models
    assert found[1].name == "gemma-3-4b"
    assert [rule.name for rule in rules_for(found)] == ["default"]


def test_other_tongues_go_to_the_model_with_the_most_languages() -> None:
    found = rules(LLAMA, SMALL)
    by_name = {rule.name: rule for rule in found}
    spoken = CATALOGUE.find("llama-3.3-70b")
    assert spoken is not None
    assert by_name["other tongue"].when == {"language": {"not": list(spoken.languages or ())}}
    assert by_name["other tongue"].use == ("qwen2.5-7b", "llama-3.3-70b")
    assert by_name["unsure"].when == {"language": "undecided"}
    assert by_name["unsure"].use == by_name["other tongue"].use


def test_no_rule_for_tongues_where_the_default_has_the_most_or_nobody_says() -> None:
    assert "other tongue" not in uses(LARGE, SMALL)
    assert "other tongue" not in uses("google/gemma-3-27b-it", SMALL)


def test_large_requests_go_to_the_largest_context_where_it_differs() -> None:
    found = rules(Listed(LARGE, context_tokens=8_192), Listed(SMALL, context_tokens=65_536))
    long = next(rule for rule in found if rule.name == "long")
    assert (long.when, long.use[0]) == ({"request_size": "large"}, "qwen2.5-7b")
    assert "65,536" in long.why
    assert "long" not in uses(LARGE, SMALL)


def test_a_server_that_gives_little_context_of_itself_takes_no_large_requests() -> None:
    """Ollama cuts what is longer than its own setting, silently, whatever the model could take."""
    own = Server("http://a/v1", (Listed(LARGE, context_tokens=8_192),))
    ollama = Server("http://b/v1", (Listed("llama3.3:70b"),), owner="library")
    names = [rule.name for rule in rules_for(draft(Sources((own, ollama)), CATALOGUE).models)]
    assert names == ["default"]


def test_one_model_makes_all_embeddings() -> None:
    """Vectors of two models cannot be compared: no other may stand in."""
    found = uses(SMALL, "Qwen/Qwen3-Embedding-0.6B", "BAAI/bge-m3")
    assert found == {"embeddings": ("qwen3-embedding-0.6b",), "default": ("qwen2.5-7b",)}


def test_without_a_model_for_chat_there_are_no_rules() -> None:
    assert rules("BAAI/bge-m3", "nomic-embed-text") == ()
    assert rules("BAAI/bge-reranker-v2-m3") == ()


@pytest.mark.parametrize("model", [Listed("sql", parent=SMALL), "Qwen/Qwen2.5-7B"])
def test_adapters_and_base_models_are_served_by_name_alone(model: str | Listed) -> None:
    assert uses(SMALL, model) == {"default": ("qwen2.5-7b",)}


def test_base_models_serve_where_there_is_nothing_else() -> None:
    assert uses("Qwen/Qwen2.5-7B") == {"default": ("qwen2.5-7b-base",)}


def test_a_rule_names_four_models_at_most() -> None:
    many = [f"acme/model-{letter}" for letter in "abcdefgh"]
    assert len(uses(*many)["default"]) == 4
    assert "4 are tried at most" in rules(*many)[-1].why
