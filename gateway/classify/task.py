"""What a request wants done, or `undecided`.

Owns: when the model's judgement is acted on, and how it is told to a person.
Must not: see the request's shape (tools, images): the weigher does; or guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.classify.lexicon import Lexicon
from gateway.classify.phrases import Said
from gateway.classify.reading import Text
from gateway.classify.task_evidence import EvidenceReader
from gateway.classify.task_features import spoken
from gateway.classify.task_model import LinearModel, Verdict
from gateway.domain import UNDECIDED

_SETTLED = 0.97  # how sure a sign is that settles the task alone


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the closed list, or undecided, and why.

    `confidence` is how sure it is, 0 to 1, and `likely` the best guess also where that is too
    little to decide on.
    """

    name: str
    reason: str
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
        before = self._evidence.read(turns[1]).features if len(turns) > 1 else ()
        verdict = self._model.judge(newest.features, before, len(turns[0].raw))
        return self._decided(verdict, newest.said)

    def _decided(self, verdict: Verdict, said: Said | None) -> Task:
        agrees = said is not None and said.task == verdict.task
        reasons = [said.reason] if said is not None and agrees else []
        told = "; ".join([*reasons, *map(spoken, verdict.features)])
        why = f"likely by {verdict.confidence:.2f}"
        if told:
            why = f"{why}, for {told}"
        if verdict.confidence < self._least:
            why = f"{verdict.task} is only {why}; decided from {self._least:.2f}"
            return Task(UNDECIDED, why, verdict.confidence, verdict.task)
        return Task(verdict.task, why, verdict.confidence, verdict.task)
