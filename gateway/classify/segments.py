"""Which part of a prompt says what is wanted, and which part is only supplied.

Owns: cutting long texts, taking out code and quotations, finding the instruction.
Must not: know languages or tasks.
"""

import re
from itertools import islice

# Weighing looks at this much of a text: what is wanted stands at one of its ends.
HEAD_CHARS = 1600
TAIL_CHARS = 500

_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_INLINE = re.compile(r"`[^`\n]{1,200}`")
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+|\S+@\S+\.\w+")
_QUOTED = re.compile(
    r'"[^"\n]{1,400}"|“[^”\n]{1,400}”|„[^“”\n]{1,400}[“”]|«[^»\n]{1,400}»|「[^」\n]{1,400}」'
    r"|『[^』\n]{1,400}』|(?<!\w)'[^'\n]{3,400}'(?!\w)"
)
_PARAGRAPHS = re.compile(r"\n\s*\n+")
_LETTER = re.compile(r"[^\W\d_]")

_LABEL_MAX_CHARS = 240  # an instruction before a colon is not longer
_INSTRUCTION_MAX_CHARS = 600


def clip(text: str) -> str:
    """Return the text, or its head and its tail when it is long; lone surrogates are replaced."""
    if len(text) > HEAD_CHARS + TAIL_CHARS:
        text = f"{text[:HEAD_CHARS]}\n\n{text[-TAIL_CHARS:]}"
    return text.encode("utf-8", "replace").decode("utf-8")


def prose_of(text: str) -> str:
    """Return the text without fenced and inline code and without addresses."""
    return _ADDRESS.sub(" ", _INLINE.sub(" ", _FENCE.sub("\n\n", text)))


def has_fence(text: str) -> bool:
    """Say whether the text holds a block of code in fences."""
    return "```" in text or "~~~" in text


def has_letters(text: str, count: int) -> bool:
    """Say whether the text has so many letters, of any script; reads no further than needed."""
    return next(islice(_LETTER.finditer(text), count - 1, None), None) is not None


def instruction_of(prose: str) -> str:
    """Return the part that says what is wanted: without quotations, document or log.

    The first paragraph, unless only the last is short; of a line `do this: supplied text` the part
    before the colon. The prose itself where nothing can be told apart.
    """
    paragraphs = [part.strip() for part in _PARAGRAPHS.split(prose) if part.strip()]
    if not paragraphs:
        return prose.strip()
    chosen = paragraphs[0]
    if len(paragraphs) > 1 and _is_supplied(paragraphs[0]) and not _is_supplied(paragraphs[-1]):
        chosen = paragraphs[-1]
    return _without_supplied(chosen)


def _is_supplied(paragraph: str) -> bool:
    return len(paragraph) > _INSTRUCTION_MAX_CHARS or not has_letters(paragraph, 2)


def _without_supplied(paragraph: str) -> str:
    bare = _QUOTED.sub(" ", paragraph)
    if has_letters(bare, 4):
        paragraph = bare
    label, colon, rest = _split_label(paragraph)
    if colon and has_letters(label, 4) and len(rest.strip()) >= 4:
        return label.strip()
    return paragraph.strip()


def _split_label(paragraph: str) -> tuple[str, str, str]:
    head = paragraph[:_LABEL_MAX_CHARS]
    at = min((i for i in (head.find(":"), head.find("\uff1a")) if i >= 0), default=-1)
    if at < 0:
        return paragraph, "", ""
    return paragraph[:at], paragraph[at], paragraph[at + 1 :]
