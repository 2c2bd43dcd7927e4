"""Which source of a fact wins."""

from typing import Any

from gateway.config.schema import RoutingFile
from gateway.domain import ModelFacts
from gateway.selection.facts import NoFacts, facts_of, merged


class Book:
    """A catalogue of two entries."""

    def facts_for(self, name: str) -> ModelFacts | None:
        known = {
            "Qwen/Qwen2.5-7B-Instruct": ModelFacts(family="qwen2.5", context_tokens=32_768),
            "llama-3.1-8b": ModelFacts(family="llama-3.1", embeddings=False),
        }
        return known.get(name)


def file_of(models: dict[str, dict[str, Any]], context: int | None = None) -> RoutingFile:
    engines = {"e": {"kind": "llamacpp", "context": context}, "f": {"kind": "llamacpp"}}
    return RoutingFile.model_validate({"engines": engines, "models": models})


def test_the_name_the_upstream_name_and_the_catalogue_key_are_asked() -> None:
    facts = facts_of(
        file_of(
            {
                "llama-3.1-8b": {"engine": "e"},
                "mine": {"engine": "e", "upstream_model": "Qwen/Qwen2.5-7B-Instruct"},
                "yours": {"engine": "e", "catalogue": "llama-3.1-8b"},
                "other": {"engine": "e"},
            }
        ),
        Book(),
    )
    families = {name: known.family for name, known in facts.items()}
    assert families == {
        "llama-3.1-8b": "llama-3.1",
        "mine": "qwen2.5",
        "yours": "llama-3.1",
        "other": None,
    }


def test_the_file_wins_over_the_catalogue() -> None:
    models: dict[str, dict[str, Any]] = {
        "llama-3.1-8b": {"engine": "e", "context": 2_048, "embeddings": True}
    }
    facts = facts_of(file_of(models), Book())["llama-3.1-8b"]
    assert (facts.family, facts.context_tokens, facts.embeddings) == ("llama-3.1", 2_048, True)


def test_the_engines_context_holds_where_the_model_names_none() -> None:
    models: dict[str, dict[str, Any]] = {"a": {"engine": ["f", "e"]}, "b": {"engine": "f"}}
    facts = facts_of(file_of(models, context=4_096), NoFacts())
    assert (facts["a"].context_tokens, facts["b"].context_tokens) == (4_096, None)


def test_a_known_no_is_not_a_gap() -> None:
    assert merged(ModelFacts(embeddings=False), ModelFacts(embeddings=True)).embeddings is False
    assert merged(ModelFacts(), ModelFacts(languages=("en",))).languages == ("en",)
