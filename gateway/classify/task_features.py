"""The names of everything in a text that the linear model of tasks may know.

Owns: which words, pairs of words and signs of scripts without spaces become features, and where;
what its last sentence and its question say.
Must not: know weights. What changes here asks for `make task-model`.
"""

import re
from collections.abc import Collection, Container, Iterator, Sequence
from itertools import pairwise

import msgspec

from gateway.classify.phrases import Passage, Phrases, Said
from gateway.classify.plain import plain
from gateway.classify.reading import Text
from gateway.classify.signs import QUESTION, Signs, shape_of

_HEAD_WORDS = 60  # of all the prose
_TAIL_WORDS = 40
_ASKED_HEAD = 36  # of the instruction, whose words count in pairs too
_ASKED_TAIL = 10
_SUPPLIED_HEAD = 16  # of a document, when an instruction stands apart from it
_SUPPLIED_TAIL = 8
_APART_SHARE = 0.6  # a longer instruction may be the text itself
_APART_CHARS = 14
_STEMS = ((7, 5), (6, 4))  # of words that are so long, so many letters
_EDGE_STEM = 5
# Thai to Khmer, kana, Han, Hangul: no spaces, or words that end in many ways.
_RUN = re.compile("[\u0e00-\u1dff\u3000-\ud7ff\uf900-\ufaff]+")
_RUN_SIGNS = 60  # at each end
_EDGE_SIGNS = (2, 3, 4)
# One set of signs stands first, which `re` looks for much faster than for either of two patterns.
_SENTENCE_ENDS = re.compile(
    "[.!?\u3002\uff01\uff1f\u061f\u0964\n](?:(?<!\n)\\s*(?=\\S)|(?<=\n)\\n*)"
)
_SENTENCE_CHARS = 4
_MOST_SENTENCES = 5
_CLOSING = '"\u201d\u00bb)'
_FIRST_CHARS = 12
_UNSPACED = "\u0e00"
_MOST_PROGRAMMING = 3


class Features(msgspec.Struct, frozen=True):
    """The features of a text.

    `told` are the instruction's words in their order, of which those that stand side by side, or
    with one between, are groups: most are unknown to the model, and not worth making.
    """

    names: Collection[str]
    told: Sequence[str] = ()

    def groups(self, firsts: Container[str]) -> set[tuple[str, ...]]:
        """Return the groups that begin with some words; a word that is left out is `_` there."""
        told = self.told
        pairs = [pair for pair in pairwise(told) if pair[0] in firsts]
        further = zip(told, told[2:], strict=False)
        return {*pairs, *[(one, "_", other) for one, other in further if one in firsts]}

    def all_names(self) -> set[str]:
        """Return the names of all, by which the model is written down."""
        return {*self.names, *map(" ".join, self.groups(self.told))}


def may_be_group(name: str) -> bool:
    """Say whether a name may be that of a group."""
    return " " in name and name[-1] != "$" and name[0] not in "@^>?!"


def features_of(
    text: Text,
    passage: Passage,
    signs: Signs,
    phrases: Phrases,
    said: Said | None,
    *,
    programming: frozenset[str] = frozenset(),
) -> Features:
    """Return the features of a text; `programming` are words of programmers, of all languages."""
    found = set(shape_of(text, signs))
    found.update(_marks(text, passage, programming))
    found.update(phrases.names())
    found.add("@says nothing" if said is None else f"@says {said.task}")
    whole, asked, all_words, told = passage.whole, text.asked, passage.words, passage.told
    if not whole.isascii() and _RUN.search(whole):
        found.update(_signs_in(whole, asked.strip()))
        whole, asked = _RUN.sub(" ", whole), _RUN.sub(" ", asked)
        all_words, told = whole.split(), asked.split()
    apart = _stands_apart(text, asked, whole)
    words = _words_of(all_words, told, apart=apart)
    found.update(words)
    if apart:
        found.update([f"!{word}" for word in told])
    for least, stem in _STEMS:
        found.update([f"{word[:stem]}~" for word in words if len(word) >= least])
    told = _ends(told, _ASKED_HEAD, _ASKED_TAIL)
    if told:
        found.update(_edges(told))
    found.update(_sentences(text.instruction, phrases))
    return Features(found, told)


