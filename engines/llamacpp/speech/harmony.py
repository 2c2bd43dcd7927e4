"""gpt-oss's answers: messages, each with a header that says to whom it goes.

Owns: reading them. What goes to `analysis` is a thought, what goes to a function a call, all else
content.
Must not: know more of a call than `calls` does.
"""

import re

from engines.llamacpp.speech.calls import leave, read_named_call
from engines.llamacpp.speech.json_text import NotACall
from engines.llamacpp.speech.speech import Speech
from engines.llamacpp.speech.tape import SPACES, Steps

_START, _CHANNEL, _MESSAGE = "<|start|>assistant", "<|channel|>", "<|message|>"
_ENDS = ("<|end|>", "<|call|>")
_HEADERS = (_START, _CHANNEL, "to=functions.")
# A header is one line.
_HEADER_ENDS = (_MESSAGE, "\n", *_ENDS)
_RECIPIENT = re.compile(r"to=functions\.([^\s<]+)")


class HarmonySpeech(Speech):
    """Reads one answer of gpt-oss. Thoughts and content may come in any order.

    Headers and ends of messages belong to nobody and are dropped. Text without a header is content.
    """

    def _whole(self) -> Steps[None]:
        if self._amid or self.thinking:
            yield from self._body()
        while (yield from self._tape.peek()):
            yield from self._message()

    def _message(self) -> Steps[None]:
        tape = self._tape
        tape.begin()
        if (yield from self._reads_header()):
            header = tape.since
            recipient = _RECIPIENT.search(header)
            if recipient is not None:
                yield from self._call(recipient[1])
            else:
                self.thinking = "analysis" in header
                if self.thinking and not self._split:
                    self._content(header)
                yield from self._body()
        else:
            self._content(tape.since)
            yield from tape.until(_HEADERS[:2], self._content)

    def _reads_header(self) -> Steps[bool]:
        """Read a header to its end; what is none is read only as far as it may be one."""
        tape = self._tape
        yield from tape.run(SPACES)
        if not (yield from tape.comes(_HEADERS)):
            return False
        yield from tape.literal(_START)
        while (yield from tape.before(_HEADER_ENDS)):
            pass
        return (yield from tape.literal(_MESSAGE))

    def _body(self) -> Steps[None]:
        """Read what a message says, and its end."""
        tape = self._tape
        yield from tape.until(_ENDS, self._think if self._hides() else self._content)
        end = yield from tape.comes(_ENDS)
        tape.skip(len(end))
        if self.thinking and not self._split:
            self._content(end)
        if end:
            self.thinking = False

    def _hides(self) -> bool:
        return self.thinking and self._split

    def _call(self, name: str) -> Steps[None]:
        tape = self._tape
        try:
            yield from tape.run(SPACES)
            yield from read_named_call(tape, self._calls, name)
            yield from leave(tape, *_ENDS)
        except NotACall:
            self._calls.give_up()
            yield from tape.until(_HEADERS[:2], self._content)
