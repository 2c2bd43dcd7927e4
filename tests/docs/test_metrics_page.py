"""docs/metrics.md and what is exported: neither has a name that the other lacks."""

from collections.abc import Iterator

from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from engines.llamacpp.counts import Counts
from engines.llamacpp.scrape import exposition
from engines.residency import State
from gateway.domain import Outcome
from gateway.fleet.coming import Coming
from gateway.observe.engine_figures import Durations, EngineFigures
from gateway.observe.metrics import Metrics
from gateway.observe.processes import ProcessMetrics
from gateway.observe.residency import ResidencyMetrics, UnitFigures
from gateway.observe.scrape import ReplicaFigures
from tests.support.prometheus import PAGE, documented


def exported() -> Iterator[tuple[str, Metric]]:
    """Yield every metric of the gateway and of a worker, by the name in the text."""
    metrics = Metrics()
    metrics.of("m", "cpu", "0")
    metrics.may_shadow("m")
    metrics.waits_of("m")
    metrics.counted("m", told=True)
    own = EngineFigures(0, 0, 0, 0, 0, 0, Durations(0, 0), Durations(0, 0))
    figures = ReplicaFigures("m", "cpu", "0", up=True, restarts=0, own=own)
    metrics.show(lambda: [figures])
    units = [UnitFigures("m", State.PULLING, {"ram": 1}, Coming(0, 2, 1))]
    ResidencyMetrics(metrics.registry).show(lambda: units, {"ram": 2})
    ProcessMetrics(metrics.registry)
    for text in (generate_latest(metrics.registry).decode(), exposition(Counts())):
        for family in text_string_to_metric_families(text):
            counter = family.type == "counter"
            yield f"{family.name}_total" if counter else family.name, family


def test_the_page_and_the_code_have_the_same_names_types_and_labels() -> None:
    page = {row.name: (row.kind, row.labels) for row in documented()}
    code = {
        name: (family.type, frozenset(label for s in family.samples for label in s.labels) - {"le"})
        for name, family in exported()
    }
    assert page == code
    assert len(page) == len(documented())


def test_every_row_of_the_page_is_whole() -> None:
    for row in documented():
        assert row.unit
        assert row.meaning.endswith(".")
        assert row.name in row.example


def test_the_page_names_every_outcome() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for outcome in Outcome:
        assert f"`{outcome.value}`" in text


def test_base_units_stand_in_the_names() -> None:
    for name, family in exported():
        assert (family.type == "counter") is name.endswith("_total")
        if family.type in ("histogram", "summary"):
            assert name.endswith(("_seconds", "_tokens"))
