"""Which language the answer is asked in, where the request names one.

Owns: reading "answer in French", "auf Deutsch", "翻译成英文" and their like.
Must not: detect the language that a text is written in.
"""

from collections.abc import Mapping, Sequence

from gateway.classify.lexicon import AnswerWords, Hit, Lexicon

_NEAR_CHARS = 70


def asked_language(
    text: str, language: str, lexicons: Mapping[str, Lexicon], *, strict: bool = False
) -> str | None:
    """Return the language that the text asks for, None where it names none.

    `text` as `lexicon.plain` returns it; `language` is the one it is written in. `strict` hears
    only verbs of answering ("reply in French"), for text that may be somebody else's.
    """
    known = lexicons.get(language)
    if known is not None:
        named = _named(text, known, "answer" if strict else "verb")
        if named is not None:
            return named
    if strict:
        return None
    for other in lexicons.values():
        if other.language != language and any(phrase in text for phrase in other.own):
            return other.language
    return None


def _named(text: str, lexicon: Lexicon, verb: str) -> str | None:
    """Return the earliest language that stands where an asked one does."""
    if not any(name in text for name in lexicon.answer.names):
        return None  # the common case, quickly
    hits = lexicon.asking.scan(text)
    verbs = [hit for hit in hits if hit.key == verb]
    names = [hit for hit in hits if hit.key == "name"]
    if not verbs or not names:
        return None
    for hit in sorted(names, key=lambda hit: (hit.at, -len(hit.entry))):
        near = verb != "answer" or _near(hit, verbs)
        if near and _stands_right(text, hit, lexicon.answer):
            return lexicon.answer.names[hit.entry]
    return None


def _near(name: Hit, verbs: Sequence[Hit]) -> bool:
    return any(abs(verb.at - name.at) <= _NEAR_CHARS for verb in verbs)


def _stands_right(text: str, name: Hit, words: AnswerWords) -> bool:
    if words.before and not text[: name.at].rstrip().endswith(words.before):
        return False
    rest = text[name.end :].lstrip()
    if words.after and not rest.startswith(words.after):
        return False
    return not rest.startswith(words.unless)
