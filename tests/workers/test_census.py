"""Connections that several processes count as one, and what a killed one had."""

import subprocess
import sys

import pytest

from gateway.workers.census import Place, Places

WORKERS, ROUNDS = 3, 2_000
# Comes and goes for a while, then stays with one connection until it is told to end.
BUSY = """
import sys
from gateway.workers.census import Place
descriptor, number, rounds = map(int, sys.argv[1:])
place, most = Place(descriptor, number), 0
for _ in range(rounds):
    most = max(most, place.came())
    place.went()
place.came()
print(most, flush=True)
sys.stdin.read()
"""


def test_nobody_is_counted_twice_or_lost_in_a_race_of_processes() -> None:
    places = Places(WORKERS)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BUSY, str(places.descriptor), str(number), str(ROUNDS)],
            pass_fds=(places.descriptor,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WORKERS)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert 1 <= int(process.stdout.readline()) <= WORKERS
        assert places.total() == WORKERS
        processes[1].kill()
        processes[1].wait()
        assert places.total() == WORKERS  # nobody has noticed yet
        places.vacate(1)
        assert places.total() == WORKERS - 1
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("workers", [1, 7])
def test_each_worker_sees_the_sum_of_all(workers: int) -> None:
    places = Places(workers)
    seen = [Place(places.descriptor, number).came() for number in range(workers)]
    assert seen == list(range(1, workers + 1))
