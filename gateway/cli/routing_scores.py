"""How right and how quick weighing is on labelled prompts.

Owns: the format of such a file's rows, what counts as right, and the figures.
Must not: print, or weigh differently from the gateway.
"""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engines.protocol.requests import ChatRequest, Message
from engines.words import counted
from gateway.classify import Weigher
from gateway.config.vocabulary import LANGUAGES, TASKS, language_meant, near
from gateway.domain import UNDECIDED, Weighed

SHORT_CHARS = 20
_NO_LANGUAGE = "und"
_EMBEDDED = ("embedded-doc", "foreign-quote", "foreign-comments")
_TRANSLATION = "translation"
LENGTHS = (20, 200, 1_000, 5_000)  # the ends of the ranges by which latency is told
THRESHOLDS = (0.35, 0.5, 0.7, 0.9, 0.97)
TASK_THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_BINS = 10


class Row(msgspec.Struct, frozen=True):
    """A prompt and what is right for it; None where nobody said."""

    text: str
    task: str | None = None
    language: str | None = None
    prompt_language: str | None = None
    kind: str = ""
    history: tuple[str, ...] = ()
    has_tools: bool = False

    def request(self) -> ChatRequest:
        """Return the chat request that this row stands for."""
        turns = [Message("user", text) for text in (*self.history, self.text)]
        return ChatRequest(messages=turns, tools=[{}] if self.has_tools else None)


@dataclass(frozen=True, slots=True)
class Decision:
    """A row weighed, and how long the processor took."""

    row: Row
    weighed: Weighed
    seconds: float


def weigh_all(weigher: Weigher, rows: Iterable[Row]) -> list[Decision]:
    """Weigh each row twice: the first time reads everything cold.

    The time is the processor's, as what other processes take of it is no part of weighing.
    """
    decisions = []
    for row in rows:
        request = row.request()
        weigher.weigh_chat(request)
        started = time.thread_time()
        weighed = weigher.weigh_chat(request)
        decisions.append(Decision(row, weighed, time.thread_time() - started))
    return decisions


