"""The sections of a LiteLLM `config.yaml` beside `model_list`.

Owns: which settings have a counterpart here, and what is said of those that have none.
Must not: know deployments.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.config.document import Path
from gateway.setup.importing.sheet import Sheet, mapping, seconds, whole

_FALLBACKS = frozenset({"fallbacks", "context_window_fallbacks", "default_fallbacks"})
_TIMES = ("request_timeout", "timeout")
# Without effect here, or done anyway.
_GRANTED = frozenset({"drop_params", "set_verbose", "json_logs", "num_workers", "debug_level"})
_AS_HERE = frozenset({"simple-shuffle", "least-busy", "usage-based-routing-v2", "weighted-pick"})
_WHY = {
    "master_key": "set the variable WEIGHBRIDGE_API_KEY: the single key for all clients",
    "num_retries": "failed requests are retried elsewhere; `gateway.retry_share` limits how often",
    "content_policy_fallbacks": "answers are not judged, so a refusal has no fallback",
    "callbacks": "nothing is sent to other services; metrics are at `/metrics`",
    "success_callback": "nothing is sent to other services; metrics are at `/metrics`",
    "failure_callback": "nothing is sent to other services; metrics are at `/metrics`",
    "service_callback": "nothing is sent to other services; metrics are at `/metrics`",
    "cache": "answers are not cached; engines cache the prefixes of prompts",
    "cache_params": "answers are not cached; engines cache the prefixes of prompts",
    "routing_strategy": "replicas are chosen by their outstanding tokens",
    "routing_strategy_args": "replicas are chosen by their outstanding tokens",
    "redis_host": "gateways share nothing, so they need no Redis",
    "database_url": "nothing is stored in a database",
    "store_model_in_db": "models are only in the file, which is reloaded when it changes",
}
_ELSE = "this has no counterpart here"


def read_settings(
    tree: Mapping[str, Any], sheet: Sheet
) -> tuple[dict[str, tuple[Path, str]], float | None]:
    """Carry over what has a counterpart; return aliases with their places, and the deadline."""
    aliases: dict[str, tuple[Path, str]] = {}
    total_s: float | None = None
    for path, key, value in _settings(tree):
        if key == "model_group_alias":
            aliases |= _aliases(path, value)
        elif key in _TIMES:
            total_s = seconds(value) if total_s is None else total_s
        elif key == "allowed_fails":
            _put(sheet, "breaker_failures", whole(value))
        elif key == "cooldown_time":
            _put(sheet, "breaker_open_s", seconds(value))
        elif key not in _FALLBACKS | _GRANTED and not _as_here(key, value):
            sheet.leave(path, _WHY.get(key, _ELSE))
    return aliases, total_s


def _as_here(key: str, value: object) -> bool:
    return key == "routing_strategy" and str(value) in _AS_HERE


def _put(sheet: Sheet, key: str, value: float | None) -> None:
    if value is not None:
        sheet.gateway[key] = value


def _settings(tree: Mapping[str, Any]) -> Iterator[tuple[Path, str, Any]]:
    for section, value in tree.items():
        if section == "model_list":
            continue
        if not isinstance(value, Mapping):
            yield (section,), section, value
            continue
        if section == "environment_variables":
            yield (section,), section, None
            continue
        for key, part in value.items():
            yield (section, key), key, part


def _aliases(path: Path, value: object) -> dict[str, tuple[Path, str]]:
    """Return the aliases; LiteLLM writes a target as a name, or as a mapping that has it."""
    found: dict[str, tuple[Path, str]] = {}
    for alias, target in mapping(value).items():
        name = mapping(target).get("model") if isinstance(target, Mapping) else target
        if isinstance(name, str):
            found[alias] = ((*path, alias), name)
    return found
