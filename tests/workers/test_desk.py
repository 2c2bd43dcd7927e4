"""The parent's desk: what a worker is lent, and that all of it comes back."""

import asyncio
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.protocol.answers import Usage
from gateway.config.loading import parse_config
from gateway.domain import Outcome
from gateway.fleet import Condition, Fleet
from gateway.fleet.breaker import BreakerRules
from gateway.fleet.learned import LoadTimes
from gateway.fleet.leasing import Leasing
from gateway.fleet.resident import Resident
from gateway.known import gather_facts
from gateway.observe.metrics import Metrics
from gateway.observe.residency import ResidencyMetrics
from gateway.parts import Gateway, Live, build_gateway
from gateway.planning import limits_of
from gateway.workers import words
from gateway.workers.desk import Desk

LIMIT, PLACES = 2, 3
FILE = f"""
engines: {{lab: {{kind: remote, url: "http://127.0.0.1:9/v1"}}}}
models: {{m: {{engine: lab, max_concurrent: {LIMIT}, max_queued: {PLACES}}}}}
"""


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Any] = []

    def write(self, data: Any) -> None:
        self.said.append(msgspec.msgpack.decode(data[4:], type=words.FromParent))

    def get_write_buffer_size(self) -> int:
        return 0


class Office:
    """Hears of everything, and keeps what is to be passed on."""

    def __init__(self) -> None:
        self.passed_on: list[words.Read | words.Learnt] = []

    def touch(self) -> None:
        """Nothing."""

    def prepared(self, version: int, by: Desk) -> None:
        """Nothing."""

    def pass_on(self, word: words.Read | words.Learnt, by: Desk) -> None:  # noqa: ARG002
        self.passed_on.append(word)


class Scene:
    """One gateway with a ready model, and workers at their desks."""

    def __init__(self, workers: int = 1) -> None:
        base, metrics, clock = _base(), Metrics(), time.perf_counter
        plans = [replica.plan for replica in base.fleet]
        limits = limits_of(base.config.file, plans)
        fleet = Fleet(plans, metrics, clock=clock, limits=limits)
        resident = Resident(fleet, ResidencyMetrics(metrics.registry), LoadTimes(None), clock)
        leasing = Leasing(fleet, resident.reception, clock, retry_share=0.2)
        self.gateway = replace(
            base, fleet=fleet, metrics=metrics, resident=resident, leasing=leasing
        )
        (self.replica,) = fleet
        self.gateway.fleet.update(self.replica, Condition.READY)
        self.wires, self.desks, self.office = [], [], Office()
        for _ in range(workers):
            desk = Desk(Live(self.gateway), self.office, time.perf_counter, lambda: None)
            wire = Wire()
            desk.line.connection_made(wire)
            self.wires.append(wire)
            self.desks.append(desk)
        self.numbers = 0

    def ask(self, worker: int = 0) -> int:
        self.numbers += 1
        ask = words.Ask(self.numbers, ("m",), time.perf_counter(), 30.0)
        self.desks[worker].hear(ask)
        return self.numbers

    def granted(self, worker: int = 0) -> list[int]:
        said = self.wires[worker].said
        return [word.number for word in said if isinstance(word, words.Granted)]

    def end(self, number: int, worker: int = 0, outcome: Outcome = Outcome.OK) -> None:
        usage = Usage(3, 4, 7)
        self.desks[worker].hear(words.End(number, outcome, True, None, None, 4, usage))

    def counted(self, outcome: Outcome) -> int:
        return int(self.gateway.metrics.requests.labels("m", "lab", NAME, outcome.value).value)

    @property
    def queue(self) -> Any:
        return self.gateway.fleet.queue("m")


NAME = "127.0.0.1:9"


@cache
def _base() -> Gateway:
    """Return a gateway for what all scenes have in common; reading words takes a while."""
    config = parse_config(FILE, "test.yaml", {}, Path())
    return build_gateway(config, gather_facts(config), runtime_folder=Path(), cores=1)


