"""Who stands in for whom: LiteLLM's lists of fallbacks, in whichever section they stand.

Owns: the shape of these lists, and their order. Must not: know what the names mean.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.config.document import Path
from gateway.setup.importing.sheet import Sheet, listed, mapping

_SECTIONS = ("router_settings", "litellm_settings")
_NAMED = ("fallbacks", "context_window_fallbacks")


def fallbacks_of(tree: Mapping[str, Any], sheet: Sheet) -> dict[str, list[str]]:
    """Return for each model that has some its fallbacks in order, those of `*` for all others."""
    found: dict[str, dict[str, None]] = {}
    for path, model, stand_ins in _named(tree):
        names = [name for name in stand_ins if isinstance(name, str)]
        if len(names) < len(stand_ins):
            sheet.leave(path, "a fallback with parameters of its own; only names are carried over")
        found.setdefault(model, {}).update(dict.fromkeys(names))
    return {model: [n for n in names if n != model] for model, names in found.items()}


def _named(tree: Mapping[str, Any]) -> Iterator[tuple[Path, str, list[Any]]]:
    for section in _SECTIONS:
        settings = mapping(tree.get(section))
        for key in _NAMED:
            for index, row in enumerate(listed(settings.get(key))):
                for model, stand_ins in mapping(row).items():
                    yield (section, key, index, model), model, listed(stand_ins)
        default = listed(settings.get("default_fallbacks"))
        if default:
            yield (section, "default_fallbacks"), "*", default
