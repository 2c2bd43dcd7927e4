"""Requests to a worker, drawn by chance: every endpoint, and whatever a body may wish for.

Owns: what is asked, and what an honest answer to it may be.
Must not: send, or keep a state beyond its source of chance.
"""

import base64
import json
import re
import string
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_ASKS = ("Hello", "Tell me a story", "What is Weighbridge?", "Hola, ¿qué tal?", "数到五", "🙂")
_SYSTEMS = (None, None, "You are a helpful assistant.", "Answer briefly. " * 12)
_WORDS = ("a", "the", "weigh", "bridge", "ü", "7", "née")
_OBJECT = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
_TOOLS = [
    {"type": "function", "function": {"name": "look_up", "parameters": _OBJECT}},
    {"type": "function", "function": {"name": "ring", "parameters": {"type": "object"}}},
]
# Every vocabulary here has so many tokens: ids that it lacks are refused.
_BIASED = 256
_TOO_LONG = "context_length_exceeded"
_UNABLE = "unsupported_capability"


@dataclass(frozen=True)
class Ask:
    """One request. `refusals` are the error codes that are its own fault.

    `holds` says of the text of an answer that came to its own end whether it may be one.
    """

    path: str
    body: Body
    refusals: frozenset[str | None] = frozenset[str | None]({_TOO_LONG})
    holds: Callable[[str], bool] = field(default=lambda _text: True)

    @property
    def streams(self) -> bool:
        """Whether the answer comes as events."""
        return bool(self.body.get("stream"))

    @property
    def choices(self) -> int:
        """Return how many choices an answer has."""
        prompt = self.body.get("prompt")
        several = isinstance(prompt, list) and not isinstance(prompt[0], int)
        return int(self.body.get("n", 1)) * (len(prompt) if several and prompt else 1)

    @property
    def most_tokens(self) -> int:
        """Return how many tokens all answers may have, those that are not told as well."""
        drawn = int(max(self.body.get("best_of", 0), self.body.get("n", 1)))
        return int(self.body["max_tokens"]) * drawn * self.choices // int(self.body.get("n", 1))


@dataclass(frozen=True)
class Abilities:
    """What a worker says of itself: its names, what each can do, tokens of its context."""

    names: Mapping[str, frozenset[str]]
    context: int


