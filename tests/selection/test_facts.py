"""Which source of a fact wins, and what an engine makes of it."""

from pathlib import Path
from typing import Any

import pytest

from engines.weights import resolve
from gateway.catalogue import CatalogueFacts
from gateway.config.loading import parse_config
from gateway.config.schema import RoutingFile
from gateway.domain import LicenceTerms, ModelFacts
from gateway.known import gather_facts
from gateway.selection.facts import facts_of, merged
from tests.support.gguf_files import GgufFile, number, string


class Book:
    """A catalogue of two entries."""

    def facts_for(self, name: str) -> ModelFacts | None:
        known = {
            "Qwen/Qwen2.5-7B-Instruct": ModelFacts(
                family="qwen2.5", parameters=7_000_000_000, context_tokens=32_768, vision=True
            ),
            "llama-3.1-8b": ModelFacts(family="llama-3.1", embeddings=False),
        }
        return known.get(name)


class Nothing:
    """A catalogue without entries."""

    def facts_for(self, name: str) -> ModelFacts | None:  # noqa: ARG002 - the protocol names it
        return None


class Licences:
    """A catalogue that knows licences by name."""

    def __init__(self, terms: dict[str, LicenceTerms]) -> None:
        self._terms = terms

    def facts_for(self, name: str) -> ModelFacts | None:
        terms = self._terms.get(name)
        if terms is None:
            return None
        return ModelFacts(family=name, context_tokens=4_096, licence=terms)


def file_of(models: dict[str, dict[str, Any]], context: int | None = None) -> RoutingFile:
    engines = {
        "e": {"kind": "llamacpp", "context": context},
        "f": {"kind": "llamacpp"},
        "lab": {"kind": "remote", "url": "http://lab/v1"},
    }
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
        {},
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
        "llama-3.1-8b": {"engine": "e", "context": 4_096, "embeddings": True}
    }
    facts = facts_of(file_of(models), {}, Book())["llama-3.1-8b"]
    assert (facts.family, facts.context_tokens, facts.embeddings) == ("llama-3.1", 4_096, True)


def test_the_engines_context_holds_where_the_model_names_none() -> None:
    models: dict[str, dict[str, Any]] = {"a": {"engine": ["f", "e"]}, "b": {"engine": "f"}}
    facts = facts_of(file_of(models, context=4_096), {}, Nothing())
    assert (facts["a"].context_tokens, facts["b"].context_tokens) == (4_096, None)


def test_the_file_wins_over_the_weights_and_the_weights_over_the_catalogue() -> None:
    told = ModelFacts(parameters=1_000_000, context_tokens=4_096, embeddings=True)
    known = {"weights": "Qwen/Qwen2.5-7B-Instruct", "engine": "f"}
    models: dict[str, dict[str, Any]] = {
        "plain": known,
        "stated": known | {"context": 1_024, "embeddings": False},
    }
    facts = facts_of(file_of(models), dict.fromkeys(models, told), Book())
    plain, stated = facts["plain"], facts["stated"]
    assert (plain.family, plain.parameters) == ("qwen2.5", 1_000_000)
    assert (plain.context_tokens, plain.embeddings) == (4_096, True)
    assert (stated.context_tokens, stated.embeddings) == (1_024, False)


@pytest.mark.parametrize(
    ("engine", "context", "expected", "vision"),
    [
        ("lab", None, 32_768, True),
        ("f", None, 16_384, False),
        ("e", 24_000, 24_000, False),
        (["lab", "f"], None, 16_384, False),
        (["lab", "e"], 24_000, 24_000, False),
    ],
)
def test_a_worker_of_ours_takes_less_by_itself_and_reads_no_images(
    engine: str | list[str], context: int | None, expected: int, vision: bool
) -> None:
    models: dict[str, dict[str, Any]] = {
        "m": {"engine": engine, "catalogue": "Qwen/Qwen2.5-7B-Instruct"}
    }
    facts = facts_of(file_of(models, context=context), {}, Book())["m"]
    assert (facts.context_tokens, facts.vision) == (expected, vision)


@pytest.mark.parametrize("engine", ["f", ["lab", "f"]])
def test_a_worker_of_ours_reads_images_with_a_projector(engine: str | list[str]) -> None:
    models: dict[str, dict[str, Any]] = {"m": {"engine": engine, "mmproj": "eyes.gguf"}}
    assert facts_of(file_of(models), {}, Book())["m"].vision is True


