"""When a count of tokens could change the choice, and what it changes."""

from typing import Any

import pytest

from engines.protocol.decoding import AnyRequest
from engines.protocol.readings import EmbeddingRequest
from engines.protocol.requests import ChatRequest, Message
from gateway.classify.counting import SignCounter
from gateway.classify.tokens import load_vocabularies
from gateway.config.schema import RoutingFile
from gateway.deciding import Decider, Settled, decider_of
from gateway.domain import Asked, Endpoint, ModelFacts
from gateway.errors import ContextLengthExceeded
from gateway.explanation import Explainer
from gateway.selection import Selector

FACTS = {
    "short": ModelFacts(family="qwen3", context_tokens=4_000),
    "long": ModelFacts(family="qwen3", context_tokens=100_000),
}
_WORDS = SignCounter().count("word " * 500).values
TOKENS_PER_WORD = load_vocabularies().of("qwen3").of_text(_WORDS)[0] / 500
LARGE = {"name": "large", "when": {"request_size": {"not": "small"}}, "use": ["long", "short"]}
REST = {"name": "rest", "use": ["short", "long"]}


def file_of(*routes: dict[str, Any], **sizes: Any) -> RoutingFile:
    return RoutingFile.model_validate(
        {
            "engines": {"e": {"kind": "remote", "url": "http://127.0.0.1:1/v1"}},
            "models": {name: {"engine": "e"} for name in FACTS},
            "routes": list(routes),
            "sizes": sizes,
        }
    )


def decider(*routes: dict[str, Any], **sizes: Any) -> Decider:
    file = file_of(*routes, **sizes)
    return decider_of(file, FACTS, Selector(file, FACTS))


def chat(tokens: int, **fields: Any) -> ChatRequest:
    """Return a request whose prompt is estimated to have about so many tokens."""
    return ChatRequest(
        messages=[Message("user", "word " * round(tokens / TOKENS_PER_WORD))], **fields
    )


def settle(asks: Decider, request: AnyRequest, endpoint: Endpoint = Endpoint.CHAT) -> Settled:
    return asks.decide(Asked(request.model, endpoint), asks.weigh(request, ()), {})


def test_a_count_is_wanted_near_a_threshold_at_which_another_model_serves() -> None:
    asks = decider(LARGE, REST)
    near = settle(asks, chat(480))
    assert near.to_count == "short"
    assert settle(asks, chat(10)).to_count is None
    assert settle(asks, chat(2_000)).to_count is None


def test_no_count_is_wanted_where_sizes_decide_nothing() -> None:
    assert settle(decider(REST), chat(480)).to_count is None
    same = {**LARGE, "use": ["short", "long"]}
    assert settle(decider(same, REST), chat(480)).to_count is None


def test_no_count_is_wanted_where_the_file_says_so() -> None:
    assert settle(decider(LARGE, REST, ask_tokenizer=False), chat(480)).to_count is None


def test_a_range_of_prompt_tokens_is_a_threshold_too() -> None:
    rule = {"name": "r", "when": {"prompt_tokens": {"min": 800}}, "use": "long"}
    assert settle(decider(rule, REST), chat(780)).to_count is not None
    assert settle(decider(rule, REST), chat(300)).to_count is None


def test_a_count_settles_the_size_and_with_it_the_rule() -> None:
    asks = decider(LARGE, REST)
    near = settle(asks, chat(480))
    small, medium = asks.counted(near, "short", 499, {}), asks.counted(near, "short", 500, {})
    assert (small.choice.rule, medium.choice.rule) == ("rest", "large")
    assert medium.weighed is not None
    assert medium.weighed.prompt_tokens == 500
    assert any("the engine counted" in reason for reason in medium.weighed.reasons)
    assert medium.to_count is None


def test_a_count_is_wanted_near_the_context_of_the_first_beside_a_longer_model() -> None:
    asks = decider(REST)
    near = settle(asks, chat(3_900))
    assert near.to_count == "short"
    assert asks.counted(near, "short", 3_600, {}).choice.models == ("short", "long")
    assert asks.counted(near, "short", 4_000, {}).choice.models == ("long",)


def test_a_prompt_that_fits_nowhere_is_refused() -> None:
    asks = decider({"name": "r", "use": "short"})
    with pytest.raises(ContextLengthExceeded):
        settle(asks, chat(8_000))
    with pytest.raises(ContextLengthExceeded):
        settle(asks, chat(10, max_tokens=4_000))


def test_a_task_that_the_client_says_is_not_found_out() -> None:
    rule = {"name": "code", "when": {"task": "code"}, "use": "long"}
    settled = settle(decider(rule, REST), chat(10, model="auto:code"))
    assert settled.choice.rule == "code"
    assert settled.weighed is not None
    assert (settled.weighed.task, settled.weighed.task_confidence) == ("code", 1)
    assert settled.weighed.reasons[0] == "task is code: the client asked for auto:code"
    texts = EmbeddingRequest(input="word", model="auto:code")
    assert settle(decider(rule, REST), texts, Endpoint.EMBEDDINGS).choice.rule == "rest"


def test_texts_to_embed_have_a_context_each() -> None:
    texts = EmbeddingRequest(input=["word " * 3_000] * 100)
    settled = settle(decider(), texts, Endpoint.EMBEDDINGS)
    assert settled.choice.models
    assert settled.to_count is None


def named(request: ChatRequest) -> Settled:
    body_bytes = sum(len(message.text()) for message in request.messages) + 50
    return decider().decide_named(Asked(request.model, Endpoint.CHAT), request, body_bytes, {})


def test_a_named_model_is_looked_at_only_where_the_body_is_long() -> None:
    assert named(chat(10, model="short")).bulk is None
    assert named(chat(1_000, model="short")).bulk is not None
    assert named(chat(10_000, model="long")).bulk is None
    with pytest.raises(ContextLengthExceeded):
        named(chat(8_000, model="short"))


def test_what_the_engine_is_to_cut_is_refused_nowhere_and_teaches_nothing() -> None:
    """vLLM's field: the gateway cannot know what will be left of it."""
    long = chat(8_000, model="short", truncate_prompt_tokens=-1)
    settled = named(long)
    assert settled.choice.models == ("short",)
    assert settled.bulk is not None
    assert decider().learn(settled.bulk, "short", 4_000) is None
    text = EmbeddingRequest(input="word " * 30_000, truncate_prompt_tokens=500)
    assert settle(decider(), text, Endpoint.EMBEDDINGS).choice.models


def test_counts_teach_what_later_prompts_take() -> None:
    asks = decider(REST)
    before = settle(asks, chat(3_000)).asked.takes["short"]
    for _ in range(30):
        asks.learn(asks.weigh(chat(3_000), ()).bulk, "short", before.tokens * 2)
    after = settle(asks, chat(1_500)).asked.takes["short"]
    assert after.tokens > 0.8 * before.tokens


@pytest.mark.parametrize(("asks", "rule"), [(True, "large"), (False, "rest")])
def test_an_explanation_counts_as_far_as_a_gateway_would(*, asks: bool, rule: str) -> None:
    file = file_of(LARGE, REST, ask_tokenizer=asks)
    selector = Selector(file, FACTS)
    explainer = Explainer(selector, decider_of(file, FACTS, selector))
    told = explainer.explain(Endpoint.CHAT, chat(480), count=lambda *_: 520)
    assert told.choice.rule == rule
    told = explainer.explain(Endpoint.CHAT, chat(480), count=lambda *_: 470)
    assert (told.choice.rule, told.weighed.prompt_tokens) == ("rest", 470)
