"""Schemas as Hypothesis draws them: what llguidance says it holds, in any nesting."""

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]

_NAMES = st.sampled_from(["name", "age", "a b", "größe", 'say "hi"', "x/y~z", "日本", "$ref"])
_TEXTS = st.text('abcé日 "\\\n\t', max_size=6)
_PATTERNS = st.sampled_from(
    [r"^[a-z]{2,5}$", r"^\d{3}-\d{2}$", r"^(ja|nein)$", r"^#[0-9A-F]{6}$", "^a*$", r"^[^\"x]{1,4}$"]
)
_FORMATS = st.sampled_from(
    ["date", "time", "date-time", "email", "ipv4", "ipv6", "uuid", "hostname", "duration"]
)
_NUMBERS = st.integers(-1_000, 1_000)


def _bounds(draw: st.DrawFn, low: str, high: str, values: st.SearchStrategy[Any]) -> Schema:
    """Draw none, one or both of two bounds, the lower one not above the higher."""
    first, second = sorted([draw(values), draw(values)])
    both = {low: first, high: second}
    return {key: both[key] for key in draw(st.sets(st.sampled_from([low, high])))}


@st.composite
def strings(draw: st.DrawFn) -> Schema:
    kind = draw(st.sampled_from(["length", "pattern", "format", "enum"]))
    if kind == "length":
        least, most = sorted([draw(st.integers(0, 8)), draw(st.integers(0, 8))])
        return {"type": "string", "minLength": least, "maxLength": most}
    if kind == "pattern":
        return {"type": "string", "pattern": draw(_PATTERNS)}
    if kind == "format":
        return {"type": "string", "format": draw(_FORMATS)}
    return {"enum": draw(st.lists(_TEXTS, min_size=1, max_size=4))}


@st.composite
def numbers(draw: st.DrawFn) -> Schema:
    if draw(st.booleans()):
        schema = {"type": "number", **_bounds(draw, "minimum", "maximum", _NUMBERS)}
        if draw(st.booleans()) and "minimum" not in schema:
            schema["exclusiveMinimum"] = -1_001.5
        return schema
    schema = {"type": "integer", **_bounds(draw, "minimum", "maximum", _NUMBERS)}
    if not schema.keys() & {"minimum", "maximum"} and draw(st.booleans()):
        schema["multipleOf"] = draw(st.integers(2, 50))
    return schema


def _constants() -> st.SearchStrategy[Schema]:
    values = st.none() | st.booleans() | _NUMBERS | _TEXTS | st.lists(_NUMBERS, max_size=2)
    return st.builds(lambda value: {"const": value}, values)


@st.composite
def _arrays(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    if draw(st.booleans()):
        first = draw(st.lists(inner, min_size=1, max_size=3))
        return {"type": "array", "prefixItems": first, "items": False, "minItems": len(first)}
    least, most = sorted([draw(st.integers(0, 3)), draw(st.integers(0, 3))])
    return {"type": "array", "items": draw(inner), "minItems": least, "maxItems": most}


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    properties = draw(st.dictionaries(_NAMES, inner, max_size=4))
    required = [name for name in properties if draw(st.booleans())]
    rest = draw(st.sampled_from(["forbidden", "forbidden", "some", "mapped", "patterned"]))
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    if rest == "forbidden":
        schema["additionalProperties"] = False
    elif rest == "some":
        schema["additionalProperties"] = draw(inner)
    elif rest == "mapped":
        most = draw(st.integers(0, 3))
        return {"type": "object", "additionalProperties": draw(inner), "maxProperties": most}
    else:
        patterns = {"^n_[a-z]{1,3}$": draw(inner)}
        schema |= {"patternProperties": patterns, "additionalProperties": False}
    return schema


def _nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    either = st.lists(inner, min_size=1, max_size=3).map(lambda choices: {"anyOf": choices})
    return _arrays(inner) | _objects(inner) | either


_SIMPLE: list[Schema] = [
    {"type": "boolean"},
    {"type": ["null", "boolean"]},
    {"$ref": "#/$defs/shared"},
]
_LEAVES = strings() | numbers() | _constants() | st.sampled_from(_SIMPLE)


@st.composite
def documents(draw: st.DrawFn) -> Schema:
    """Draw a whole schema; what it refers to is shared, or holds itself."""
    whole = draw(_objects(st.recursive(_LEAVES, _nested, max_leaves=6)))
    shared = draw(strings() | numbers())
    if draw(st.booleans()):
        more = {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/shared"}]}
        shared = {
            "type": "object",
            "properties": {"value": shared, "next": more},
            "required": ["value", "next"],
            "additionalProperties": False,
        }
    return {**whole, "$defs": {"shared": shared}}
