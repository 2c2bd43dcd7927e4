"""What of a request counts for the choice, beside what it weighs."""

import msgspec
import pytest

from engines.protocol.decoding import AnyRequest
from engines.protocol.readings import EmbeddingRequest
from engines.protocol.requests import ChatRequest, Message
from gateway.asking import asked_by
from gateway.config.schema import RoutingFile
from gateway.domain import Asked, Endpoint
from gateway.errors import InvalidRequest, ModelNotFound
from gateway.selection import Selector

HEADERS = ((b"x-team", b"r\xe9d"),)


def selector(use: object, **when: object) -> Selector:
    file = {
        "engines": {"e": {"kind": "remote", "url": "http://127.0.0.1:1/v1"}},
        "models": {"a": {"engine": "e"}, "b": {"engine": "e"}},
        "routes": [{"name": "r", "use": use, "when": when}],
    }
    return Selector(RoutingFile.model_validate(file), {})


SPLIT = selector({"split": {"a": 1, "b": 1}})


def ask(request: AnyRequest, of: Selector = SPLIT) -> Asked:
    return asked_by(Endpoint.CHAT, request, HEADERS, of, chance=0.5)


def chat(*turns: tuple[str, str], **more: str) -> ChatRequest:
    messages = [{"role": role, "content": text} for role, text in turns]
    return msgspec.convert({"messages": messages, **more}, ChatRequest)


def test_a_conversation_keeps_its_mark_as_it_goes_on() -> None:
    first = ask(chat(("system", "Be kind."), ("user", "hi"))).conversation
    longer = chat(("system", "Be kind."), ("user", "hi"), ("assistant", "Hello."), ("user", "Why?"))
    assert first is not None
    assert ask(longer).conversation == first
    assert ask(chat(("system", "Be kind."), ("user", "ho"))).conversation != first
    assert ask(chat(("user", "hi"))).conversation != first


def test_a_mark_is_made_only_where_shares_want_it() -> None:
    assert ask(chat(("user", "hi")), selector("a")).conversation is None
    assert ask(EmbeddingRequest(input="x")).conversation is None


def test_any_text_makes_a_mark() -> None:
    assert ask(ChatRequest(messages=[Message("assistant")])).conversation is not None
    assert ask(chat(("user", "\ud800" * 9_000))).conversation is not None


def test_headers_user_and_chance_are_taken_where_rules_decide() -> None:
    reading = selector("a", header={"x-team": "red"})
    found = ask(chat(("user", "hi"), user="u-1"), reading)
    assert (found.user, found.chance, found.headers) == ("u-1", 0.5, (("x-team", "réd"),))
    named = ask(chat(("user", "hi"), user="u-1", model="a"), reading)
    assert (named.user, named.headers) == (None, ())
    assert ask(chat(("user", "hi"))).headers == ()  # no rule looks at them


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ModelNotFound):
        ask(chat(("user", "hi"), model="c"))
    request = ChatRequest(messages=[Message("user", "x")], metadata={"weighbridge_x": "y"})
    with pytest.raises(InvalidRequest):
        ask(request)
