"""The catalogue: entries, licences, and which entry a name means.

Owns: the order in which the readings of a name are tried. A wrong match is worse than none, so a
name counts only when every word of it is accounted for.
Must not: read files; `loading` does.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from engines.families.entry import CatalogueProblem, Entry, Licence
from engines.families.names import (
    BASE_MARKERS,
    Key,
    Written,
    is_quantisation,
    key_of,
    tag_size,
    take_apart,
)

_OLLAMA_OWNERS = ("", "library")

_NamesOf: TypeAlias = Callable[[Entry], Iterable[str]]
_K = TypeVar("_K", bound=Hashable)


class Catalogue:
    """All entries and licences; immutable once built.

    Raises:
        CatalogueProblem: two entries claim one name.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        licences: Iterable[Licence],
        open_on_hub: Iterable[str] = (),
    ) -> None:
        self.open_on_hub = frozenset(open_on_hub)
        self.entries = tuple(entries)
        self.licences: Mapping[str, Licence] = MappingProxyType({one.id: one for one in licences})
        self._owners = frozenset(
            repo.partition("/")[0].lower() for entry in self.entries for repo in entry.repos
        )
        self._by_name = _index((_own_names(entry), entry) for entry in self.entries)
        self._by_repo = _index((entry.repos, entry) for entry in self.entries)
        self._by_tag = _index((entry.ollama, entry) for entry in self.entries)
        self._by_own_key = self._keys(_own_names)
        self._by_hub_key = self._keys(lambda entry: (_last(repo) for repo in entry.repos))

    def licence_on_hub(self, *names: str | None) -> Licence | None:
        """Return the licence that a card on the hub means by its identifier or its name."""
        wanted = {name.lower() for name in names if name}
        by_name = (one for one in self.licences.values() if wanted & {one.id, *one.hub})
        return next(by_name, None)

    def find(self, name: str) -> Entry | None:
        """Return the entry that a name means, None when no entry surely is meant.

        Read are our own names, hub ids (of quantised copies by other owners too), names and paths
        of weights, Ollama tags. A bare name (`qwen2.5-7b`) means the tuned model; as a hub id or
        file it means what the hub calls so, which may be the base model.
        """
        own = self._by_name.get(name.strip().lower())
        if own is not None:
            return own
        written = take_apart(name)
        if written.tag and not is_quantisation(written.tag):
            return self._by_ollama_tag(written)
        if written.owner:
            exact = self._by_repo.get(f"{written.owner}/{written.stem}".lower())
            if exact is not None:
                return exact
        key = key_of(written.stem, self._owners)
        return None if key is None else self._by_key(key, written)

    def _by_key(self, key: Key, written: Written) -> Entry | None:
        if not written.owner and not written.is_place:
            return self._by_own_key.get(key) or self._by_hub(key)
        found = self._by_hub(key)
        if found is not None or written.owner:
            return found
        own = self._by_own_key.get(key)
        # A file called after our name says nothing of its tuning where a base model exists too.
        return None if own is not None and self._has_base(own) else own

    def _by_hub(self, key: Key) -> Entry | None:
        found = self._by_hub_key.get(key)
        if found is None and key.marker in BASE_MARKERS:
            plain = self._by_hub_key.get(Key(key.words, ""))
            return plain if plain is not None and plain.is_base else None
        return found

    def _by_ollama_tag(self, written: Written) -> Entry | None:
        if written.owner not in _OLLAMA_OWNERS:
            return None
        size, is_base = tag_size(written.tag)
        found = self._by_tag.get(f"{written.stem}:{size}".lower())
        if found is not None and is_base:
            return self._by_name.get(f"{found.name}-base")
        return found

    def _has_base(self, entry: Entry) -> bool:
        return not entry.is_base and f"{entry.name}-base" in self._by_name

    def _keys(self, names_of: _NamesOf) -> Mapping[Key, Entry]:
        found: dict[Key, Entry] = {}
        for entry in self.entries:
            for name in names_of(entry):
                key = key_of(name, self._owners)
                if key is not None:
                    _claim(found, key, entry)
        return found


def _own_names(entry: Entry) -> tuple[str, ...]:
    return (entry.name, *entry.aliases)


def _last(repo: str) -> str:
    return repo.rpartition("/")[2]


def _index(claims: Iterable[tuple[Iterable[str], Entry]]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for names, entry in claims:
        for name in names:
            _claim(found, name.lower(), entry)
    return found


def _claim(found: dict[_K, Entry], key: _K, entry: Entry) -> None:
    owner = found.setdefault(key, entry)
    if owner is not entry:
        raise CatalogueProblem(f"{owner.name} and {entry.name} are both called {key}")
