"""Languages that share most of their short texts, and which of them is meant.

Owns: the families of `data/kin.toml`, and `Hints`: what beside a text speaks for a language.
Must not: read a text.
"""

import functools
from collections.abc import Collection, Mapping

import msgspec

from gateway.classify.lexicon import read_file

_NOBODY: frozenset[str] = frozenset()


class Hints(msgspec.Struct, frozen=True):
    """Languages that something beside a text speaks for, the likeliest first.

    `headers` are those that the request's headers name. `spoken` are those of earlier turns and
    `system` those of the system prompt: they settle whose a set phrase is and which of several kin
    is meant, and nothing else, as people change between languages.
    """

    headers: tuple[str, ...] = ()
    spoken: tuple[str, ...] = ()
    system: tuple[str, ...] = ()

    def of_family(self, language: str) -> str | None:
        """Return the likeliest of what is hinted at among a language and its kin, if any is."""
        return self.first_of({language, *kin_of(language)})

    def first_of(self, languages: Collection[str]) -> str | None:
        """Return the likeliest of some languages that is hinted at, if any is."""
        told = (*self.spoken, *self.headers, *self.system)
        return next((one for one in told if one in languages), None)


NO_HINTS = Hints()


def kin_of(language: str) -> frozenset[str]:
    """Return what a language may be taken for; itself is not among them."""
    return _families().get(language, _NOBODY)


@functools.cache
def _families() -> Mapping[str, frozenset[str]]:
    families = [frozenset(family) for family in read_file("kin.toml")["families"]]
    return {one: family - {one} for family in families for one in family}
