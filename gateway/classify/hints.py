"""What the headers of a request hint at: the languages that its user reads.

Owns: `x-weighbridge-language` (ours, first) and `Accept-Language`.
Must not: decide anything: words that are there outweigh a hint; take a word that no rule can name.
"""

from collections.abc import Iterable, Iterator

from gateway.config.vocabulary import LANGUAGES, language_code, language_meant

_OURS = b"x-weighbridge-language"
_BROWSERS = b"accept-language"
_MOST = 5
_LONGEST_NAME = 40
_TRADITIONAL = ("zh-hant", "zh-tw", "zh-hk", "zh-mo")
_OLD = {"iw": "he", "in": "id", "nb": "no", "nn": "no", "fil": "tl"}


def language_hints(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """Return languages as weighing writes them, the likeliest first; none where no header says."""
    given = {name.lower(): value for name, value in headers if name.lower() in (_OURS, _BROWSERS)}
    if not given:
        return ()
    found = [
        code
        for name in (_OURS, _BROWSERS)
        for tag in _preferred(given.get(name, b"").decode("latin-1"))
        if (code := _code(tag, by_name=name == _OURS)) is not None
    ]
    return tuple(dict.fromkeys(found))[:_MOST]


def _preferred(value: str) -> Iterator[str]:
    """Yield what a header's value names, by `q` and then in its order."""
    ranges = []
    for part in value.split(",")[: 2 * _MOST]:
        tag, _, rest = part.partition(";")
        weight = _weight(rest)
        if weight > 0:
            ranges.append((-weight, tag.strip().lower()))
    return (tag for _, tag in sorted(ranges, key=lambda ranked: ranked[0]))


def _code(tag: str, *, by_name: bool) -> str | None:
    """Return the language of a tag, or of a name in English where people write it themselves."""
    if tag.startswith(_TRADITIONAL):
        return "zh-Hant"
    base = tag.partition("-")[0]
    code = language_code(tag) or language_code(_OLD.get(base, base))
    if code is None and by_name and 0 < len(tag) <= _LONGEST_NAME:
        code = language_meant(tag)
    return code if code in LANGUAGES else None


def _weight(parameters: str) -> float:
    name, _, number = parameters.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(number)
    except ValueError:
        return 0.0
