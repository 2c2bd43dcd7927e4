"""The Jinja that chat templates run in: they come with the weights, and nobody has read them.

Owns: what a template may reach, how many turns it may take, how long its texts may become.
Must not: know messages.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from jinja2 import Template, TemplateRuntimeError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_indent
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

# Real templates take some turns for each message and tool.
MOST_TURNS = 50_000
# In characters or items; no context holds as many.
LONGEST_VALUE = 16 * 1024 * 1024

# One call of these makes a text of any length out of a number.
_PADDING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_PADDING_FILTERS = ("batch", "center", "slice")  # no known template asks for them
# A width that is large, or that is given by an argument: `%999999999d`, `%*d`, `{:{}}`.
_WIDE = re.compile(r"\d{3}|%[^%a-zA-Z]*\*|\{[^}]*\{")
_WIDEST_INDENT = 64


class TemplateTooHungry(TemplateRuntimeError):
    """The template wants more turns or longer texts than any real one."""


class _Generation(Extension):
    """`{% generation %}` marks what a trainer learns from; when rendering it means nothing."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands in the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Sandbox(ImmutableSandboxedEnvironment):
    """Bounds what Jinja's own sandbox leaves open: nested loops, recursion, texts that double.

    One thread renders at a time.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
        )
        self._turns = 0
        for name in _PADDING_FILTERS:
            del self.filters[name]
        del self.globals["lipsum"]
        self.filters |= {"indent": _indent, "format": _format}
        self.filters = {name: self._bounded(f) for name, f in self.filters.items()}

    def written(self, template: Template, values: dict[str, Any]) -> str:
        """Return what a template writes.

        Raises:
            TemplateTooHungry: it goes beyond a bound.
        """
        self._turns = 0
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
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise TemplateTooHungry(f"the template takes more than {MOST_TURNS:,} turns")
        return ""

    def joined(self, *parts: Any) -> str:
        """Stand in for `~`."""
        text = "".join(map(str, parts))
        _check(len(text))
        return text

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse what would be too long before it is made."""
        if operator == "*":
            _check(_length(left) * _times(right) + _length(right) * _times(left))
        elif operator == "**" and (abs(_times(left)) > 10_000 or _times(right) > 64):
            raise TemplateTooHungry("the template makes too large a number")
        elif operator == "%" and isinstance(left, str):
            _check_widths(left)
        return _checked(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call as the sandbox does, and look at what comes back."""
        return _checked(super().call(context, obj, *args, **kwargs))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Keep texts from being padded."""
        if isinstance(obj, str) and attr in _PADDING:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Look at the widths in a text before its `format` is called."""
        if getattr(value, "__name__", "") in ("format", "format_map"):
            _check_widths(str(getattr(value, "__self__", "")))
        return super().wrap_str_format(value)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        bodies: list[Any] = list(parsed.find_all((nodes.For, nodes.Macro, nodes.CallBlock)))
        for statement in bodies:
            count = nodes.Call(nodes.EnvironmentAttribute("turn"), [], [], None, None)
            statement.body.insert(0, nodes.Output([count]))
        _without_concat(parsed)
        return parsed

    def _bounded(self, filter_: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(filter_)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            return _checked(filter_(*args, **kwargs))

        return bounded


def _without_concat(node: nodes.Node) -> None:
    """Replace each `~` by a call that can be bounded."""
    for name, value in node.iter_fields():
        if isinstance(value, list):
            setattr(node, name, [_replaced(item) for item in value])
        else:
            setattr(node, name, _replaced(value))


def _replaced(value: Any) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _without_concat(value)
    if isinstance(value, nodes.Concat):
        joined = nodes.EnvironmentAttribute("joined")
        return nodes.Call(joined, value.nodes, [], None, None, lineno=value.lineno)
    return value


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    if _length(width) > _WIDEST_INDENT or _times(width) > _WIDEST_INDENT:
        raise TemplateTooHungry("the template indents too far")
    return do_indent(text, width, first, blank)


def _format(text: str, *args: Any, **kwargs: Any) -> str:
    _check_widths(text)
    return text % (kwargs or args)


def _check_widths(text: str) -> None:
    if _WIDE.search(text):
        raise TemplateTooHungry("the template pads a text too far")


def _checked(value: Any) -> Any:
    _check(_length(value))
    return value


def _check(length: int) -> None:
    if length > LONGEST_VALUE:
        raise TemplateTooHungry("the template makes too long a text")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 0


def _times(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0
