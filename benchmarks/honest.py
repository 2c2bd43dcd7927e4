"""What an answer must be that a worker gives to a request of chance.

Owns: what is wrong with one, in words; a worker's figures.
Must not: send, or know how a client behaves.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.chance_asks import CHAT, COMPLETIONS, Ask
from benchmarks.chance_client import Answer

_ENDS = ("stop", "length", "tool_calls")
_PREFIX = "weighbridge_worker_"


def figures_in(text: bytes) -> Mapping[str, float]:
    """Return a worker's figures by their short names, as they stand in its exposition."""
    return {
        sample.name.removeprefix(_PREFIX): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def wrong_with(ask: Ask, told: Answer) -> Iterator[str]:
    """Yield what is wrong with an answer; of one that was cut off by its client nothing is."""
    if not told.whole:
        return
    if told.status != 200:
        error = told.json().get("error", {})
        if not 400 <= told.status < 500 or error.get("code") not in ask.refusals:
            yield f"refused with {told.status}"
    elif ask.path in (CHAT, COMPLETIONS):
        yield from _streamed(ask, told) if ask.streams else _written(ask, told.json())


def _written(ask: Ask, told: dict[str, Any]) -> Iterator[str]:
    choices = told["choices"]
    if len(choices) != ask.choices:
        yield f"{len(choices)} choices of {ask.choices}"
    for choice in choices:
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        yield from _wrong_end(ask, choice["finish_reason"], text or "")
    yield from _wrong_usage(ask, told["usage"])


def _streamed(ask: Ask, told: Answer) -> Iterator[str]:
    events = told.events()
    if not events or events.pop() != b"[DONE]":
        yield "a stream without its end"
        return
    texts: dict[int, str] = defaultdict(str)
    ends: dict[int, str] = {}
    for choice in (choice for event in events for choice in event.get("choices", ())):
        said = choice["delta"].get("content") if "delta" in choice else choice["text"]
        texts[choice["index"]] += said or ""
        if choice.get("finish_reason"):
            if choice["index"] in ends:
                yield "a choice that ended twice"
            ends[choice["index"]] = choice["finish_reason"]
    if len(ends) != ask.choices:
        yield f"{len(ends)} choices of {ask.choices} ended"
    for index, end in ends.items():
        yield from _wrong_end(ask, end, texts[index])
    if ask.body.get("stream_options"):
        yield from _wrong_usage(ask, events[-1].get("usage") or {})


def _wrong_end(ask: Ask, end: str, text: str) -> Iterator[str]:
    if end not in _ENDS:
        yield f"an end that is none: {end}"
    elif end == "stop" and not ask.holds(text):
        yield "an answer that does not hold to what it must"


def _wrong_usage(ask: Ask, usage: Mapping[str, Any]) -> Iterator[str]:
    if not usage:
        yield "no usage"
        return
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    if usage["total_tokens"] != prompt + completion:
        yield "a sum that is none"
    if completion > ask.most_tokens:
        yield f"{completion} tokens where {ask.most_tokens} are the most"
    if usage["prompt_tokens_details"]["cached_tokens"] > prompt:
        yield "more tokens found than there are"
