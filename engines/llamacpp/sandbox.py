"""The Jinja that chat templates run in: they come with the weights, and nobody has read them.

Owns: what a template may reach, how many turns and how much time it may take, how much it may make.
Must not: know messages.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import Template, nodes, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_indent, do_join
from jinja2.nodes import EvalContext
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engines.llamacpp.bounds import (
    FORESEEN,
    LONGEST_VALUE,
    TemplateTooHungry,
    bits_of,
    check,
    check_format,
    check_held,
    check_join,
    check_number,
    check_replace,
    length_of,
    text_length_of,
    times_of,
)

# Real templates take some turns for each message and tool.
MOST_TURNS = 50_000
# Of all that one rendering makes, as what is made may be kept.
MOST_MADE = 32 * LONGEST_VALUE
# Seconds of the thread's own time, so that a busy machine refuses nothing.
MOST_SECONDS = 2.0
# Looking at the clock costs more than most turns, and more than what makes a short text.
_TURNS_BETWEEN_LOOKS = 64
_SHORT = 10_000

# One call of these makes a text of any length out of a number.
_PADDING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
# No known template asks for them: they pad, or read texts in more than linear time.
_NO_FILTERS = ("batch", "center", "pprint", "slice", "striptags", "urlize", "wordwrap", "xmlattr")
_WIDEST_INDENT = 64
# Kimi's templates note the ids of calls in a list of their own, and take them out one by one.
_QUEUEING = frozenset({"append", "pop"})
_LITERALS = (nodes.Dict, nodes.List, nodes.Tuple)


class _Spent(threading.local):
    """What the rendering of this thread has used up."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        # Lists that the template has written and that nothing else holds, and the text in them.
        self.own: dict[int, list[Any]] = {}
        self.text_in: dict[int, int] = {}
        self.turns = 0
        self.made = 0
        self.ends_s = time.thread_time() + MOST_SECONDS

    def turn(self) -> None:
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise TemplateTooHungry(f"the template takes more than {MOST_TURNS:,} turns")
        if self.turns % _TURNS_BETWEEN_LOOKS == 0:
            self.check_time()

    def make(self, length: int) -> None:
        """Count something of this length, which is or will be made."""
        self.made += length
        if length > LONGEST_VALUE or self.made > MOST_MADE:
            raise TemplateTooHungry("the template makes too long a text")
        if length > _SHORT:
            self.check_time()

    def check_time(self) -> None:
        if time.thread_time() > self.ends_s:
            raise TemplateTooHungry(f"the template takes more than {MOST_SECONDS:g} s")


