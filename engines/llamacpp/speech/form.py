"""How families write calls: the values in which a format is put down.

Owns: the values.
Must not: read or write any text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.llamacpp.speech.tape import Steps, Tape

if TYPE_CHECKING:
    from engines.llamacpp.speech.calls import Calls


@dataclass(frozen=True, slots=True)
class Form:
    """How a call is written: `before`, the name, `middle`, the arguments in JSON, `after`.

    Between two calls stands `between`; around all of them, `opening` and `closing`. `numbered`: a
    number stands between the name and `middle`.
    """

    before: str
    middle: str
    after: str
    between: str = "\n"
    opening: str = ""
    closing: str = ""
    numbered: bool = False

    @property
    def start(self) -> str:
        """What calls begin with."""
        return self.opening + self.before


@dataclass(frozen=True, slots=True)
class Elements:
    """How a call is written whose parameters are elements, their values bare text.

    `before`, the name, `behind`; for each parameter `key`, its name, one of `kinds`, `value`, what
    it is, and `value_end`; then `end`. Around one or more calls stand one of `openings` and one of
    `closings`; the first of each is written. `kinds` say whether what follows is text (True), JSON
    (False), or what the schema says (None). `lines`: a value stands on lines of its own. Between
    the parts white space is free.
    """

    openings: tuple[str, ...]
    before: str
    behind: str
    key: str
    kinds: tuple[tuple[str, bool | None], ...]
    value_end: str
    end: str
    closings: tuple[str, ...] = ()
    value: str = ""
    lines: bool = False

    @property
    def start(self) -> str:
        """What calls begin with."""
        return self.openings[0]

    @property
    def marks(self) -> tuple[str, ...]:
        """All the texts that are not what the model has to say."""
        found = (*self.openings, self.before, self.behind, self.key, *dict(self.kinds), self.value)
        return tuple(filter(None, (*found, self.value_end, self.end, *self.closings)))


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write calls.

    `markers` open calls wherever they stand; `first` only where the answer begins or right after
    another call, with `between` characters allowed there beside white space. `tokens` are texts
    that are control tokens in many vocabularies and must be seen all the same. `short_ids`: the
    family's templates take ids of nine letters and digits only. `envelops`: all of an answer is
    written within such tokens, not its calls only.
    """

    name: str
    read: "Callable[[Tape, Calls], Steps[None]]"
    form: Form | Elements | None = None
    markers: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    between: str = ""
    tokens: tuple[str, ...] = ()
    short_ids: bool = False
    envelops: bool = False
