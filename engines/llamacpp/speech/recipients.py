"""functionary 3.2's answers: messages, each behind a line that says to whom it goes.

The prompt has opened the first line. What goes to `all` is content, what goes to a function a call.

Owns: reading them, and how such a call is written.
Must not: know more of a call than `calls` does.
"""

from engines.llamacpp.speech.calls import Calls, read_named_call
from engines.llamacpp.speech.form import Form, Format
from engines.llamacpp.speech.json_text import NotACall
from engines.llamacpp.speech.speech import Speech
from engines.llamacpp.speech.tape import Steps, Tape

_MARK, _ALL = ">>>", "all\n"


class RecipientSpeech(Speech):
    """Reads one answer. Text that stands behind no such line is content, with its marks."""

    def _whole(self) -> Steps[None]:
        tape = self._tape
        if self._amid:
            yield from tape.until((_MARK,), self._content)
        while (yield from tape.peek()):
            yield from self._message()

    def _message(self) -> Steps[None]:
        tape = self._tape
        tape.begin()
        yield from tape.literal(_MARK)
        header = yield from tape.comes((_ALL, *(f"{name}\n" for name in self._calls.names)))
        tape.skip(len(header))
        if header and header != _ALL:
            try:
                yield from read_named_call(tape, self._calls, header.rstrip())
            except NotACall:
                self._calls.give_up()
            else:
                return
        elif not header:
            self._content(tape.since)
        yield from tape.until((_MARK,), self._content)


def _read_nothing(_tape: Tape, _calls: Calls) -> Steps[None]:
    yield from ()
    raise NotACall


# Whole answers are read by `RecipientSpeech`.
RECIPIENTS = Format(
    "recipients",
    _read_nothing,
    Form("", "\n", "", between=_MARK),
    envelops=True,
)
