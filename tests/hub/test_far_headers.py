"""What a model takes in memory, told from its header before the file is fetched."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from engines.demo import weights_path
from engines.families import load_catalogue
from engines.hub.choice import need_bytes
from engines.hub.far_headers import FarNeeds
from engines.hub.listing import fetch_listing
from engines.hub.preparing import Ground, prepare
from engines.hub.settings import HubSettings
from engines.kinds import LlamacppEngine, ModelOrder
from engines.weights.references import HubRepo
from engines.weights.store import Store
from engines.weights.variants import Variant, variants_in
from tests.support.hub import Fault, Hub, Repo, running_hub
from tests.support.split_gguf import split

TOY = weights_path("qwen").read_bytes()


@pytest.fixture
def hub() -> Iterator[Hub]:
    parts = split(weights_path("qwen"), "toy-q8_0", 2)
    files = {"toy-q4_0.gguf": TOY, **parts, "no-q2_k.gguf": b"none" * 500}
    with running_hub({"o/toy": Repo(files)}) as hub:
        yield hub


def needs(hub: Hub, client: httpx2.Client) -> tuple[FarNeeds, dict[str, Variant]]:
    settings = HubSettings(hub.url)
    listing = fetch_listing(settings, HubRepo("o/toy"))
    return FarNeeds(settings, listing, client), {
        variant.quantisation: variant for variant in variants_in(listing.sized)
    }


def near(path: Path) -> int:
    engine = LlamacppEngine(kind="llamacpp")
    return engine.need(ModelOrder("toy", "", Path(), weights=str(path))).total_bytes


def test_it_is_what_the_file_itself_says_for_a_fraction_of_its_bytes(
    hub: Hub, client: httpx2.Client
) -> None:
    need, variants = needs(hub, client)
    assert need(variants["Q4_0"]) == near(weights_path("qwen"))
    in_parts = need(variants["Q8_0"])
    assert in_parts == pytest.approx(near(weights_path("qwen")), rel=0.05)
    asked = len(hub.asked)
    assert need(variants["Q4_0"]) == near(weights_path("qwen"))
    assert len(hub.asked) == asked


def test_where_no_header_can_be_read_the_size_has_to_do(hub: Hub, client: httpx2.Client) -> None:
    need, variants = needs(hub, client)
    assert need(variants["Q2_K"]) == need_bytes(2_000)
    hub.faults = [Fault(ignores_range=True)]
    assert need(variants["Q4_0"]) == need_bytes(len(TOY))
    hub.faults = [Fault(status=500)]
    assert need(variants["Q8_0"]) == need_bytes(variants["Q8_0"].size_bytes)


def test_the_choice_goes_by_it(hub: Hub, client: httpx2.Client, store: Store) -> None:
    room = near(weights_path("qwen"))
    ground = Ground(HubSettings(hub.url), store, load_catalogue(), room, client)
    selected = prepare(ground, HubRepo("o/toy")).selected
    assert selected is not None
    assert selected.quantisation in ("Q4_0", "Q8_0")
    assert hub.fetched == []
