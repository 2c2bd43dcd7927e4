"""Who is in memory, without processes: what becomes of weights that have come to no avail."""

import time
from dataclasses import replace

from engines.kinds import Absent, Launch
from engines.residency import State, Unit
from gateway.fleet import Condition
from gateway.fleet.learned import LoadTimes
from gateway.fleet.residence import Residence, Residing
from gateway.fleet.resident import Resident
from gateway.observe.residency import ResidencyMetrics
from tests.support.fleets import fleet_of, plan


async def test_weights_that_have_come_to_no_avail_fail_their_model_until_they_come_again() -> None:
    launch = Launch((), None, 1, 1)
    absent = replace(plan("a"), launch=launch, absent=Absent("lab/a:Q4_0", "gguf"))
    fleet, metrics = fleet_of(absent, ready=False)
    (replica,) = fleet
    resident = Resident(
        fleet, ResidencyMetrics(metrics.registry), LoadTimes(None), time.perf_counter
    )
    resident.serve(lambda: None, lambda _: False)
    resident.settle(Residing(residences=(Residence(Unit("a"), ("a",), at_start=False),)))
    (tenant,) = resident.tenants
    resident.turns.pull(tenant, 0.0)
    resident.not_taken("nothing has come")
    assert tenant.state is State.PULLING
    tenant.has_come = True
    resident.not_taken("nobody can read them")
    assert (tenant.state, replica.condition) == (State.FAILED, Condition.FAILED)
    assert replica.reason == "nobody can read them"
    resident.turns.pull(tenant, 1.0)
    resident.not_taken("those before")
    assert tenant.state is State.PULLING
    resident.close()
