"""What quality and cost come to when the harder requests go to a stronger model.

Owns: the curve over the share that goes there, its worth beside chance, and the threshold.
Must not: read files or weigh requests.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_RESAMPLES = 200
_SEED = 20_261


@dataclass(frozen=True, slots=True)
class Judged:
    """A request: how hard it looks, and how good each model's answer was, 0 to 1."""

    difficulty: float
    weak: float
    strong: float


@dataclass(frozen=True, slots=True)
class Point:
    """What comes of sending requests of a difficulty of `threshold` or more to the stronger model.

    `share` is how many these are, `by_chance` the quality if as many were drawn instead; `cost` is
    a share of what the stronger model alone costs.
    """

    threshold: float
    share: float
    quality: float
    by_chance: float
    cost: float


def curve(rows: Sequence[Judged], cost_ratio: float) -> list[Point]:
    """Return a point for each threshold at which something changes, from nobody to all.

    The stronger model costs `cost_ratio` times as much for a request.
    """
    hardest = sorted(rows, key=lambda row: -row.difficulty)
    count = len(hardest)
    weak = sum(row.weak for row in rows) / count
    strong = sum(row.strong for row in rows) / count
    gained, points = 0.0, [Point(1.01, 0.0, weak, weak, 1 / cost_ratio)]
    for at, row in enumerate(hardest, start=1):
        gained += row.strong - row.weak
        if at == count or hardest[at].difficulty != row.difficulty:
            share = at / count
            by_chance = weak + share * (strong - weak)
            cost = share + (1 - share) / cost_ratio
            points.append(Point(row.difficulty, share, weak + gained / count, by_chance, cost))
    return points


def recovered(points: Sequence[Point]) -> float | None:
    """Return what share of the gap between the models the curve closes, over all shares (APGR).

    Chance has 0.5. None where the models are equally good: there is no gap.
    """
    gap = points[-1].quality - points[0].quality
    if abs(gap) < 1e-9:
        return None
    area = 0.0
    for before, after in itertools.pairwise(points):
        middle = (before.quality + after.quality) / 2 - points[0].quality
        area += (after.share - before.share) * middle / gap
    return area


def uncertainty(rows: Sequence[Judged]) -> float:
    """Return by how much the APGR would differ on other requests like these (95%)."""
    drawn = random.Random(_SEED)  # noqa: S311 - repeatable on purpose
    found = []
    for _ in range(_RESAMPLES):
        value = recovered(curve(drawn.choices(rows, k=len(rows)), 2))
        if value is not None:
            found.append(value)
    found.sort()
    if len(found) < _RESAMPLES // 2:
        return 0.5
    return (found[int(len(found) * 0.975)] - found[int(len(found) * 0.025)]) / 2


def cheapest(points: Sequence[Point], enough: Callable[[Point], bool]) -> Point:
    """Return the point with the smallest share that is good enough, the last where none is."""
    return next((point for point in points if enough(point)), points[-1])


def at_share(points: Sequence[Point], share: float) -> Point:
    """Return the point that sends as many as may be sent."""
    return [point for point in points if point.share <= share + 1e-9][-1]


def shown(points: Sequence[Point], steps: int = 10) -> list[Point]:
    """Return some of the points, about evenly spread over the shares."""
    wanted = (step / steps for step in range(steps + 1))
    near = (min(points, key=lambda point: abs(point.share - share)) for share in wanted)
    return list(dict.fromkeys(near))
