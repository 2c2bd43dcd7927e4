"""What a file can be asked for: text, vectors, ranks.

Owns: what its header and what people say of it come to; gateway and worker go by the same.
Must not: read files.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from engines.weights.gguf import GgufHeader

Pooling: TypeAlias = Literal["mean", "cls", "last", "rank"]


@dataclass(frozen=True, slots=True)
class Abilities:
    """`pooling` is how its texts become vectors or, with `rank`, scores.

    What `generates` text and what was made for vectors or ranks alone are different files; a file
    that generates may make vectors too, where somebody says so.
    """

    generates: bool
    embeds: bool
    reranks: bool
    pooling: str


def abilities_of(
    header: GgufHeader, *, pooling: Pooling | None = None, embeddings: bool | None = None
) -> Abilities:
    """Return what a file can do; `pooling` and `embeddings` are what people say, None nothing.

    A pooling of rank needs the head that ranks come from: without it the file can do nothing.
    """
    made_for_pooling = header.pooling is not None or not header.is_causal
    chosen = pooling or header.pooling or "mean"
    may_embed = made_for_pooling or pooling is not None or header.embeddings is True
    return Abilities(
        generates=not made_for_pooling,
        embeds=chosen != "rank" and (may_embed if embeddings is None else embeddings),
        reranks=chosen == "rank" and header.has_rank_head,
        pooling=chosen,
    )