class _Generation(Extension):
    """`{% generation %}` marks what a trainer learns from; when rendering it means nothing."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands in the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """Bounds what Jinja's own sandbox leaves open: nested loops, recursion, texts that double.

    Several threads may render at once.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
        )
        self._spent = _Spent()
        for name in _NO_FILTERS:
            del self.filters[name]
        del self.globals["lipsum"]
        self.filters |= {
            "indent": _indent,
            "format": _format,
            "join": _join,
            "replace": _replace,
        }
        self.filters = {name: self._bounded(f) for name, f in self.filters.items()}

    def written(self, template: Template, values: dict[str, Any]) -> str:
        """Return what a template writes.

        Raises:
            TemplateTooHungry: it goes beyond a bound.
        """
        self._spent.begin()
        pieces: list[str] = []
        length = 0
        for piece in template.generate(values):
            length += len(piece)
            if length > LONGEST_VALUE:
                raise TemplateTooHungry("the template writes too much")
            pieces.append(piece)
        return "".join(pieces)

    def turn(self) -> str:
        """Count one turn of a loop or one call of a macro."""
        self._spent.turn()
        return ""

    def built(self, value: Any) -> Any:
        """Look at a list, tuple or mapping that is written in the template."""
        self._checked(value)
        if isinstance(value, list):
            self._spent.own[id(value)] = value
            self._spent.text_in[id(value)] = sum(map(text_length_of, value))
        return value

    def joined(self, *parts: Any) -> str:
        """Stand in for `~`."""
        texts = [*map(str, parts)]
        self._spent.make(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse what would be too long before it is made."""
        if operator == "*":
            self._spent.make(length_of(left) * times_of(right) + length_of(right) * times_of(left))
            check_number(bits_of(left) + bits_of(right))
        elif operator == "**" and (abs(times_of(left)) > 10_000 or times_of(right) > 64):
            raise TemplateTooHungry("the template makes too large a number")
        elif operator == "%" and isinstance(left, str):
            check_format(left, right if isinstance(right, tuple) else (right,), {})
        return self._checked(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call as the sandbox does; look at what would be too long before, at the rest after."""
        text, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(text, str) and name in FORESEEN:
            FORESEEN[name](text, *args)
        if isinstance(text, list) and name in _QUEUEING:
            self._check_queue(text, *args)
        return self._checked(super().call(context, obj, *args, **kwargs))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Keep texts from being padded, and all lists as they are but the template's own."""
        if isinstance(obj, str) and attr in _PADDING:
            return False
        if isinstance(obj, list) and attr in _QUEUEING and id(obj) in self._spent.own:
            return True
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Look at a text and what is put into it before its `format` is called."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text = str(getattr(value, "__self__", ""))

        @functools.wraps(wrapped)
        def foreseen(*args: Any, **kwargs: Any) -> str:
            check_format(text, args, kwargs)
            return str(wrapped(*args, **kwargs))

        return foreseen

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        bodies: list[Any] = list(parsed.find_all((nodes.For, nodes.Macro, nodes.CallBlock)))
        for statement in bodies:
            count = nodes.Call(nodes.EnvironmentAttribute("turn"), [], [], None, None)
            statement.body.insert(0, nodes.Output([count]))
        _rewrite(parsed)
        return parsed

    def _bounded(self, filter_: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(filter_)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            return self._checked(filter_(*args, **kwargs))

        return bounded

    def _checked(self, value: Any) -> Any:
        self._spent.make(length_of(value))
        if isinstance(value, list | tuple | dict):
            for inner in check_held(value):
                self._spent.own.pop(id(inner), None)
        return value

    def _check_queue(self, queue: list[Any], *given: Any) -> None:
        """Refuse to put into a list what holds others, or to change one that others hold.

        So none grows behind the back of those who have looked at what holds it.
        """
        self._spent.turn()
        self._spent.make(sum(map(length_of, given)) + 1)
        if id(queue) not in self._spent.own:
            raise SecurityError("the template changes a list that is in another one")
        if not all(isinstance(item, str | int | float | None) for item in given):
            raise SecurityError("the template puts more than texts and numbers into a list")
        # What is taken out again is not taken off: real templates queue names and ids.
        self._spent.text_in[id(queue)] += sum(map(text_length_of, given))
        check(self._spent.text_in[id(queue)])


def _rewrite(node: nodes.Node) -> None:
    """Let each `~` and each written list, tuple or mapping be a call that can be bounded."""
    for name, value in node.iter_fields():
        if isinstance(value, list):
            setattr(node, name, [_replaced(item) for item in value])
        else:
            setattr(node, name, _replaced(value))


def _replaced(value: Any) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _rewrite(value)
    if isinstance(value, nodes.Concat):
        return _call("joined", value.nodes, value.lineno)
    if isinstance(value, _LITERALS) and getattr(value, "ctx", "load") == "load":
        return _call("built", [value], value.lineno)
    return value


def _call(name: str, arguments: list[nodes.Expr], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), arguments, [], None, None, lineno=line)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    if length_of(width) > _WIDEST_INDENT or times_of(width) > _WIDEST_INDENT:
        raise TemplateTooHungry("the template indents too far")
    return do_indent(text, width, first, blank)


def _format(text: str, *args: Any, **kwargs: Any) -> str:
    check_format(text, args, kwargs)
    return str(text % (kwargs or args))


@pass_eval_context
def _join(context: EvalContext, value: Iterable[Any], d: str = "", attribute: Any = None) -> str:
    items = [*value]
    check_join(str(d), items)
    joined: str = do_join(context, items, d, attribute)
    return joined


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    text, old, new = str(text), str(old), str(new)
    check_replace(text, old, new)
    return text.replace(old, new, count)