def known_of(weights: str, base: Path, name: str = "qwen2.5-7b") -> ModelFacts:
    text = f"engines: {{cpu: {{kind: llamacpp}}}}\nmodels: {{{name}: {{engine: cpu, "
    return gather_facts(parse_config(f"{text}weights: '{weights}'}}}}\n", "test.yaml", {}, base))[
        name
    ]


def test_a_toy_under_a_large_name_is_told_by_its_header(tmp_path: Path) -> None:
    path = resolve("demo:qwen", tmp_path)
    (tmp_path / "qwen2.5-7b-instruct.gguf").write_bytes(path.read_bytes())
    facts = known_of("./qwen2.5-7b-instruct.gguf", tmp_path)
    assert facts.family == "qwen2.5"
    assert facts.parameters is not None
    assert facts.parameters < 2_000_000
    assert facts.active_parameters == facts.parameters
    assert (facts.context_tokens, facts.embeddings) == (4_096, True)


@pytest.mark.parametrize(("trained", "expected"), [(131_072, 16_384), (None, 4_096)])
def test_a_context_is_the_one_that_the_worker_will_take(
    trained: int | None, expected: int, tmp_path: Path
) -> None:
    fields = [string("general.architecture", "qwen2")]
    fields += [] if trained is None else [number("qwen2.context_length", trained)]
    (tmp_path / "x.gguf").write_bytes(GgufFile(fields=fields).bytes())
    assert known_of("./x.gguf", tmp_path).context_tokens == expected


def test_the_first_part_of_several_leaves_the_parameters_to_the_catalogue(tmp_path: Path) -> None:
    fields = [string("general.architecture", "qwen2"), number("split.count", 2)]
    (tmp_path / "x.gguf").write_bytes(GgufFile(fields=fields).bytes())
    parameters = known_of("./x.gguf", tmp_path).parameters
    assert parameters is not None
    assert parameters > 7_000_000_000


def test_a_known_no_is_not_a_gap() -> None:
    assert merged(ModelFacts(embeddings=False), ModelFacts(embeddings=True)).embeddings is False
    assert merged(ModelFacts(), ModelFacts(languages=("en",))).languages == ("en",)


def test_an_adapter_has_its_models_facts_but_a_licence_of_its_own() -> None:
    models: dict[str, dict[str, Any]] = {
        "sql": {"engine": "e", "weights": "x", "adapter_of": "base"},
        "law": {"engine": "e", "weights": "x", "adapter_of": "base", "catalogue": "llama-3.1-8b"},
        "base": {"engine": "e", "weights": "y", "catalogue": "Qwen/Qwen2.5-7B-Instruct"},
    }
    terms = LicenceTerms(licence_class="open")
    own = {"Qwen/Qwen2.5-7B-Instruct": terms, "llama-3.1-8b": LicenceTerms("conditional")}
    facts = facts_of(file_of(models), {}, Licences(own))
    assert facts["base"].licence == terms
    assert facts["sql"].family == facts["law"].family == "Qwen/Qwen2.5-7B-Instruct"
    assert facts["sql"].context_tokens == facts["base"].context_tokens == 4_096
    assert (facts["sql"].licence, facts["sql"].embeddings) == (None, False)
    assert facts["law"].licence == LicenceTerms("conditional")


def test_the_file_says_languages_and_strengths_better_than_the_catalogue() -> None:
    models: dict[str, dict[str, Any]] = {
        "demo-coder": {"engine": "lab"},
        "own": {
            "engine": "lab",
            "upstream_model": "demo-coder",
            "languages": ["de"],
            "strengths": ["math"],
        },
    }
    facts = facts_of(file_of(models), {}, CatalogueFacts())
    assert (facts["demo-coder"].languages, facts["demo-coder"].strengths) == (("en",), ("code",))
    assert (facts["own"].languages, facts["own"].strengths) == (("de",), ("math",))


def test_an_engine_of_ours_gives_tools_to_every_model() -> None:
    models = {"falcon-7b": {"engine": "e"}, "falcon-40b": {"engine": "lab"}, "odd": {"engine": "f"}}
    both = {"both": {"engine": ["e", "lab"], "catalogue": "falcon-7b"}}
    facts = facts_of(file_of(models | both), {}, CatalogueFacts())
    told = {name: known.tools for name, known in facts.items()}
    assert told == {"falcon-7b": True, "falcon-40b": False, "odd": True, "both": False}
