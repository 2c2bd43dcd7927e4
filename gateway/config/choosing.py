"""The sections of `routing.yaml` that say how one of several models is chosen.

Owns: keys, types, ranges, defaults of these; `gateway.config.schema` says where they stand.
Must not: choose; `gateway.selection` does.
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from engines.kinds.section import Section

Weight: TypeAlias = Annotated[float, Field(ge=0, le=1_000)]


class ScoreSection(Section):
    """`scores:` how much each criterion counts where scores decide; 0 is not at all."""

    task: Weight = Field(6, description="Whether the model was made for the task.")
    language: Weight = Field(
        4, description="Whether the language of the answer is one that the model officially speaks."
    )
    size: Weight = Field(2, description="Whether its size goes with the request's difficulty.")
    load: Weight = Field(2, description="How much room it has: 1 is idle, 0 is full.")
    loaded: Weight = Field(1, description="Whether it serves now, and else how soon it will.")
    cache: Weight = Field(1, description="How much of the prompt it has read for earlier requests.")
