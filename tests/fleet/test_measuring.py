"""Measuring processes: what becomes of a failure of its own."""

import os
import time
from pathlib import Path

import pytest

from engines.kinds import ReplicaPlan
from engines.memory.remembered import Remembered
from gateway.fleet.learned import LoadTimes
from gateway.fleet.measuring import Measuring, Reckoned
from gateway.fleet.resident import Resident
from gateway.observe.residency import ResidencyMetrics
from tests.support.fleets import fleet_of, plan


async def test_what_cannot_be_reckoned_is_logged_and_fails_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fleet, metrics = fleet_of(plan())
    (replica,) = fleet
    resident = Resident(
        fleet, ResidencyMetrics(metrics.registry), LoadTimes(None), time.perf_counter
    )

    def mark_of(one: ReplicaPlan) -> str:
        raise KeyError(one.model)

    reckoned = Reckoned(mark_of, lambda _: None)
    measuring = Measuring(Remembered(tmp_path), resident, reckoned)
    await measuring.loaded(replica, os.getpid())
    await measuring.leaving(replica, os.getpid())
    assert "m/lab/0 could not be measured" in caplog.text
