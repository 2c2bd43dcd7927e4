"""What a request wants done, or `undecided`.

Owns: when the model's judgement is acted on, and how it is told to a person.
Must not: see the request's shape (tools, images): the weigher does; or guess.
"""

from collections.abc import Mapping, Sequence

import msgspec

from gateway.classify.lexicon import Lexicon
from gateway.classify.phrases import Said
from gateway.classify.reading import Text
from gateway.classify.task_evidence import EvidenceReader
from gateway.classify.task_features import spoken
from gateway.classify.task_model import LinearModel, Verdict
from gateway.domain import UNDECIDED, Reason, Why

_SETTLED = 0.97  # how sure a sign is that settles the task alone


class Task(msgspec.Struct, frozen=True):
    """A task of the closed list, or undecided, and why.

    `confidence` is how sure it is, 0 to 1, and `likely` the best guess also where that is too
    little to decide on.
    """

    name: str
    reason: Why
    confidence: float = 1.0
    likely: str = UNDECIDED


class TaskFinder:
    """Finds the task of a conversation. Built once, then read only."""

    def __init__(
        self,
        lexicons: Mapping[str, Lexicon],
        model: LinearModel,
        undecided_below: float | None = None,
    ) -> None:
        """Take the model's own threshold where no other is given."""
        self._evidence = EvidenceReader(lexicons)
        self._model = model
        own = model.header.threshold
        self._least = own if undecided_below is None else undecided_below

    def find(self, turns: Sequence[Text]) -> Task:
        """Return the task of a conversation, newest turn first; any text will do."""
        if not turns:
            return Task(UNDECIDED, "there is no text", 0.0)
        newest = self._evidence.read(turns[0])
        if newest.said is not None and newest.said.sure:
            return Task(newest.said.task, newest.said.reason, _SETTLED, newest.said.task)
        before = self._evidence.read(turns[1]).features if len(turns) > 1 else None
        verdict = self._model.judge(newest.features, before, len(turns[0].raw))
        return self._decided(verdict, newest.said)

    def _decided(self, verdict: Verdict, said: Said | None) -> Task:
        name = UNDECIDED if verdict.confidence < self._least else verdict.task
        why = Reason(_told, (verdict, said, self._least))
        return Task(name, why, verdict.confidence, verdict.task)


def _told(verdict: Verdict, said: Said | None, least: float) -> str:
    agrees = said is not None and said.task == verdict.task
    reasons = [said.reason] if said is not None and agrees else []
    told = "; ".join([*reasons, *map(spoken, verdict.features)])
    why = f"likely by {verdict.confidence:.2f}"
    if told:
        why = f"{why}, for {told}"
    if verdict.confidence < least:
        return f"{verdict.task} is only {why}; decided from {least:.2f}"
    return why
