"""What the names mean that a client may ask for: a model, an alias, `auto` and its variants.

Owns: these names, and the error for any other.
Must not: know rules, or choose a model.
"""

import difflib

import msgspec

from gateway.config.names import resolved_aliases, variants_of
from gateway.config.schema import RoutingFile
from gateway.config.vocabulary import AUTO
from gateway.errors import ModelNotFound


class Meaning(msgspec.Struct, frozen=True):
    """What an asked name means: one model, or `auto` with a variant ("" for plain `auto`).

    `rule` is `name` or `alias` for a model, "" for `auto`.
    """

    model: str | None
    variant: str
    rule: str
    reason: str


class Meanings:
    """The names of one `routing.yaml`: `names` are all of them. Immutable."""

    def __init__(self, file: RoutingFile) -> None:
        self._models = tuple(file.models)
        self._aliases = resolved_aliases(file)
        auto = (AUTO, *(f"{AUTO}:{variant}" for variant in variants_of(file)))
        self.names = (*self._models, *self._aliases, *auto)
        self._known = {name: self._read(name) for name in ("", *self.names)}

    def of(self, name: str | None) -> Meaning:
        """Return what an asked name means; no name means `auto`.

        Raises:
            ModelNotFound: it is no model, alias or variant of `auto`.
        """
        found = self._known.get(name or "")
        if found is None:
            raise self._not_found(name or "")
        return found

    def _read(self, name: str) -> Meaning:
        if not name:
            return Meaning(None, "", "", "no model was named, which means auto")
        if name in self._models:
            return Meaning(name, "", "name", f"the client asked for {name}")
        target = self._aliases.get(name)
        if target in self._models:
            return Meaning(target, "", "alias", f"{name} is an alias of {target}")
        why = f"the client asked for {name}" + (f", an alias of {target}" if target else "")
        return Meaning(None, (target or name).partition(":")[2], "", why)

    def _not_found(self, name: str) -> ModelNotFound:
        short = name[:100]  # the client chose it, and comparing takes time with its length
        close = difflib.get_close_matches(short, self.names, n=2, cutoff=0.6)
        return ModelNotFound(short, tuple(close))
