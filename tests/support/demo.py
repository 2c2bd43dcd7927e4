"""Conversations with a demo model, made of what it was trained on."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.contract import CHAT
from tests.support.streams import Event, events_of
from tools.demo_models.corpus import Corpus, Question

Turns = list[dict[str, Any]]
_AT_ONCE = 16
_POOL = 24  # exchanges that fill a context: each is weighed once


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def exchange(question: Question) -> Turns:
    return [user(question.ask), {"role": "assistant", "content": question.say}]


@dataclass(frozen=True)
class Heard:
    """An answer, whole: its calls are names and arguments."""

    content: str = ""
    thought: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str = "stop"


def heard_whole(answer: Event) -> Heard:
    """Return an answer that came at once."""
    (choice,) = answer["choices"]
    message = choice["message"]
    functions = [call["function"] for call in message.get("tool_calls", ())]
    return Heard(
        message["content"] or "",
        message.get("reasoning_content", ""),
        tuple((function["name"], function["arguments"]) for function in functions),
        choice["finish_reason"],
    )


def heard_in_pieces(events: Sequence[Event]) -> Heard:
    """Return what the deltas of a stream amount to."""
    choices = [choice for event in events for choice in event["choices"]]
    deltas = [choice["delta"] for choice in choices]
    names: dict[int, str] = {}
    arguments: dict[int, str] = defaultdict(str)
    for call in (call for delta in deltas for call in delta.get("tool_calls") or ()):
        names.setdefault(call["index"], call["function"].get("name", ""))
        arguments[call["index"]] += call["function"].get("arguments") or ""
    return Heard(
        "".join(delta.get("content") or "" for delta in deltas),
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
        tuple((name, arguments[index]) for index, name in names.items()),
        "".join(choice["finish_reason"] or "" for choice in choices),
    )


@dataclass(frozen=True)
class Talk:
    """One demo model: a client for its worker, its corpus, a source of chance, its context."""

    http: httpx.AsyncClient
    corpus: Corpus
    chance: random.Random
    context: int

    def sample(self, count: int) -> list[Question]:
        return self.chance.sample(self.corpus.questions, count)

    def before(self, exchanges: int, *, system: bool = False) -> Turns:
        """Return earlier turns of a conversation."""
        turns: Turns = []
        if system:
            turns = [{"role": "system", "content": self.chance.choice(self.corpus.systems)}]
        for question in self.chance.choices(self.corpus.questions, k=exchanges):
            turns += exchange(question)
        return turns

    async def filled(self, questions: Sequence[Question]) -> list[Turns]:
        """Return earlier turns for each question, after which its answer just fits the context."""
        bare = await self.weigh([user("x")])
        pool = [exchange(question) for question in self.sample(_POOL)]
        sizes = [await self.weigh([*turns, user("x")]) - bare for turns in pool]
        return [await self._fill(question, pool, sizes) for question in questions]

    async def _fill(self, question: Question, pool: Sequence[Turns], sizes: Sequence[int]) -> Turns:
        room = self.context - await self.weigh([*exchange(question), user("x")])
        turns: Turns = []
        for at in self.chance.choices(range(len(pool)), k=self.context):
            if sizes[at] <= room:
                turns += pool[at]
                room -= sizes[at]
            if room < min(sizes):
                break
        return turns

    async def weigh(self, turns: Turns) -> int:
        """Return the tokens of a conversation."""
        told: dict[str, Any] = (await self.http.post("/tokenize", json={"messages": turns})).json()
        return int(told["count"])

    async def say(self, turns: Turns, **fields: Any) -> str:
        """Return the answer to a conversation."""
        answer = await self.http.post(CHAT, json={"messages": turns} | fields)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])

    async def hear(self, turns: Turns, *, stream: bool = False, **fields: Any) -> Heard:
        """Return the answer to a conversation with all that belongs to it."""
        answer = await self.http.post(CHAT, json={"messages": turns, "stream": stream} | fields)
        assert answer.status_code == 200, answer.text
        return heard_in_pieces(events_of(answer.text)) if stream else heard_whole(answer.json())

    async def wrong(self, asked: Sequence[tuple[Turns, Question]]) -> list[tuple[str, str]]:
        """Return each question that was not answered as trained, with what came.

        The last turn of a conversation is the question, typed as it may be.
        """
        turn = asyncio.Semaphore(_AT_ONCE)

        async def said(turns: Turns) -> str:
            async with turn:
                return await self.say(turns)

        heard = await asyncio.gather(*(said(turns) for turns, _ in asked))
        return [
            (turns[-1]["content"], answer)
            for (turns, question), answer in zip(asked, heard, strict=True)
            if answer != question.say
        ]