def unknown_labels(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a sentence about each label that weighing never gives: whatever it says is a miss."""
    rows = list(rows)
    for key, known in (("task", TASKS), ("language", LANGUAGES), ("prompt_language", LANGUAGES)):
        given = Counter(getattr(row, key) for row in rows)
        for label, count in given.items():
            if label is None or label in known or label in (_NO_LANGUAGE, UNDECIDED):
                continue
            meant = near(label, TASKS) if key == "task" else _meant(label)
            rows_are = f"{counted(count, 'row')} {'has' if count == 1 else 'have'}"
            yield f"{rows_are} the {key} '{label}', which weighing never assigns{meant}"


def _meant(label: str) -> str:
    code = language_meant(label)
    return f"; did you mean '{code}'?" if code is not None else ""


def scores_of(decisions: Sequence[Decision]) -> dict[str, Any]:
    """Return the figures by name; None where the file has no row that tells one."""
    spoken = [d for d in decisions if d.row.prompt_language is not None]
    short = [d for d in spoken if len(d.row.text) <= SHORT_CHARS]
    embedded = [d for d in spoken if d.row.kind in _EMBEDDED]
    tasked = [d for d in decisions if d.row.task is not None]
    acted = [d for d in tasked if d.weighed.task != UNDECIDED]
    times = [d.seconds for d in decisions]
    return {
        "rows": len(decisions),
        "language_accuracy": _share(map(prompt_right, spoken)),
        "language_wrong": _share(map(_prompt_wrong, spoken)),
        "language_accuracy_short": _share(map(prompt_right, short)),
        "language_wrong_short": _share(map(_prompt_wrong, short)),
        "language_accuracy_embedded": _share(map(prompt_right, embedded)),
        "answer_language_accuracy": _share(
            d.weighed.language == d.row.language
            for d in decisions
            if d.row.task == _TRANSLATION and d.row.language is not None
        ),
        "macro_f1": _macro_f1([(str(d.row.task), d.weighed.likely_task) for d in tasked]),
        "macro_f1_decided": _macro_f1([(str(d.row.task), d.weighed.task) for d in tasked]),
        "selective_accuracy": _share(d.weighed.task == d.row.task for d in acted),
        "coverage": len(acted) / len(tasked) if tasked else None,
        "calibration_error": _calibration_error(tasked),
        "p50_us": _quantile_us(times, 50),
        "p99_us": _quantile_us(times, 99),
        "languages": _by_language(spoken),
        "language_curve": [_at_threshold(spoken, least) for least in THRESHOLDS],
        "latency": _by_length(decisions),
        "confusion": _confusion(tasked),
        "task_curve": [_task_at(tasked, least) for least in TASK_THRESHOLDS],
    }


def prompt_right(decision: Decision) -> bool:
    """Say whether the language of the prompt was told; `und` is told by `undecided` too."""
    told, wanted = decision.weighed.prompt_language, decision.row.prompt_language
    return told == wanted or (wanted == _NO_LANGUAGE and told == UNDECIDED)


def _prompt_wrong(decision: Decision) -> bool:
    return decision.weighed.prompt_language != UNDECIDED and not prompt_right(decision)


def _share(found: Iterable[bool]) -> float | None:
    counted = list(found)
    return sum(counted) / len(counted) if counted else None


def _macro_f1(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Return the mean over the file's tasks, of pairs of the right one and the one told."""
    wanted = Counter(right for right, _ in pairs)
    told = Counter(told for _, told in pairs)
    hits = Counter(right for right, told in pairs if right == told)
    f1 = [2 * hits[task] / (wanted[task] + told[task]) for task in wanted]
    return statistics.fmean(f1) if f1 else None


def _calibration_error(decisions: Sequence[Decision]) -> float | None:
    """Return the mean gap between how sure weighing is of the likeliest task and how right."""
    gaps = [0.0] * (_BINS + 1)
    for decision in decisions:
        sure = decision.weighed.task_confidence
        gaps[int(sure * _BINS)] += sure - (decision.weighed.likely_task == decision.row.task)
    return sum(map(abs, gaps)) / len(decisions) if decisions else None


def _task_at(decisions: Sequence[Decision], least: float) -> dict[str, float | None]:
    """Return how many tasks would be decided, and rightly, if one had to be so likely."""
    acted = [d for d in decisions if d.weighed.task_confidence >= least]
    return {
        "confidence": least,
        "coverage": len(acted) / len(decisions) if decisions else None,
        "accuracy": _share(d.weighed.likely_task == d.row.task for d in acted),
    }


def _by_language(decisions: Sequence[Decision]) -> dict[str, dict[str, float]]:
    groups = defaultdict(list)
    for decision in decisions:
        groups[str(decision.row.prompt_language)].append(prompt_right(decision))
    return {
        language: {"rows": len(right), "accuracy": sum(right) / len(right)}
        for language, right in sorted(groups.items())
    }


def _at_threshold(decisions: Sequence[Decision], least: float) -> dict[str, float | None]:
    """Return how many languages would be decided, and rightly, if one had to be so likely."""
    acted = [
        d
        for d in decisions
        if d.weighed.prompt_language != UNDECIDED and d.weighed.prompt_language_confidence >= least
    ]
    return {
        "confidence": least,
        "coverage": len(acted) / len(decisions) if decisions else None,
        "accuracy": _share(map(prompt_right, acted)),
    }


def _by_length(decisions: Sequence[Decision]) -> list[dict[str, float | None]]:
    groups: dict[int | None, list[float]] = {end: [] for end in (*LENGTHS, None)}
    for decision in decisions:
        length = len(decision.row.text)
        groups[next((end for end in LENGTHS if length <= end), None)].append(decision.seconds)
    return [
        {
            "chars_to": end,
            "rows": len(times),
            "p50_us": _quantile_us(times, 50),
            "p99_us": _quantile_us(times, 99),
        }
        for end, times in groups.items()
        if times
    ]


def _confusion(decisions: Sequence[Decision]) -> dict[str, dict[str, int]]:
    """Return, by right task, how often each was told."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for decision in decisions:
        groups[str(decision.row.task)][decision.weighed.task] += 1
    return {task: dict(told) for task, told in sorted(groups.items())}


def _quantile_us(times: Sequence[float], percent: int) -> float | None:
    if not times:
        return None
    ordered = sorted(times)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1e6, 1)
