"""What a found model is: its entry in the catalogue, its role, its facts.

Owns: the match of a served id or a file with the catalogue (surely or not at all), and which
models are not for chat.
Must not: know rules or engines' addresses.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from engines.families import Catalogue, Entry
from engines.llamacpp.beforehand import own_context
from engines.weights import GgufHeader, abilities_of
from gateway.setup.sources import Listed

# Ollama and LM Studio, by their `owned_by`.
_SPARING = ("library", "organization_owner")

_WORDS = re.compile(r"[a-z0-9]+")
_EMBED_WORDS = frozenset({"embed", "embedding", "embeddings", "bge", "gte", "minilm"})
_E5 = re.compile(r"\be5-(?:small|base|large|mistral)")
_RANK_WORDS = frozenset({"rerank", "reranker"})
_OTHER_WORDS = frozenset({"whisper", "tts", "asr", "diffusion"})


class Role(StrEnum):
    """What `auto` may use a model for."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    RERANKER = "reranker"
    ADAPTER = "adapter"
    BASE = "base"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Found:
    """A model as it was found; None is unknown.

    `served` is the server's id or the file's path. `is_sparing` says that the server gives a few
    thousand tokens unless told otherwise, whatever the model takes. `parent` is the model below a
    LoRA adapter.
    """

    served: str
    entry: Entry | None
    role: Role
    local: bool = False
    parent: str | None = None
    served_context_tokens: int | None = None
    trained_tokens: int | None = None
    is_sparing: bool = False
    parameters: int | None = None
    architecture: str | None = None

    @property
    def context_tokens(self) -> int | None:
        """What server or worker is known to take, else what the catalogue says the weights take."""
        known = None if self.entry is None else self.entry.context_tokens
        if not self.local:
            return self.served_context_tokens or (None if self.is_sparing else known)
        own = self.trained_tokens or known
        return None if own is None else own_context(own)

    @property
    def strengths(self) -> tuple[str, ...]:
        """The catalogue's strengths, the foremost first."""
        return () if self.entry is None else self.entry.strengths

    @property
    def languages(self) -> tuple[str, ...]:
        """The official languages, none where nobody says."""
        return () if self.entry is None else self.entry.languages or ()


def found_on_server(
    listed: Listed, catalogue: Catalogue, parent: Listed | None = None, owner: str = ""
) -> Found:
    """Return what a server's model is; `parent` is the row of the model below an adapter.

    An adapter is another model than the one below it, so that its root says nothing of it.
    """
    adapter = listed.parent is not None
    entry = None if adapter else catalogue.find(listed.id)
    if entry is None and not adapter and listed.root is not None:
        entry = catalogue.find(listed.root)
    below = parent.context_tokens if parent is not None else None
    return Found(
        served=listed.id,
        entry=entry,
        role=Role.ADAPTER if adapter else _able(listed.capabilities) or _role(listed.id, entry),
        parent=listed.parent,
        served_context_tokens=listed.context_tokens or below,
        trained_tokens=listed.trained_tokens or (None if entry is None else entry.context_tokens),
        is_sparing=owner in _SPARING,
        parameters=(None if entry is None else entry.parameters) or listed.parameters,
    )


def found_in_file(written: str, header: GgufHeader, catalogue: Catalogue) -> Found:
    """Return what a file is, by its path, else by the name in its header.

    A match counts only where the header names the entry's architecture.
    """
    names = [written] + ([f"{header.name}.gguf"] if header.name else [])
    entries = filter(None, (catalogue.find(name) for name in names))
    entry = next((e for e in entries if e.architecture in (None, header.architecture)), None)
    return Found(
        served=written,
        entry=entry,
        role=_told_role(header) or _role(header.name or written, entry),
        local=True,
        trained_tokens=header.context_length,
        parameters=(None if entry is None else entry.parameters) or header.parameters,
        architecture=header.architecture,
    )


def _able(capabilities: frozenset[str]) -> Role | None:
    """Return the role of what another gateway of ours says that it cannot generate."""
    if "generation" in capabilities:
        return None
    if "reranking" in capabilities:
        return Role.RERANKER
    return Role.EMBEDDING if "embeddings" in capabilities else None


def _told_role(header: GgufHeader) -> Role | None:
    """Return the role that a file's header leaves no doubt of."""
    abilities = abilities_of(header)
    if header.architecture == "clip":  # the eyes of a model that stands in a file of its own
        return Role.OTHER
    if abilities.reranks:
        return Role.RERANKER
    if not abilities.generates or "bert" in header.architecture:
        return Role.EMBEDDING
    return None


def _role(name: str, entry: Entry | None) -> Role:
    """Return the role: the catalogue decides, and without it a name that leaves no doubt."""
    if entry is not None:
        if entry.is_base:
            return Role.BASE
        return Role.EMBEDDING if entry.embeddings and not entry.chat else Role.CHAT
    lower = name.lower()
    words = set(_WORDS.findall(lower))
    if words & _RANK_WORDS:
        return Role.RERANKER
    if words & _OTHER_WORDS:
        return Role.OTHER
    return Role.EMBEDDING if words & _EMBED_WORDS or _E5.search(lower) else Role.CHAT
