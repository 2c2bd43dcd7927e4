"""Whether the name of a language stands where one that is asked for does.

Owns: what may stand before and behind such a name, and how it may end; these keys of
`data/asking/`.
Must not: know names or verbs; look for either.

"Write about tea in Greek" asks for Greek, and "Write about women in Greek tragedy" does not.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.classify.lexicon import Hit, entry_of
from gateway.classify.plain import plain


class Place(msgspec.Struct, frozen=True):
    """What one language has around names that are asked for; what it does not say is free.

    `before` and `after` are what one of must stand there, `unless` what must not stand behind and
    `described` what not before, where no verb asks ("the label is in Greek"). `endings` are those
    that a name may have beyond what is written, `tongue` what the word for "language" begins with:
    before it, a name may end in any way. Names that end in `adverb` need nothing before. `follows`
    are the words that no adjective stands before, `objects` those that may stand between verb and
    name. Behind `into`, of the verbs `carry`, whatever follows is text to translate. What stands
    right behind `denied`, with or without its verb, is not asked for: "do not answer in Greek".
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    endings: frozenset[str] | None = None
    adverb: str = ""
    tongue: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    objects: frozenset[str] = frozenset()
    carry: tuple[str, ...] = ()
    into: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()

    def holds(self, spaced: str, name: Hit, verbs: Sequence[Hit], raw: str) -> bool:
        """Say whether a name stands right; `raw` is the text with its punctuation, or less."""
        head, rest = spaced[: name.at].rstrip(), spaced[name.end :]
        bare = bool(self.adverb) and name.entry.endswith(self.adverb)
        if not (bare or self._follows(head)) or (not verbs and head.endswith(self.described)):
            return False
        if self.denied and self._is_denied(head, verbs):
            return False
        if self.after and not rest.lstrip().startswith(self.after):
            return False
        ending, _, behind = ("", "", rest) if name.entry.endswith(" ") else rest.partition(" ")
        if self.tongue and behind.startswith(self.tongue):
            return True
        if self.endings is not None and ending and ending not in self.endings:
            return False
        carried = head.endswith(self.into) and any(verb.entry in self.carry for verb in verbs)
        return carried or self._ends_there(head, behind, name, verbs, raw)

    def _follows(self, head: str) -> bool:
        return not self.before or head.endswith(self.before)

    def _ends_there(
        self, head: str, behind: str, name: Hit, verbs: Sequence[Hit], raw: str
    ) -> bool:
        """Say whether what is behind a name does not belong to it."""
        if behind.startswith(self.unless):
            return False
        return not self.follows or self._is_no_adjective(head, behind, name, verbs, raw)

    def _is_no_adjective(
        self, head: str, behind: str, name: Hit, verbs: Sequence[Hit], raw: str
    ) -> bool:
        if not behind.strip() or behind.startswith(self.follows) or behind[0].isdecimal():
            return True
        ended = rf"\b{re.escape(name.entry.strip())}\s*[^\w\s'\u2019-]"
        return bool(re.search(ended, raw, re.IGNORECASE)) or self._is_beside(head, verbs)

    def _is_beside(self, head: str, verbs: Sequence[Hit]) -> bool:
        """Say whether the verb stands right before the name: "explain it in Greek"."""
        words = self._without_objects(self._without_before(head))
        return _ends_in_one(words, verbs)

    def _is_denied(self, head: str, verbs: Sequence[Hit]) -> bool:
        """Say whether what stands before a name forbids it, or says that it is not so."""
        head = self._without_before(head)
        words = self._without_objects(head)
        if _ends_in_one(words, verbs):
            words.pop()
        return head.endswith(self.denied) or f" {' '.join(words)}".endswith(self.denied)

    def _without_before(self, head: str) -> str:
        longest = max((one for one in self.before if head.endswith(one)), key=len, default="")
        return head.removesuffix(longest).rstrip()

    def _without_objects(self, head: str) -> list[str]:
        words = head.split()
        while words and words[-1] in self.objects:
            words.pop()
        return words


def _ends_in_one(words: Sequence[str], verbs: Sequence[Hit]) -> bool:
    return bool(words) and any(f"{words[-1]} ".startswith(verb.entry) for verb in verbs)


def place_of(data: Mapping[str, Any], space: str) -> Place:
    """Return what a file of `data/asking/` says; `space` is what its words begin with."""

    def entries(key: str) -> tuple[str, ...]:
        return tuple(entry_of(word) for word in data.get(key, ()))

    return Place(
        before=tuple(space + plain(word).strip() for word in data.get("before", ())),
        after=entries("after"),
        unless=entries("unless"),
        described=tuple(space + plain(words).strip() for words in data.get("described", ())),
        endings=frozenset(data["endings"]) if "endings" in data else None,
        adverb=entry_of(data["adverb"]) if "adverb" in data else "",
        tongue=entries("tongue"),
        follows=tuple(entry_of(f"{word}$") for word in data.get("follows", ())),
        objects=frozenset(data.get("objects", ())),
        carry=entries("carry"),
        into=tuple(space + plain(word).strip() for word in data.get("into", ())),
        denied=tuple(space + plain(word).strip() for word in data.get("denied", ())),
    )
