"""What the headers of a request hint at: the languages that its user reads.

Owns: `x-weighbridge-language` (ours, first) and `Accept-Language`.
Must not: decide anything: words that are there outweigh a hint.
"""

from collections.abc import Iterable, Iterator

_OURS = b"x-weighbridge-language"
_BROWSERS = b"accept-language"
_MOST = 5
_TRADITIONAL = ("zh-hant", "zh-tw", "zh-hk", "zh-mo")
_OLD = {"iw": "he", "in": "id", "nb": "no", "nn": "no", "fil": "tl"}


def language_hints(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """Return languages as weighing writes them, the likeliest first; none where no header says."""
    given = {name.lower(): value for name, value in headers if name.lower() in (_OURS, _BROWSERS)}
    if not given:
        return ()
    named = [given.get(_OURS, b""), given.get(_BROWSERS, b"")]
    found = [code for value in named for code in _preferred(value.decode("latin-1"))]
    return tuple(dict.fromkeys(found))[:_MOST]


def _preferred(value: str) -> Iterator[str]:
    """Yield the languages of a header's value, by `q` and then in its order."""
    ranges = []
    for part in value.split(",")[: 2 * _MOST]:
        tag, _, rest = part.partition(";")
        weight = _weight(rest)
        if weight > 0:
            ranges.append((-weight, tag.strip().lower()))
    for _, tag in sorted(ranges, key=lambda ranked: ranked[0]):
        base = tag.partition("-")[0]
        if tag.startswith(_TRADITIONAL):
            yield "zh-Hant"
        elif base.isalpha() and base.isascii():
            yield _OLD.get(base, base)


def _weight(parameters: str) -> float:
    name, _, number = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(number)
    except ValueError:
        return 0.0
