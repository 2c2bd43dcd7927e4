"""Which language the answer is asked in, where the request names one.

Owns: reading "answer in French", "auf Deutsch", "翻译成英文" and their like.
Must not: detect the language that a text is written in.
"""

from collections.abc import Mapping

from gateway.classify.lexicon import AnswerWords, Lexicon


def asked_language(text: str, language: str, lexicons: Mapping[str, Lexicon]) -> str | None:
    """Return the language that the text asks for, None where it names none.

    `text` as `lexicon.plain` returns it; `language` is the one it is written in.
    """
    known = lexicons.get(language)
    if known is not None:
        named = _named(text, known.answer)
        if named is not None:
            return named
    for other in lexicons.values():
        if other.language != language and other.answer.own.found(text):
            return other.language
    return None


def _named(text: str, words: AnswerWords) -> str | None:
    """Return the earliest language that stands where an asked one does."""
    if words.verbs.found(text) is None:
        return None
    best: tuple[int, str] | None = None
    taken: list[tuple[int, int]] = []  # "simplified chinese" hides the "chinese" in it
    for name, code in words.names:
        at = text.find(name)
        while at >= 0:
            end = at + len(name)
            inside = any(first <= at and end <= last for first, last in taken)
            if not inside and _stands_right(text, at, end, words):
                taken.append((at, end))
                if best is None or at < best[0]:
                    best = (at, code)
            at = text.find(name, end)
    return best[1] if best else None


def _stands_right(text: str, at: int, end: int, words: AnswerWords) -> bool:
    if words.before and not text[:at].rstrip().endswith(words.before):
        return False
    rest = text[end:]
    if words.after and not rest.lstrip().startswith(words.after):
        return False
    return not rest.startswith(words.unless)
