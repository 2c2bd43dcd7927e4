"""What one worker learns of how engines count tokens, and what it hears of the others.

Owns: when it is told. Must not: estimate anything; `gateway.classify.gauge` does.
"""

import asyncio
from collections.abc import Callable

from gateway.classify.gauge import Lesson
from gateway.workers import words
from gateway.workers.picture import Say

_TOLD_EVERY_S = 1.0
# Of one time: estimates go by about the last fifty, and the first of a second say as much as all.
_MOST_LESSONS = 16


class School:
    """Used on the event loop's thread only. `learn` takes what others have learnt."""

    def __init__(self, say: Say, learn: Callable[[Lesson], None]) -> None:
        self._say = say
        self._learn = learn
        self._lessons: list[Lesson] = []
        self._telling: asyncio.TimerHandle | None = None

    def teach(self, lesson: Lesson) -> None:
        """Have the others told soon."""
        if len(self._lessons) < _MOST_LESSONS:
            self._lessons.append(lesson)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(_TOLD_EVERY_S, self._tell)

    def hear(self, word: words.Learnt) -> None:
        """Take what another worker has learnt."""
        for row in word.rows:
            self._learn(Lesson(*row))

    def _tell(self) -> None:
        self._telling = None
        lessons, self._lessons = self._lessons, []
        self._say(words.Learnt(tuple(lessons)))
