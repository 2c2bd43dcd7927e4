"""Calls written as Python: `[f(a=1), g(b="x")]`. Read with `ast`; nothing is ever evaluated.

Owns: this form, and Python's literals as JSON.
Must not: wait for more than one call at a time.
"""

import ast
import json
import warnings
from typing import Any

from engines.llamacpp.speech.calls import Calls, leave, name_on, need
from engines.llamacpp.speech.json_text import NotACall
from engines.llamacpp.speech.tape import SPACES, Steps, Tape

# Models trained on JSON as well write its words here.
_WORDS = {"true": True, "false": False, "null": None}
_DEEPEST = 64
# What `ast` raises on what is no Python, and on what would overwhelm it.
_NO_PYTHON = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)


def read_pythonic_calls(tape: Tape, calls: Calls) -> Steps[None]:
    """Read a list of calls with named arguments; each is told when its parenthesis closes.

    Raises:
        NotACall: something else comes next.
    """
    yield from need(tape, "[")
    yield from read_pythonic_items(tape, calls)


def read_pythonic_items(tape: Tape, calls: Calls) -> Steps[None]:
    """Read what stands in such a list, and its end.

    Raises:
        NotACall: something else comes next.
    """
    while True:
        yield from tape.run(SPACES)
        name = yield from name_on(tape)
        calls.check(name)
        written = yield from _parentheses(tape)
        arguments = arguments_of(written)
        calls.begin(name)
        calls.argue(arguments)
        calls.end()
        if not (yield from tape.closing(",")):
            yield from leave(tape, "]")
            return


def arguments_of(written: str) -> str:
    """Return the arguments of `(a=1, b="x")` as a JSON object.

    Raises:
        NotACall: it is no Python, or has more in it than names and literals.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the model wrote: escapes without a meaning
            tree = ast.parse(f"f{written}", mode="eval").body
        if not isinstance(tree, ast.Call) or tree.args:
            raise NotACall
        values = {keyword.arg: _value(keyword.value) for keyword in tree.keywords}
        if None in values or len(values) != len(tree.keywords):
            raise NotACall
        text = json.dumps(values, ensure_ascii=False, allow_nan=False)
        text.encode()
    except _NO_PYTHON:
        raise NotACall from None
    return text


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id=name) if name in _WORDS:
            return _WORDS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _value(value) for key, value in zip(keys, values, strict=True)}
    raise NotACall


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise NotACall


def _parentheses(tape: Tape) -> Steps[str]:
    """Read from one parenthesis to its partner; brackets within strings do not count."""
    start = tape.position
    yield from need(tape, "(")
    depth = 1
    while depth:
        char = yield from tape.peek()
        if not char or depth > _DEEPEST:
            raise NotACall
        tape.skip()
        if char in "\"'":
            yield from _string(tape, char)
        depth += (char in "([{") - (char in ")]}")
    return tape.since[start:]


def _string(tape: Tape, quote: str) -> Steps[None]:
    """Read to the end of a string whose first quote was read."""
    while (char := (yield from tape.peek())) != quote:
        if not char:
            raise NotACall
        tape.skip()
        if char == "\\" and (yield from tape.peek()):
            tape.skip()
    tape.skip()
