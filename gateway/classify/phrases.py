"""What the phrases of the lexicons say that a request wants done.

Owns: the order in which phrases count (what the request opens with, what is made, words of
reasoning and mathematics, questions, greetings).
Must not: have the last word: `gateway.classify.task` weighs this with the rest.
"""

from collections.abc import Iterator, Sequence

import msgspec

from gateway.classify.lexicon import LEADS, Hit, Lexicon
from gateway.classify.reading import Text
from gateway.classify.signs import Signs

_LEAD_CHARS = 110  # what a request opens with stands here
_OPENING_CHARS = 2  # the space before the first word, and the word's own place
_GREETING_WORDS = 5
_ACT_CHARS = 220
_QUESTION_CHARS = 190  # a longer text that asks may be any task's


class Said(msgspec.Struct, frozen=True):
    """The task that phrases speak for, and why; `sure` where nothing else need be asked."""

    task: str
    reason: str
    sure: bool = False


class Phrases(msgspec.Struct, frozen=True):
    """What one lexicon found in a text: `hits` in the instruction, `all_hits` in all the prose.

    `lead` is the verb that the instruction opens with, or ends with where verbs come last.
    """

    verb_last: bool
    asked: str
    whole: str
    hits: Sequence[Hit]
    all_hits: Sequence[Hit]
    signs: Signs
    lead: Hit | None

    def said(self, key: str) -> Hit | None:
        """Return the first hit of a key in all of the prose."""
        return next((hit for hit in self.all_hits if hit.key == key), None)

    def made(self, lead: Hit) -> Hit | None:
        """Return what is to be made or mended: code or a text, whichever is nearer the verb."""
        nouns = [hit for hit in self.hits if hit.key in ("code", "text")]
        if self.verb_last:
            return max(nouns, key=lambda hit: hit.end, default=None)
        return next((hit for hit in nouns if hit.at >= lead.at), None)

    def opens(self, key: str) -> bool:
        """Say whether the instruction's first word is one of a key."""
        return any(hit.key == key and hit.at < _OPENING_CHARS for hit in self.hits)

    def only(self, key: str) -> bool:
        """Say whether nothing was found but entries of a key."""
        return all(hit.key == key for hit in self.all_hits)

    def verdict(self) -> Said | None:
        """Return the task that the phrases speak for; None where they tell none."""
        return _as_settled(self) or _by_lead(self) or _by_words(self)

    def names(self) -> Iterator[str]:
        """Yield names of what was found, the same in all languages, for a model to learn from."""
        keys = {hit.key for hit in self.hits}
        yield from [f"@{key}" for key in keys]
        if self.all_hits is not self.hits:
            yield from [f"@beside {key}" for key in {hit.key for hit in self.all_hits} - keys]
        yield from [f"@opens {hit.key}" for hit in self.hits if hit.at < _OPENING_CHARS]
        lead = self.lead
        if lead is not None:
            noun = self.made(lead)
            yield f"@lead {lead.key}"
            yield f"@lead {lead.key} {'' if noun is None else noun.key}"


class Passage(msgspec.Struct, frozen=True):
    """A text's prose as `plain` returns it, its words, and those of the instruction in it."""

    whole: str
    words: Sequence[str]
    told: Sequence[str]


def phrases_of(lexicon: Lexicon, text: Text, passage: Passage, signs: Signs) -> Phrases:
    """Look for a lexicon's phrases in a text."""
    asked, whole = text.asked, passage.whole
    hits = every = lexicon.tasks.scan(asked, passage.told)
    if whole != asked:
        every = lexicon.tasks.scan(whole, passage.words)
    lead = _lead_of(hits, verb_last=lexicon.verb_last)
    return Phrases(lexicon.verb_last, asked, whole, hits, every, signs, lead)


def _lead_of(hits: Sequence[Hit], *, verb_last: bool) -> Hit | None:
    found = [hit for hit in hits if hit.key in LEADS]
    if verb_last:
        return max(found, key=lambda hit: (hit.end, len(hit.entry)), default=None)
    early = [hit for hit in found if hit.at <= _LEAD_CHARS]
    if len(early) < 2:
        return early[0] if early else None
    return min(early, key=lambda hit: (hit.at, -len(hit.entry)), default=None)


# What a leading verb means by itself, and with code beside it.
_MEANING = {
    "translate": ("translation", "code"),
    "summarize": ("summarization", "summarization"),
    "extract": ("extraction", "extraction"),
    "role": ("writing", "writing"),
    "rewrite": ("writing", "code"),
}


def _as_settled(found: Phrases) -> Said | None:
    """Judge where one sign is enough: the trace of an error, or nothing but a greeting."""
    if found.signs.trace:
        lead = found.lead
        settled = lead is None or lead.key not in _MEANING
        return Said("code", found.signs.code, sure=True) if settled else None
    words = found.whole.count(" ") - 1
    if words <= _GREETING_WORDS and found.opens("greet") and found.only("greet"):
        return Said("general", "it is a greeting or a set phrase", sure=True)
    return None


def _by_lead(found: Phrases) -> Said | None:
    """Judge by the verb that the request opens with."""
    lead = found.lead
    if lead is None or (found.opens("wh") and lead.key not in ("translate", "act")):
        return None
    if lead.key in ("translate", "role") and found.said("reason") is not None:
        return None  # puzzles begin with "imagine", exercises in logic with "translate"
    said = f"it says '{lead.entry.strip()}'"
    if lead.key == "act":
        return Said("tool_use", said) if len(found.asked) <= _ACT_CHARS else None
    code = found.signs.code
    if lead.key in _MEANING:
        alone, beside_code = _MEANING[lead.key]
        return Said(beside_code, f"{said} and {code}") if code else Said(alone, said)
    noun = found.made(lead)
    if noun is not None:
        task = "code" if noun.key == "code" else "writing"
        return Said(task, f"{said} and '{noun.entry.strip()}'")
    return Said("code", f"{said} and {code}") if code else None


def _by_words(found: Phrases) -> Said | None:
    """Judge by words of reasoning, mathematics, greeting and asking, in this order."""
    if found.signs.code:
        return Said("code", found.signs.code)
    puzzle = found.said("reason")
    if puzzle is not None:
        return Said("reasoning", f"it says '{puzzle.entry.strip()}'")
    return _as_math(found) or _as_talk(found)


def _as_math(found: Phrases) -> Said | None:
    signs = found.signs
    if signs.options:
        return None
    if signs.formula:
        return Said("math", "it holds a formula")
    sums = {hit.entry.strip() for hit in found.all_hits if hit.key == "math"}
    brief = len(found.asked) <= 2 * _QUESTION_CHARS
    if not sums or not (signs.numbers >= 2 or (len(sums) >= 2 and brief)):
        return None
    return Said("math", f"it says '{min(sums)}' beside {signs.numbers} numbers")


def _as_talk(found: Phrases) -> Said | None:
    question = next((hit for hit in found.hits if hit.key == "ask"), None)
    if question is None or len(found.whole) > _QUESTION_CHARS or found.signs.options:
        return None
    if any(hit.key == "code" for hit in found.hits):
        return None  # a question about programming may want code or an explanation
    if found.lead is not None and not found.opens("wh"):
        return None  # something is to be made, and it is not clear what
    return Said("general", f"it asks '{question.entry.strip()}'")
