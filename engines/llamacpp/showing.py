"""Images in a conversation: marks for them in the text that a template writes, then their tokens.

Owns: which mark is which image.
Must not: look at images (`sight`), or write a template's text.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from engines.llamacpp.images import url_of
from engines.llamacpp.pictures import Seen, tokens_of
from engines.llamacpp.vocabulary import Vocabulary
from engines.protocol.requests import ContentPart, Message


class Marks:
    """The marks of one request. No client can write one: they have a word in them that is drawn."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._word = secrets.token_hex(8)
        self._marks = re.compile(rf"<\|image {self._word} (\d+)\|>")
        self._urls: list[str] = []

    def marked(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the messages with a mark for each image that was seen."""
        return [self._marked(message) for message in messages] if self._seen else messages

    def tokens(self, text: str, vocabulary: Vocabulary) -> list[int]:
        """Return the tokens of a text, with those of the images where their marks stand."""
        first, *others = self._marks.split(text)
        tokens = vocabulary.tokens(first, add_special=False, parse_special=True)
        for mark, behind in zip(others[::2], others[1::2], strict=True):
            tokens += tokens_of(self._seen[self._urls[int(mark)]])
            tokens += vocabulary.continued(behind, parse_special=True)
        return tokens

    def _marked(self, message: Message) -> Message:
        if not message.has_part("image_url") or not isinstance(message.content, list):
            return message
        parts: list[ContentPart] = []
        for part in message.content:
            text = self._mark(part.image_url) if part.type == "image_url" else part.text
            if text is None:
                return message  # a part of another kind, which the template refuses
            parts.append(ContentPart("text", text))
        return msgspec.structs.replace(message, content=_joined(message.content, parts))

    def _mark(self, given: Any) -> str:
        self._urls.append(url_of(given, "messages"))
        return f"<|image {self._word} {len(self._urls) - 1}|>"


def _joined(given: Sequence[ContentPart], shown: Sequence[ContentPart]) -> str:
    """Return one text: as ever a line feed between two texts, and nothing beside an image."""
    whole = ""
    for at, part in enumerate(shown):
        between = at > 0 and {given[at - 1].type, given[at].type} == {"text"}
        whole += ("\n" if between else "") + (part.text or "")
    return whole