class Asks:
    """Draws requests that a worker of these abilities must answer."""

    def __init__(self, chance: Random, able: Abilities) -> None:
        self._chance = chance
        self._able = able
        kinds: dict[str, list[Callable[[], Ask]]] = {
            "generation": [
                *(self._chat, self._chat, self._held, self._tools, self._continued),
                *(self._text, self._texts, self._echoed, self._filled),
            ],
            "vision": [self._seen, self._seen],
            "embeddings": [self._embedded],
            "reranking": [self._ranked],
        }
        self._kinds = [one for name in kinds if self._able_to(name) for one in kinds[name]]
        self._kinds += [self._counted, self._wrong]

    def draw(self) -> Ask:
        """Return the next request."""
        return self._chance.choice(self._kinds)()

    def greedy(self) -> list[Ask]:
        """Return some questions that have the same answer whenever they are put."""
        contents: list[Any] = list(_ASKS[:3]) if self._able_to("generation") else []
        if self._able_to("vision"):
            images = [self._image(*size) for size in ((112, 112), (600, 600))]
            contents += [[{"type": "image_url", "image_url": {"url": url}}] for url in images]
        fields = {"temperature": 0, "max_tokens": 24, "logprobs": True}
        return [Ask(CHAT, fields | {"messages": [self._user(one)]}) for one in contents]

    def _able_to(self, ability: str) -> bool:
        return any(ability in able for able in self._able.names.values())

    def _of(self, *values: Any) -> Any:
        return self._chance.choice(values)

    def _rarely(self, **fields: Any) -> Body:
        """Return some of these fields, each one time in eight."""
        return {name: value for name, value in fields.items() if self._chance.random() < 1 / 8}

    def _words(self, most: int) -> str:
        count = self._chance.randint(1, most)
        return " ".join(self._of(*_WORDS) for _ in range(count))

    def _name(self, ability: str) -> str:
        names = [name for name, able in self._able.names.items() if ability in able]
        return str(self._chance.choice(names))

    def _common(self) -> Body:
        """Return what every generating request may have."""
        chance = self._chance
        most = self._of(1, 3, 12, 40, min(300, self._able.context))
        body: Body = {"model": self._name("generation"), "max_tokens": most}
        if chance.random() < 0.6:
            told = self._rarely(continuous_usage_stats=True)
            body |= {"stream": True, "stream_options": {"include_usage": True, **told}}
        body |= self._of({"temperature": 0}, {"temperature": 1}, {"temperature": 1.5, "top_p": 0.9})
        body |= self._rarely(
            n=chance.randint(2, 4),
            seed=chance.getrandbits(40),
            ignore_eos=True,
            logit_bias={str(chance.randrange(_BIASED)): self._of(-100, 5, 100) for _ in range(3)},
            stop=self._of("e", ["zz", " "], "Weigh"),
            top_k=self._of(1, 40, 2_000),
            min_p=0.05,
            typical_p=0.8,
            presence_penalty=1.5,
            frequency_penalty=-1.0,
            repetition_penalty=1.3,
        )
        body |= self._rarely(dry_multiplier=0.8, mirostat=self._of(1, 2), dynatemp_range=0.5)
        body |= self._rarely(adaptive_target=0.4, top_n_sigma=1.0)
        return body | self._rarely(xtc_probability=0.5, top_logprobs=0)

    def _talk(self) -> list[Body]:
        system = self._of(*_SYSTEMS)
        turns = [{"role": "system", "content": system}] if system else []
        for _ in range(self._of(0, 0, 0, 1, 2)):
            turns += [self._user(self._of(*_ASKS)), {"role": "assistant", "content": "Well."}]
        long = self._chance.random() < 0.2
        text = self._words(self._able.context // 3) if long else self._of(*_ASKS)
        return [*turns, self._user(text)]

    def _user(self, content: Any) -> Body:
        return {"role": "user", "content": content}

    def _chat(self) -> Ask:
        body = self._common() | {"messages": self._talk()}
        body.pop("top_logprobs", None)
        body |= self._of({}, {}, {}, {"logprobs": True, "top_logprobs": self._of(0, 3, 20)})
        body |= self._rarely(thinking_token_budget=self._of(0, 4), reasoning_format="none")
        return Ask(CHAT, body)

    def _held(self) -> Ask:
        schema = {"name": "a", "strict": True, "schema": _OBJECT}
        fields, holds = self._of(
            ({"response_format": {"type": "json_schema", "json_schema": schema}}, _is_object),
            ({"response_format": {"type": "json_object"}}, _is_json),
            ({"guided_regex": "[a-f]{2,30}z"}, re.compile("[a-f]{2,30}z").fullmatch),
            ({"guided_choice": ["yes", "no", "perhaps"]}, re.compile("yes|no|perhaps").fullmatch),
        )
        body = self._common() | {"messages": self._talk()} | fields
        for other in ("stop", "logit_bias", "ignore_eos"):  # which would end or bend it
            body.pop(other, None)
        body |= self._rarely(thinking_token_budget=self._of(0, 3, 20))
        return Ask(CHAT, body, holds=lambda text: bool(holds(text)))

    def _tools(self) -> Ask:
        named = {"type": "function", "function": {"name": "look_up"}}
        choice = self._of("auto", "required", named, "none")
        body = self._common() | {"messages": self._talk(), "tools": _TOOLS, "tool_choice": choice}
        if choice not in ("auto", "none"):
            body.pop("ignore_eos", None)
        return Ask(CHAT, body | self._rarely(parallel_tool_calls=False, thinking_token_budget=2))

    def _continued(self) -> Ask:
        begun = {"role": "assistant", "content": self._of("I", "Once upon", "W")}
        body = self._common() | {"messages": [self._user("Hello"), begun]}
        return Ask(CHAT, body | {"continue_final_message": True, "add_generation_prompt": False})

    def _seen(self) -> Ask:
        size = self._of((1, 1), (3, 40), (28, 28), (60, 140), (112, 112), (300, 20), (600, 600))
        images = [self._image(*size) for _ in range(self._of(1, 1, 2))]
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in images]
        text = {"type": "text", "text": self._of(*_ASKS)}
        content = self._of([*parts, text], [text, *parts], parts)
        return Ask(CHAT, self._common() | {"messages": [self._user(content)]})

    def _image(self, width: int, height: int) -> str:
        """Return a picture of one colour, one of four, as a PNG."""
        row = b"\0" + bytes([self._of(0, 90, 200, 255)]) * width
        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(row * height)), (b"IEND", b""))
        image = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
        return "data:image/png;base64," + base64.b64encode(image).decode()

    def _text(self) -> Ask:
        long = self._chance.random() < 0.2
        prompt = self._words(self._able.context // 2 if long else 20)
        body = self._common() | {"prompt": prompt}
        return Ask(COMPLETIONS, body | self._of({}, {}, {"logprobs": self._of(0, 5)}))

    def _texts(self) -> Ask:
        ids = [[self._chance.randrange(256) for _ in range(self._of(1, 9, 90))] for _ in range(3)]
        body = self._common() | {"prompt": self._of(ids, ids[0], [self._words(5), self._words(50)])}
        body |= self._of({}, {"best_of": 4, "n": 2, "stream": False})
        if not body.get("stream"):
            body.pop("stream_options", None)
        return Ask(COMPLETIONS, body)

    def _echoed(self) -> Ask:
        fields = {"prompt": self._words(60), "echo": True, "logprobs": self._of(0, 2)}
        return Ask(COMPLETIONS, self._common() | fields | self._of({}, {"max_tokens": 0}))

    def _filled(self) -> Ask:
        body = self._common() | {"prompt": "def ", "suffix": self._of("\n", "return a\n")}
        return Ask(COMPLETIONS, body, frozenset({_TOO_LONG, _UNABLE}))

    def _embedded(self) -> Ask:
        texts = [self._words(self._of(3, 30, 200)) for _ in range(self._of(1, 3, 20))]
        body = {"model": self._name("embeddings"), "input": texts}
        return Ask("/v1/embeddings", body | self._rarely(truncate_prompt_tokens=self._of(-1, 3)))

    def _ranked(self) -> Ask:
        texts = [self._words(self._of(3, 30)) for _ in range(self._of(1, 5))]
        body = {"query": self._words(5), "documents": texts}
        return Ask("/v1/rerank", body | {"model": self._name("reranking")})

    def _counted(self) -> Ask:
        found: Ask = self._of(
            Ask("/tokenize", {"prompt": self._words(300)}),
            Ask("/detokenize", {"tokens": [self._chance.randrange(40) for _ in range(50)]}),
        )
        return found

    def _wrong(self) -> Ask:
        """Return a request that must be refused."""
        letters = "".join(self._chance.choices(string.printable, k=30))
        found: Ask = self._of(
            Ask(CHAT, {"messages": []}, frozenset({"invalid_value"})),
            Ask(CHAT, {"messages": letters}, frozenset({"invalid_value"})),
            Ask("/v1/completions", {}, frozenset({"missing_required_parameter"})),
            Ask("/v1/embeddings", {"input": []}, frozenset({None, _UNABLE})),
        )
        return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _is_object(text: str) -> bool:
    told = json.loads(text) if _is_json(text) else None
    if not isinstance(told, dict) or set(told) != {"a", "b"}:
        return False
    return isinstance(told["a"], int) and told["b"] in ("x", "y")
