"""Which files of a repository are fetched.

Owns: GGUF or safetensors, the variant, the reason. Must not: ask the hub.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from engines.hub.choice import NeedOf, largest_that_fits
from engines.hub.listing import Listing
from engines.weights.formats import wanted_safetensors
from engines.weights.problems import WeightsProblem
from engines.weights.references import HubRepo
from engines.weights.variants import SizedFile, picked, variants_in

Format: TypeAlias = Literal["gguf", "safetensors"]


@dataclass(frozen=True, slots=True)
class Room:
    """The memory that there is, and what variants take of it."""

    size_bytes: int
    need_of: NeedOf


@dataclass(frozen=True, slots=True)
class Selected:
    """The files, and the reason where there was a choice; `pick` is what a bare name now means."""

    files: tuple[SizedFile, ...]
    format: Format
    quantisation: str = ""
    why: str = ""
    pick: str | None = None


def select(
    listing: Listing, reference: HubRepo, room: Room, wanted: Format | None = None
) -> Selected:
    """Return what to fetch; `wanted` is what the engine takes, None whatever there is.

    Raises:
        WeightsProblem: nothing fits, or there is no such file.
    """
    variants = variants_in(listing.sized, reference.pick)
    has_safetensors = any(file.path.endswith(".safetensors") for file in listing.sized)
    if wanted == "safetensors" or (wanted is None and not variants and has_safetensors):
        if not has_safetensors:
            raise WeightsProblem(f"{listing.repo} has no safetensors files, which vLLM wants")
        return Selected(tuple(wanted_safetensors(listing.sized)), "safetensors")
    if not variants and has_safetensors:
        raise WeightsProblem(
            f"{listing.repo} has no GGUF files, which llama.cpp wants; look for its GGUF copy on "
            "the hub (often the same name with -GGUF), or serve it with kind: vllm"
        )
    if reference.pick is not None:
        variant = picked(variants, reference.pick, listing.repo)
        if variant.missing:
            raise WeightsProblem(f"{listing.repo} lacks parts of {variant.stem}")
        return Selected(variant.files, "gguf", variant.quantisation)
    choice = largest_that_fits(variants, room.size_bytes, listing.repo, room.need_of)
    return Selected(
        choice.variant.files,
        "gguf",
        choice.variant.quantisation,
        choice.why,
        choice.variant.first,
    )
