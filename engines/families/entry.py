"""What the catalogue says of one model and of one licence: frozen values.

Owns: the facts' names, units and closed words.
Must not: know files or match names.
"""

from typing import Literal, TypeAlias

import msgspec

LicenceClass: TypeAlias = Literal["open", "conditional", "research"]
Commercial: TypeAlias = Literal["yes", "on-request", "no"]
Strength: TypeAlias = Literal[
    "general", "code", "math", "reasoning", "vision", "multilingual", "long-context", "embedding"
]
Template: TypeAlias = Literal[
    "baichuan",
    "chatml",
    "deepseek",
    "falcon",
    "falcon3",
    "gemma",
    "gemma4",
    "llama2",
    "llama3",
    "llama4",
    "mistral",
]


class CatalogueProblem(ValueError):
    """The catalogue's data contradict themselves; the message says in which file and how."""


class Licence(msgspec.Struct, frozen=True, kw_only=True):
    """A licence as conditions that rules can match; None is unknown.

    `spdx` is None where SPDX lists no such licence. `commercial` is `on-request` where the
    licensor must be asked first. `monthly_users` is the most monthly active users allowed;
    `unlimited_users` says that there is no such condition. `excluded_regions` are those whose
    residents get no rights (`EU`). `attribution` is the text that products must show. `hub` are
    the identifiers and names by which cards on the hub mean it.
    """

    id: str
    name: str
    url: str
    licence_class: LicenceClass
    spdx: str | None
    commercial: Commercial | None
    monthly_users: int | None
    unlimited_users: bool
    excluded_regions: tuple[str, ...] | None
    attribution: str | None
    note: str | None
    hub: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one model; None is unknown, which is never taken for no.

    `parameters` and `active_parameters` are counts as the maker states them (active: used for one
    token; for dense models all of them). `context_tokens` is what the published weights take as
    they are, `extended_context_tokens` what the maker documents with RoPE scaling on. `languages`
    are the official ones (ISO 639-1). `architecture` is the GGUF name; `template` the family of
    the chat template, None for base models and where it is one of a kind. `repos` are hub ids,
    `ollama` tags, for matching; the first of `repos` and of `gguf`, repositories with GGUF files,
    is what is pulled. `source` names where the facts were read.
    """

    name: str
    family: str
    is_base: bool
    parameters: int | None
    active_parameters: int | None
    context_tokens: int | None
    extended_context_tokens: int | None
    licence: Licence
    languages: tuple[str, ...] | None
    strengths: tuple[Strength, ...]
    chat: bool | None
    embeddings: bool | None
    vision: bool | None
    tools: bool | None
    template: Template | None
    architecture: str | None
    source: str
    repos: tuple[str, ...] = ()
    ollama: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    gguf: tuple[str, ...] = ()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Return what it is known to be able to do: chat, embeddings, vision, tools."""
        flags = {
            "chat": self.chat,
            "embeddings": self.embeddings,
            "vision": self.vision,
            "tools": self.tools,
        }
        return tuple(name for name, able in flags.items() if able)
