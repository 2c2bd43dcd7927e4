"""The linear model of tasks: what each feature speaks for.

Owns: the format of `data/task-model.bin`, and adding up.
Must not: know what a feature means; train (`tools/task_model` does).
"""

import json
import math
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources

FILE = "task-model.bin"
BIAS = 128  # bytes are stored without a sign
_FIELD_BITS = 20  # room for the sum of thousands of bytes
_FIELD = (1 << _FIELD_BITS) - 1
_TELLING = 3
UNLIKELY = 1e-3  # no task of the turn before is ruled out
_BRIEF_CHARS = 60


@dataclass(frozen=True, slots=True)
class Header:
    """What a model knows beside its weights."""

    tasks: tuple[str, ...]
    scale: float  # what a step of a byte is worth, over the root of how many features there are
    bias: tuple[float, ...]  # by task
    carry: float  # how much the turn before counts when the newest is brief
    threshold: float  # below it, the task is undecided
    corpus: str  # the digest of what it was trained on


@dataclass(frozen=True, slots=True)
class Weights:
    """A trained model: by feature, a byte for each task."""

    header: Header
    rows: Mapping[str, bytes]

    def dump(self) -> bytes:
        """Return the file's bytes; the same weights make the same bytes."""
        names = sorted(self.rows)
        text = "\n".join([json.dumps(asdict(self.header)), *names]).encode()
        rows = b"".join(map(self.rows.__getitem__, names))
        return zlib.compress(len(text).to_bytes(4, "big") + text + rows, 9)


def parse_weights(file: bytes) -> Weights:
    """Return what `Weights.dump` wrote."""
    data = zlib.decompress(file)
    end = 4 + int.from_bytes(data[:4], "big")
    head, *names = data[4:end].decode().split("\n")
    told = json.loads(head)
    header = Header(**told | {key: tuple(told[key]) for key in ("tasks", "bias")})
    width = len(header.tasks)
    starts = range(end, len(data), width)
    rows = {name: data[at : at + width] for name, at in zip(names, starts, strict=True)}
    return Weights(header, rows)


def load_weights() -> Weights:
    """Read the model that the package ships."""
    return parse_weights((resources.files("gateway.classify") / "data" / FILE).read_bytes())


@dataclass(frozen=True, slots=True)
class Verdict:
    """The likeliest task, how likely it is, and the features that told it from the next."""

    task: str
    confidence: float
    features: tuple[str, ...]


class LinearModel:
    """Adds up the weights of features. Built once, then read only.

    All tasks' weights of a feature are one integer, each in a field of its own: adding two such
    integers adds every field, so that a feature costs one addition and not one for each task.
    """

    def __init__(self, weights: Weights) -> None:
        self.header = weights.header
        self._shifts = tuple(_FIELD_BITS * i for i in range(len(self.header.tasks)))
        # By feature: its packed weights, and its row. Looking it up is the dearer part.
        self._known = {name: (self._pack(row), row) for name, row in weights.rows.items()}

    def _pack(self, row: bytes) -> int:
        return sum(byte << shift for byte, shift in zip(row, self._shifts, strict=True))

    def judge(
        self, features: Collection[str], before: Collection[str] = (), chars: int = 0
    ) -> Verdict:
        """Return the likeliest task of a text of so many characters.

        `before` are the features of the turn before it.
        """
        get = self._known.get
        known = [(name, found) for name in features if (found := get(name)) is not None]
        scores = self._scores([packed for _, (packed, _) in known])
        if before:
            carry = self.header.carry * lean(chars)
            earlier = self._scores([found[0] for name in before if (found := get(name))])
            scores = [
                score + carry * math.log(share + UNLIKELY)
                for score, share in zip(scores, _shares(earlier), strict=True)
            ]
        shares = _shares(scores)
        second, best = sorted(range(len(shares)), key=shares.__getitem__)[-2:]
        telling = self._telling(known, best, second)
        return Verdict(self.header.tasks[best], shares[best], telling)

    def _scores(self, values: Sequence[int]) -> list[float]:
        total, offset = sum(values), BIAS * len(values)
        scale = self.header.scale / math.sqrt(max(1, len(values)))
        return [
            bias + scale * (((total >> shift) & _FIELD) - offset)
            for shift, bias in zip(self._shifts, self.header.bias, strict=True)
        ]

    @staticmethod
    def _telling(
        known: Iterable[tuple[str, tuple[int, bytes]]], this: int, that: int
    ) -> tuple[str, ...]:
        """Return the features that spoke most for one task against another."""
        ranked = sorted([(row[that] - row[this], name) for name, (_, row) in known])
        return tuple(name for lead, name in ranked[:_TELLING] if lead < 0)


def lean(chars: int) -> float:
    """Return how much a turn of so many characters leans on the one before: 1, then less."""
    return math.sqrt(_BRIEF_CHARS / max(_BRIEF_CHARS, chars))


def _shares(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]