def _marks(text: Text, passage: Passage, programming: frozenset[str]) -> Iterator[str]:
    """Yield what words say by being of a kind: of programming, names of languages asked for."""
    count = len(programming.intersection(passage.words))
    if count:
        yield f"@programming {min(count, _MOST_PROGRAMMING)}"
    if text.named is not None:
        yield "@its language" if text.named == text.language else "@another language"


def _stands_apart(text: Text, asked: str, whole: str) -> bool:
    """Say whether the instruction is only a part, and no salutation."""
    most = _APART_SHARE * len(whole)
    return _APART_CHARS <= len(asked) < most and not text.instruction.endswith(",")


def _words_of(all_words: Sequence[str], asked: Sequence[str], *, apart: bool) -> Sequence[str]:
    """Return the words that count alone; few of a document, so that it drowns nothing."""
    if apart:
        return [*asked, *_ends(all_words, _SUPPLIED_HEAD, _SUPPLIED_TAIL)]
    return _ends(all_words, _HEAD_WORDS, _TAIL_WORDS)


def _sentences(instruction: str, phrases: Phrases) -> Iterator[str]:
    """Yield how the last sentence and the last question begin, and which phrases are in it."""
    parts = [part for part in _sentences_in(instruction) if len(part) >= _SENTENCE_CHARS]
    yield f"#sentences {min(len(parts), _MOST_SENTENCES)}"
    if len(parts) < 2:
        return
    last = plain(parts[-1])
    yield from _beginnings(">", last)
    asking = [part for part in parts if part.rstrip(_CLOSING).endswith(QUESTION)]
    if asking:
        yield "#asks in it"
        yield from _beginnings("?", last if asking[-1] is parts[-1] else plain(asking[-1]))
    start = len(phrases.asked) - len(last)
    for hit in phrases.hits:
        if hit.at >= start:
            yield f"@last {hit.key}"
            if hit.at < start + 2:
                yield f"@last opens {hit.key}"


def _sentences_in(text: str) -> Iterator[str]:
    """Yield the sentences; what ends one stays with it."""
    start = 0
    for found in _SENTENCE_ENDS.finditer(text):
        at = found.start()
        yield text[start:at] if text[at] == "\n" else text[start : at + 1]
        start = found.end()
    yield text[start:]


def _beginnings(mark: str, sentence: str) -> Iterator[str]:
    words = sentence.split(None, 3)[:3]
    if not words:
        return
    first = words[0]
    yield f"{mark}^{first[:_FIRST_CHARS]}"
    for count in range(2, len(words) + 1):
        yield f"{mark}^{' '.join(words[:count])}"
    if first >= _UNSPACED:
        yield f"{mark}^{first[:2]}"
        yield f"{mark}^{first[:3]}"


def _ends(words: Sequence[str], head: int, tail: int) -> Sequence[str]:
    return words if len(words) <= head + tail else [*words[:head], *words[-tail:]]


def _edges(words: Sequence[str]) -> Iterator[str]:
    yield f"^{words[0]}"
    yield f"^{words[0][:_EDGE_STEM]}~"
    yield f"{words[-1]}$"
    if len(words) > 1:
        yield f"^{words[0]} {words[1]}"
        yield f"{words[-2]} {words[-1]}$"


def _signs_in(whole: str, asked: str) -> list[str]:
    """Return pairs and triples of signs, and what the instruction opens and ends with."""
    signs = "".join(_RUN.findall(whole))
    if len(signs) > 2 * _RUN_SIGNS:
        signs = f"{signs[:_RUN_SIGNS]}{signs[-_RUN_SIGNS:]}"
    found = [signs[at : at + 2] for at in range(len(signs) - 1)]
    found += [signs[at : at + 3] for at in range(len(signs) - 2)]
    found += [f"^{asked[:length]}" for length in _EDGE_SIGNS]
    found += [f"{asked[-length:]}$" for length in _EDGE_SIGNS]
    return found


def spoken(feature: str) -> str:
    """Return a feature's name as a person would say it."""
    kind, rest = feature[0], feature[1:]
    if kind == "#":
        return rest if rest.startswith("it ") else f"its form ({rest})"
    if kind == "@":
        return f"its phrases ({rest})"
    if kind == "^" and rest:
        return f"its opening '{rest}'"
    if feature.endswith("$") and kind != "$":
        return f"its end '{feature[:-1]}'"
    return f"'{feature}'"
