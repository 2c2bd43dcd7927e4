"""The linear model of tasks: what each feature speaks for.

Owns: the format of `data/task-model.bin`, and adding up.
Must not: know what a feature means; train (`tools/task_model` does).
"""

import functools
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources

import msgspec

from gateway.classify.task_features import Features, may_be_group
from gateway.classify.widened import widened

FILE = "task-model.bin"
BIAS = 128  # bytes are stored without a sign
_FIELD_BYTES = 3  # room for the sum of thousands of bytes
_FIELD_BITS = 8 * _FIELD_BYTES
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
    calm: float  # how sure one may be of a turn that has another before it, beside a first one
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


@functools.cache
def shipped_model() -> "LinearModel":
    """Return the model that the package ships; read once in a process."""
    return LinearModel(load_weights())


class Verdict(msgspec.Struct, frozen=True):
    """The likeliest task and how likely it is.

    `seen` are the features of its text, `best` and `second` the places of the likeliest task and
    of the next.
    """

    task: str
    confidence: float
    best: int
    second: int
    seen: Features
    rows: Mapping[str, bytes]

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features that told the likeliest task from the next."""
        best, second, rows = self.best, self.second, self.rows
        known = [name for name in self.seen.all_names() if name in rows]
        ranked = sorted([(rows[name][second] - rows[name][best], name) for name in known])
        return tuple(name for lead, name in ranked[:_TELLING] if lead < 0)


class LinearModel:
    """Adds up the weights of features. Built once, then read only.

    All tasks' weights of a feature are one integer, each in a field of its own: adding two such
    integers adds every field, so that a feature costs one addition and not one for each task. The
    last field counts features.
    """

    def __init__(self, weights: Weights) -> None:
        self.header = weights.header
        self._rows = weights.rows
        self._shifts = tuple(_FIELD_BITS * i for i in range(len(self.header.tasks)))
        self._count_shift = _FIELD_BITS * len(self.header.tasks)
        # Apart, as fewer and smaller keys stay nearer to the processor.
        packed = {name: _packed(row) for name, row in weights.rows.items()}
        grouped = {tuple(name.split(" ")): name for name in packed if may_be_group(name)}
        self._groups = {group: packed[name] for group, name in grouped.items()}
        self._firsts = frozenset(group[0] for group in grouped)
        self._names = {
            name: one
            for name, one in packed.items()
            if name.startswith("#") or not may_be_group(name)
        }

    def judge(self, features: Features, before: Features | None = None, chars: int = 0) -> Verdict:
        """Return the likeliest task of a text of so many characters.

        `before` are the features of the turn before it.
        """
        scores = self._scores(features)
        if before is not None:
            carry = self.header.carry * lean(chars)
            scores = [
                self.header.calm * (score + carry * math.log(share + UNLIKELY))
                for score, share in zip(scores, _shares(self._scores(before)), strict=True)
            ]
        shares = _shares(scores)
        second, best = sorted(range(len(shares)), key=shares.__getitem__)[-2:]
        tasks = self.header.tasks
        return Verdict(tasks[best], shares[best], best, second, features, self._rows)

    def _scores(self, features: Features) -> list[float]:
        # In C from end to end: looking features up is the dearest part of weighing.
        total = sum(filter(None, map(self._names.get, features.names)))
        total += sum(filter(None, map(self._groups.get, features.groups(self._firsts))))
        count = total >> self._count_shift
        offset, scale = BIAS * count, self.header.scale / math.sqrt(max(1, count))
        return [
            bias + scale * (((total >> shift) & _FIELD) - offset)
            for shift, bias in zip(self._shifts, self.header.bias, strict=True)
        ]


def lean(chars: int) -> float:
    """Return how much a turn of so many characters leans on the one before: 1, then less."""
    return math.sqrt(_BRIEF_CHARS / max(_BRIEF_CHARS, chars))


def _shares(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def _packed(row: bytes) -> int:
    """Return one integer with a field for each task, and a 1 in the field behind them."""
    return widened(row + b"\x01", _FIELD_BYTES)
