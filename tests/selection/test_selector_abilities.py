"""Who is chosen for embeddings, ranks, text, images and tools."""

from typing import Any

import pytest

from gateway.domain import Endpoint, ModelFacts
from gateway.errors import CapabilityMissing
from tests.support.choosing import ALL, FACTS, MODELS, choose, weighed


def test_embeddings_go_to_a_model_that_makes_them() -> None:
    routes: list[dict[str, Any]] = [{"name": "r", "use": ["big", "tiny"]}]
    choice = choose(routes, endpoint=Endpoint.EMBEDDINGS, facts={**FACTS, "big": FACTS["tiny"]})
    assert choice.models == ("embedder",)


def test_embeddings_of_a_named_model_that_makes_none_are_refused_with_those_that_do() -> None:
    with pytest.raises(CapabilityMissing, match=r"'tiny' makes no embeddings.*embedder") as caught:
        choose([ALL], "tiny", endpoint=Endpoint.EMBEDDINGS)
    assert caught.value.status == 400


def test_embeddings_of_a_model_of_which_nothing_is_known_are_tried() -> None:
    assert choose([ALL], "big", endpoint=Endpoint.EMBEDDINGS).models == ("big",)


def test_embeddings_where_no_model_makes_them_are_refused() -> None:
    facts = dict.fromkeys(MODELS, ModelFacts(embeddings=False))
    with pytest.raises(CapabilityMissing, match="No model here makes embeddings"):
        choose([ALL], "auto", endpoint=Endpoint.EMBEDDINGS, facts=facts)


def test_ranks_are_given_by_a_head_for_it_else_by_likeness_else_by_whoever_may() -> None:
    heads = {**FACTS, "coder": ModelFacts(reranks=True)}
    for endpoint in (Endpoint.RERANK, Endpoint.SCORE):
        assert choose([ALL], endpoint=endpoint, facts=heads).models == ("coder",)
        assert choose([ALL], endpoint=endpoint).models == ("embedder",)
        assert choose([ALL], endpoint=endpoint, facts={}).models == MODELS


def test_a_model_that_cannot_rank_is_refused_with_those_that_can() -> None:
    facts = {**FACTS, "tiny": ModelFacts(reranks=False, embeddings=False)}
    with pytest.raises(CapabilityMissing, match=r"'tiny' ranks nothing. .* embedder\."):
        choose([ALL], "tiny", endpoint=Endpoint.RERANK, facts=facts)
    nobody = dict.fromkeys(MODELS, facts["tiny"])
    with pytest.raises(CapabilityMissing, match=r"No model here ranks .*`reranks: true`"):
        choose([ALL], "auto", endpoint=Endpoint.SCORE, facts=nobody)


def test_text_is_asked_of_models_that_generate() -> None:
    facts = {**FACTS, "embedder": ModelFacts(embeddings=True, generates=False)}
    choice = choose([ALL], facts=facts)
    assert choice.models == ("tiny", "big", "coder")
    assert "embedder is left out: it generates no text" in choice.reasons
    with pytest.raises(CapabilityMissing, match=r"'embedder' generates no text\. Ask one"):
        choose([ALL], "embedder", facts=facts)


def test_images_go_to_models_that_read_them_where_there_are_any() -> None:
    seeing = {**FACTS, "coder": ModelFacts(vision=True)}
    assert choose([ALL], what=weighed(images=True), facts=seeing).models == ("coder",)
    assert choose([ALL], what=weighed(images=True)).models == MODELS


def test_tools_go_to_models_that_are_not_known_to_call_none() -> None:
    facts = {**FACTS, "tiny": ModelFacts(tools=False), "coder": ModelFacts(tools=True)}
    choice = choose([ALL], what=weighed(tools=True), facts=facts)
    assert choice.models == ("big", "coder", "embedder")
    assert "tiny is left out: it does not call tools" in choice.reasons
    assert choose([ALL], facts=facts).models[0] == "tiny"
    none = dict.fromkeys(MODELS, ModelFacts(tools=False))
    assert choose([ALL], what=weighed(tools=True), facts=none).models == MODELS
