"""Conversations with a demo model, made of what it was trained on."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.contract import CHAT
from tools.demo_models.corpus import Corpus, Question

Turns = list[dict[str, str]]
CONTEXT = 2_048
_AT_ONCE = 16
_POOL = 24  # exchanges that fill a context: each is weighed once


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def exchange(question: Question) -> Turns:
    return [user(question.ask), {"role": "assistant", "content": question.say}]


@dataclass(frozen=True)
class Talk:
    """One demo model: a client for its worker, its corpus, and a source of chance."""

    http: httpx.AsyncClient
    corpus: Corpus
    chance: random.Random

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
        room = CONTEXT - await self.weigh([*exchange(question), user("x")])
        turns: Turns = []
        for at in self.chance.choices(range(len(pool)), k=CONTEXT):
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
