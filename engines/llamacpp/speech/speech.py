"""One answer as it is spoken: its thought, then content and calls, out of text in any pieces.

Owns: what may stand where, and what becomes of what looked like a call and is none.
Must not: know a family (`formats`) or choose one (`dialect`).
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engines.llamacpp.speech.calls import Calls, Enough
from engines.llamacpp.speech.form import Format
from engines.llamacpp.speech.json_text import NotACall
from engines.llamacpp.speech.parts import CallBegan, Content, Part, Thought, joined
from engines.llamacpp.speech.tape import SPACES, Steps, Tape


@dataclass(frozen=True, slots=True)
class Tags:
    """The texts between which a model thinks; `ending` closes a thought as models learn it.

    `turn` stands behind a thought, before anything else, and `answer` before what is said aloud.
    `tokens` are those within them that may be control tokens.
    """

    opening: str
    closing: str
    ending: str
    turn: str = ""
    answer: str = ""
    tokens: tuple[str, ...] = ()


class Speech:
    """Reads one answer; the parts are the same however the text was cut.

    A thought stands only at the beginning, and calls are read only behind it, only of `functions`,
    at most `most` of them: nothing behind the last is heard. White space around thoughts, between
    calls, and before the first call where there is no content, belongs to nobody and is dropped.

    Nothing else is lost. What looks like a call and is none is content, with its markers, from the
    end of the last whole call to the first character that no call has there: JSON or Python that
    is none, an unknown name, an end in the middle. Where the name was told before that showed, the
    part is a `CallBroke`, which has that text and says how much of it is still untold.

    `thinking`: the prompt has opened the thought; `amid`: and has said some of it.
    """

    def __init__(
        self,
        form: Format,
        tags: Tags | None,
        functions: Mapping[str, Any],
        new_id: Callable[[], str],
        *,
        thinking: bool = False,
        amid: bool = False,
        split: bool = True,
        most: int | None = None,
    ) -> None:
        self.thinking = thinking
        self._most = most
        self._amid = amid
        self._form = form
        self._tags = tags
        self._split = split
        self._said: list[Part] = []
        self._tape = Tape()
        self._calls = Calls(self._tape, functions, self._said.append, new_id, most)
        self._reads_calls = bool(functions)
        self._reading = self._whole()

    @property
    def calls(self) -> int:
        """How many whole calls there are so far."""
        return self._calls.whole

    @property
    def over(self) -> bool:
        """Whether there are as many calls as are wanted."""
        return self.calls == self._most

    def go_on_from(self, said: str) -> None:
        """Take what was said before of this answer, none of whose calls is whole.

        It is not told again, but for a call in which it breaks off: that is told whole.
        """
        before = self.feed(said)
        self._tape.know()
        if self._calls.is_open:
            begun = max(at for at, part in enumerate(before) if isinstance(part, CallBegan))
            self._said += before[begun:]

    def feed(self, text: str) -> list[Part]:
        """Take the next piece of text; return what is known now."""
        self._tape.add(text)
        return self._go_on()

    def finish(self) -> list[Part]:
        """Return what was kept back; the text is over."""
        self._tape.end()
        return self._go_on()

    def _go_on(self) -> list[Part]:
        with suppress(Enough):  # the reader has ended with it: nothing more is read
            next(self._reading, None)
        said = joined(self._said)
        self._said.clear()
        return said

    def _whole(self) -> Steps[None]:
        """Read the answer; another grammar of whole answers is a subclass."""
        if self._tags is not None:
            yield from self._thought(self._tags)
        if self._reads_calls:
            while (yield from self._tape.peek()):
                yield from self._stretch()
        else:
            yield from self._tape.until((), self._content)

    def _thought(self, tags: Tags) -> Steps[None]:
        tape = self._tape
        if not self.thinking:
            yield from tape.run(SPACES)
            if not (yield from tape.literal(tags.opening)):
                tape.rewind()
                return
            self.thinking = True
        if self._split:
            if not self._amid:
                yield from tape.run(SPACES)
            yield from tape.until((tags.closing,), self._think, trimmed=True)
        else:
            self._content(tape.since)
            yield from tape.until((tags.closing,), self._content)
        if not (yield from tape.literal(tags.closing)):
            return
        self.thinking = False
        if self._split:
            yield from tape.run(SPACES)
        else:
            self._content(tags.closing)
        tape.begin()

    def _stretch(self) -> Steps[None]:
        """Read calls and what goes with them, or else content up to where calls may be."""
        tape, form = self._tape, self._form
        tape.begin()
        gap = yield from tape.run(SPACES + (form.between if self.calls else ""))
        if (yield from tape.comes((*form.markers, *form.first))):
            try:
                yield from form.read(tape, self._calls)
            except NotACall:
                self._calls.give_up()
            else:
                return
        elif (yield from tape.peek()) or not self.calls:
            self._content(gap)
        yield from tape.until(form.markers, self._content)

    def _content(self, text: str) -> None:
        """Say what was read since the tape's last `begin`."""
        self._said.append(Content(text[self._tape.known :]))

    def _think(self, text: str) -> None:
        self._said.append(Thought(text))
