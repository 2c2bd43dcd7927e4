"""A gateway and a worker whose model says what a test tells it to; all but llama.cpp is real."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvicorn
from openai import AsyncOpenAI

from engines.llamacpp.api import build_app
from engines.llamacpp.batcher import Batcher
from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Floats
from engines.llamacpp.model import Model
from engines.llamacpp.work import Worker
from engines.weights import Abilities
from tests.support.serving import Server, serving
from tests.support.toy_runtime import ToyRuntime, ToyVocabulary, rows_of

MARKS = (
    *("<|assistant|>", "<|end|>", "<tool_call>", "</tool_call>", "<think>", "</think>"),
    *("<|python_tag|>", "[TOOL_CALLS]", "[ARGS]"),
)
_TOKENS = {text: 256 + at for at, text in enumerate(MARKS)}
_SPLIT = re.compile("({})".format("|".join(map(re.escape, MARKS))))
_ASSISTANT, _END, _CLOSING = (_TOKENS[t] for t in ("<|assistant|>", "<|end|>", "</think>"))

_CONFIG = """
engines:
  lab: {{kind: remote, url: "{url}", health_interval_s: 60}}
models:
  parrot: {{engine: lab}}
"""


class ParrotVocabulary(ToyVocabulary):
    """Each byte is a token, and each mark is a control token."""

    def __init__(self) -> None:
        self.size = 256 + len(MARKS)
        self.ends = frozenset({_END})
        self.bos = self.eos = _END
        self.adds_bos = False

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def fewest(self, text: str) -> int:
        return text.count(">")  # of each mark there is one

    def text(self, tokens: Sequence[int], *, special: bool = False) -> str:
        pieces = (
            MARKS[token - 256].encode() if special and token >= 256 else self.piece(token)
            for token in tokens
        )
        return b"".join(pieces).decode()

    def continued(self, text: str, **_how: bool) -> list[int]:
        return self.tokens(text)

    def tokens(self, text: str, **_how: bool) -> list[int]:
        found: list[int] = []
        for piece in _SPLIT.split(text):
            found += [_TOKENS[piece]] if piece in _TOKENS else list(piece.encode())
        return found


class ParrotRuntime(ToyRuntime):
    """Says the first of `turns` behind the first `<|assistant|>` of a prompt, and so on.

    Where its thought was closed for it, it goes on with what it would have said behind it.
    """

    def __init__(self, templates: Sequence[str], turns: Sequence[str], architecture: str) -> None:
        super().__init__(cells=4_096, batch_tokens=512)
        self.vocabulary: ParrotVocabulary = ParrotVocabulary()
        self.prompts: list[str] = []
        keys = ("tokenizer.chat_template", "tokenizer.chat_template.tool_use")
        self._meta = dict(zip(keys, templates, strict=False))
        self._meta["general.architecture"] = architecture
        self._turns = [self.vocabulary.tokens(turn + "<|end|>") for turn in turns]
        self._read: dict[int, list[int]] = {}

    def meta(self, key: str) -> str | None:
        return self._meta.get(key)

    def decode(self, pieces: Sequence[Piece], adapter: int = 0, added: int = 0) -> Floats | None:
        if super().decode(pieces, adapter, added) is None:
            return None
        logits: list[Floats] = []
        for row in rows_of(pieces):
            tokens = self._read.setdefault(row.slot, [])
            tokens.append(row.token)
            if row.wanted:
                line = np.zeros(self.vocabulary.size, dtype=np.float32)
                line[self._next(tokens)] = 99
                logits.append(line)
        return np.array(logits, dtype=np.float32).reshape(len(logits), self.vocabulary.size)

    def forget(self, slot: int) -> None:
        super().forget(slot)
        self._read.pop(slot, None)

    def _next(self, tokens: list[int]) -> int:
        turn = self._turns[tokens.count(_ASSISTANT) - 1]
        said = tokens[len(tokens) - tokens[::-1].index(_ASSISTANT) :]
        if not said:
            self.prompts.append(self.vocabulary.text(tokens, special=True))
        if _CLOSING in said:
            turn = turn[turn.index(_CLOSING) + 1 :]
            said = said[said.index(_CLOSING) + 1 :]
        return turn[min(len(said), len(turn) - 1)]


@dataclass(frozen=True)
class Parrot:
    """The SDK's client of the gateway, and the prompts that the model has read, as text."""

    client: AsyncOpenAI
    prompts: list[str]


@asynccontextmanager
async def parrot(
    template: str, *turns: str, architecture: str = "qwen2", for_tools: str | None = None
) -> AsyncIterator[Parrot]:
    """Serve, as `parrot`, a model with these templates that says these turns."""
    templates = [template] if for_tools is None else [template, for_tools]
    runtime = ParrotRuntime(templates, turns, architecture)
    batcher = Batcher(runtime, runtime.pooled, asyncio.get_running_loop())
    abilities = Abilities(generates=True, embeds=False, reranks=False, pooling="mean")
    model = Model("parrot", Path("parrot.gguf"), runtime, abilities)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    app = build_app(Worker(model, batcher, 0))
    server = Server(uvicorn.Config(app, log_config=None, ws="none", lifespan="off"))
    running = asyncio.create_task(server.serve([listener]))
    await server.up.wait()
    try:
        async with (
            serving(_CONFIG.format(url=url)) as gateway,
            AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client,
        ):
            await gateway.ready()
            yield Parrot(client, runtime.prompts)
    finally:
        server.should_exit = True
        await running
        batcher.close()
