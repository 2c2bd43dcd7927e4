"""Where models were looked for and what was found there: frozen values.

Owns: the shape of an answer, of a refusal, of a file. Must not: ask, read or judge anything.
"""

from dataclasses import dataclass

from engines.weights import GgufHeader


@dataclass(frozen=True, slots=True)
class Listed:
    """One model as a server lists it; None where the server does not say.

    `root` is what the server loaded, `parent` the model below a LoRA adapter. `context_tokens` is
    what the server serves, `trained_tokens` what the model was made for.
    `capabilities` are those that our own list of models tells.
    """

    id: str
    root: str | None = None
    parent: str | None = None
    context_tokens: int | None = None
    trained_tokens: int | None = None
    parameters: int | None = None
    capabilities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answered; `url` is the base URL that worked, `owner` its `owned_by`."""

    url: str
    models: tuple[Listed, ...]
    key_env: str | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Silent:
    """A server that gave no list of models; `reason` says why and how to mend it."""

    url: str
    reason: str
    key_env: str | None = None


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A GGUF file; `written` is the path as the configuration file is to name it."""

    written: str
    header: GgufHeader


@dataclass(frozen=True, slots=True)
class Sources:
    """All that was asked for, in the order in which it was given."""

    servers: tuple[Server, ...] = ()
    silent: tuple[Silent, ...] = ()
    files: tuple[WeightsFile, ...] = ()
