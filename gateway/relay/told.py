"""What the client of one stream has been told, by however many engines.

Owns: the answer so far, and how far it has come.
Must not: read events or write any.
"""

import io

from gateway.relay.chunks import Head


class Told:
    """Mutable; owned by the task that relays the stream.

    `choices` is how many answers the client waits for. What was said is kept only where `keeps`:
    an engine that breaks may have to be followed by one that goes on from there. `breaks` is how
    often that happened; `tokens_before` were generated before the last break; `events` said
    something.
    """

    __slots__ = (
        "_text",
        "_thought",
        "breaks",
        "called",
        "choices",
        "ended",
        "events",
        "finished",
        "head",
        "odd",
        "tokens_before",
        "usage_sent",
    )

    def __init__(self, *, choices: int = 1, keeps: bool = False) -> None:
        self.choices = choices
        self.head: Head | None = None
        self.finished = 0
        self.ended = False
        self.events = 0
        self.called = False
        self.odd = False  # what is neither text, nor a thought, nor a call
        self.usage_sent = False
        self.breaks = 0
        self.tokens_before = 0
        self._text = io.StringIO() if keeps else None
        self._thought = io.StringIO() if keeps else None

    def another(self) -> "Told":
        """Return one for another engine that begins the same answer."""
        return Told(choices=self.choices, keeps=self._text is not None)

    @property
    def spoke(self) -> bool:
        """Whether more than a role has been told."""
        return self.odd or self.events > 0

    @property
    def text(self) -> str:
        """The content so far, a completion's text; "" where nothing is kept."""
        return "" if self._text is None else self._text.getvalue()

    @property
    def thought(self) -> str:
        """The thought so far; "" where nothing is kept."""
        return "" if self._thought is None else self._thought.getvalue()

    def said(self, text: str) -> None:
        """Keep a piece of content."""
        if self._text is not None:
            self._text.write(text)

    def thought_of(self, text: str) -> None:
        """Keep a piece of a thought."""
        if self._thought is not None:
            self._thought.write(text)
