"""How a model that ranks reads a query and a document together.

Owns: the tokens of a pair.
Must not: evaluate; let what a client wrote become a control token.
"""

import re
from collections.abc import Sequence

from engines.llamacpp.binding import Runtime

_TEMPLATE = "tokenizer.chat_template.rerank"
_SLOTS = re.compile(r"\{(query|document)\}")


class Pairs:
    """One model's pairs: by the template of its weights, or as BERT reads two texts."""

    def __init__(self, runtime: Runtime) -> None:
        self._vocabulary = runtime.vocabulary
        template = runtime.meta(_TEMPLATE)
        self._parts = None if template is None else self._split(template)

    def tokens(
        self, query: str, document: str, most: int | None = None, own: int | None = None
    ) -> list[int]:
        """Return the tokens of a pair.

        The document is cut at its end, to `own` tokens, and further where the pair has more than
        `most`.
        """
        tokens = self._written(query, document)
        too_long = most is not None and len(tokens) > most
        kept = self._read(document) if too_long or own is not None else []
        if own is not None and len(kept) > own:
            kept = kept[:own]
            tokens = self._written(query, self._vocabulary.text(kept), kept)
        while most is not None and len(tokens) > most and kept:
            kept = kept[: max(0, len(kept) - (len(tokens) - most))]
            # Words may join anew where it is put into a template.
            tokens = self._written(query, self._vocabulary.text(kept), kept)
        return tokens

    def _written(self, query: str, document: str, read: Sequence[int] | None = None) -> list[int]:
        """Return the tokens of a pair; where nothing joins, the document's as they were `read`."""
        if self._parts is None:
            opening, ending, between = self._vocabulary.frame()
            second = self._read(document) if read is None else read
            return [*opening, *self._read(query), *between, *second, *ending]
        texts = {"query": query, "document": document}
        tokens: list[int] = []
        for part in self._parts:
            if isinstance(part, int):
                tokens.append(part)
            else:
                tokens += self._read(_SLOTS.sub(lambda slot: texts[slot[1]], part))
        return tokens

    def _split(self, template: str) -> list[int | str]:
        """Return a template's marks as tokens, and the texts between them.

        The texts are read with what is put into them, as words may join; but not with the marks,
        which would then be read in a client's text as well.
        """
        marks = self._vocabulary.marks()
        names = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or "(?!)")
        parts: list[int | str] = []
        start = 0
        for found in names.finditer(template):
            parts += [template[start : found.start()], marks[found[0]]]
            start = found.end()
        return [part for part in (*parts, template[start:]) if part != ""]

    def _read(self, text: str) -> list[int]:
        return self._vocabulary.tokens(text, add_special=False, parse_special=False)
