"""From a reference to an order that people can be shown before anything is fetched.

Owns: asking the hub once, choosing, and what is here already.
Must not: fetch files, or ask people.
"""

from dataclasses import dataclass, replace

import httpx2

from engines.families import Catalogue
from engines.hub.far_headers import FarNeeds
from engines.hub.licences import Terms, terms_of
from engines.hub.listing import Listing, fetch_listing
from engines.hub.problems import PullProblem
from engines.hub.pulling import Order, order_from_hub, order_from_web
from engines.hub.selection import Format, Room, Selected, select
from engines.hub.settings import HubSettings
from engines.weights.problems import WeightsProblem
from engines.weights.references import HubRepo, WebFile
from engines.weights.store import Store
from engines.weights.variants import variants_in


@dataclass(frozen=True, slots=True)
class Ground:
    """What is the same for everything that is pulled in one go."""

    settings: HubSettings
    store: Store
    catalogue: Catalogue
    room_bytes: int
    client: httpx2.Client


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order with what people want to know of it; `terms` is None where nobody can tell them."""

    order: Order
    selected: Selected | None = None
    terms: Terms | None = None

    @property
    def weights(self) -> str:
        """Return what `weights:` has to say for these files."""
        if self.selected is None or not self.selected.pick or not self.selected.quantisation:
            return self.order.named
        return f"{self.order.named}:{self.selected.quantisation}"


def prepare(ground: Ground, reference: HubRepo | WebFile, wanted: Format | None = None) -> Prepared:
    """Return what has to be fetched for a reference; `wanted` is what its engine takes.

    Raises:
        PullProblem: it cannot be had.
    """
    if isinstance(reference, WebFile):
        return Prepared(order_from_web(ground.store, reference, ground.client))
    listing = fetch_listing(ground.settings, reference)
    try:
        selected = _selected(ground, reference, listing, wanted)
    except WeightsProblem as problem:
        raise PullProblem(str(problem)) from None
    order = order_from_hub(
        ground.settings,
        ground.store,
        reference,
        listing,
        files=selected.files,
        pick=selected.pick,
    )
    terms = terms_of(listing, ground.catalogue)
    about = (ground.store.about_note(reference.repo), terms.name)
    return Prepared(replace(order, notes=(*order.notes, about)), selected, terms)


def _selected(
    ground: Ground, reference: HubRepo, listing: Listing, wanted: Format | None
) -> Selected:
    """Choose; a bare name stays what it was pulled as before."""
    needs = FarNeeds(ground.settings, listing, ground.client)
    room = Room(ground.room_bytes, needs)
    before = None if reference.pick else ground.store.pick(reference)
    paths = {file.path for variant in variants_in(listing.sized) for file in variant.files}
    if before is None or before not in paths or wanted == "safetensors":
        return select(listing, reference, room, wanted)
    same = select(listing, replace(reference, pick=before), room, wanted)
    return replace(same, pick=before, why="as before; choose another with --quant")