async def turns() -> None:
    """Let the loop's tasks go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_no_place_waits_and_gets_that_of_another_worker() -> None:
    scene = Scene(workers=2)
    first, second = scene.ask(0), scene.ask(1)
    third = scene.ask(1)
    await turns()
    assert (scene.granted(0), scene.granted(1)) == ([first], [second])
    assert scene.queue.waiting == 1
    scene.end(first, 0)
    await turns()
    assert scene.granted(1) == [second, third]
    assert scene.counted(Outcome.OK) == 1


async def test_what_is_beyond_the_queue_is_refused_in_words_of_the_gateway() -> None:
    scene = Scene()
    for _ in range(LIMIT + PLACES + 1):
        scene.ask()
    await turns()
    (refused,) = [word for word in scene.wires[0].said if isinstance(word, words.Refused)]
    assert refused.kind == "ModelBusy"
    assert "max_queued" in refused.message
    assert refused.retry_after_s is not None


@pytest.mark.parametrize("granted", [True, False])
async def test_who_gives_up_leaves_a_place_behind(*, granted: bool) -> None:
    scene = Scene()
    numbers = [scene.ask() for _ in range(LIMIT + 1)]
    await turns()
    scene.desks[0].hear(words.GiveUp(numbers[0 if granted else -1]))
    await turns()
    assert scene.queue.waiting == 0
    assert scene.queue.running == LIMIT
    assert scene.counted(Outcome.CANCELLED) == int(granted)


async def test_events_that_were_told_count_though_their_worker_is_killed() -> None:
    scene = Scene()
    number = scene.ask()
    scene.desks[0].hear(words.Came(((number, 5), (number, 2), (99, 1))))
    scene.desks[0].line.connection_lost(None)
    assert scene.counted(Outcome.CANCELLED) == 1
    assert scene.gateway.metrics.completion_tokens.labels("m", "lab", NAME).value == 7


async def test_the_first_word_of_a_workers_stream_finds_a_replica_well_for_all() -> None:
    scene = Scene(workers=2)
    scene.replica.breaker.follow(BreakerRules(failures=1, open_s=0))
    scene.end(scene.ask(), outcome=Outcome.ENGINE_ERROR)
    trying, other = scene.ask(), scene.ask(1)
    await turns()
    assert trying in scene.granted()
    (refused,) = [word for word in scene.wires[1].said if isinstance(word, words.Refused)]
    assert (refused.number, refused.kind, refused.retry_after_s) == (other, "NoModelAvailable", 1)
    scene.desks[0].hear(words.Came(((trying, 1),)))
    third = scene.ask(1)
    assert scene.granted(1) == [third]


STEPS = st.lists(
    st.tuples(st.sampled_from(("ask", "end", "give up", "turn", "die")), st.integers(0, 2)),
    max_size=60,
)


@given(STEPS)
@settings(deadline=None, max_examples=60)
def test_whatever_workers_do_the_limit_holds_and_all_is_given_back(
    steps: list[tuple[str, int]],
) -> None:
    asyncio.run(_walk(steps))


async def _walk(steps: list[tuple[str, int]]) -> None:
    scene, dead = Scene(workers=3), set()
    open_: list[tuple[int, int]] = []
    for what, worker in steps:
        if what == "turn":
            await turns()
        elif worker in dead:
            continue
        elif what == "ask":
            open_.append((worker, scene.ask(worker)))
        elif what == "die":
            dead.add(worker)
            scene.desks[worker].line.connection_lost(None)
        else:
            mine = [number for at, number in open_ if at == worker]
            if mine and what == "end" and mine[0] in scene.granted(worker):
                scene.end(mine[0], worker)
                open_.remove((worker, mine[0]))
            elif mine and what == "give up":
                scene.desks[worker].hear(words.GiveUp(mine[-1]))
                open_.remove((worker, mine[-1]))
        assert scene.replica.in_flight <= LIMIT
        assert scene.queue.running <= LIMIT
        assert scene.queue.waiting <= PLACES
    for worker, desk in enumerate(scene.desks):
        if worker not in dead:
            desk.line.connection_lost(None)
    await turns()
    assert scene.replica.in_flight == scene.replica.outstanding_tokens == 0
    assert scene.queue.running == scene.queue.waiting == 0
    assert sum(desk.running for desk in scene.desks) == 0


async def test_whatever_a_worker_says_is_a_sign_and_what_it_learns_goes_to_the_others() -> None:
    scene = Scene()
    (desk,) = scene.desks
    for word in (words.Here(), words.Learnt((("m", 10, 3, 12),))):
        desk.heard = False
        desk.hear(word)
        assert desk.heard
    assert scene.office.passed_on == [words.Learnt((("m", 10, 3, 12),))]
