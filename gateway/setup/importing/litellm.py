"""A LiteLLM `config.yaml`: its deployments become engines and models, its fallbacks rules.

LiteLLM shares the requests for one name out among deployments, which may know the model by other
names; here these are models of their own behind a rule that has the name.

Owns: what `model_list` means. Must not: know the other sections (`litellm_settings` here does).
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, TypeAlias

from engines.kinds.remote import address_of
from gateway.config.document import Path
from gateway.config.names import is_reserved
from gateway.setup.importing.fallbacks import fallbacks_of
from gateway.setup.importing.litellm_settings import read_settings
from gateway.setup.importing.sheet import Sheet, listed, mapping, seconds, whole
from gateway.setup.naming import engine_name

_CARRIED = frozenset(
    {"model", "api_base", "base_url", "api_key", "timeout", "max_parallel_requests", "weight"}
    | {"custom_llm_provider"}
)
_MODES = {"embedding": "embeddings", "rerank": "reranks"}
_WHY = {
    "rpm": "requests are not limited per minute; `max_concurrent` limits concurrent ones",
    "tpm": "tokens are not limited per minute; `max_concurrent` limits concurrent requests",
    "stream_timeout": "use `first_byte_timeout_s` and `idle_timeout_s` of the model",
    "max_retries": "failed requests are retried elsewhere; `gateway.retry_share` limits how often",
    "num_retries": "failed requests are retried elsewhere; `gateway.retry_share` limits how often",
    "api_version": "only servers with OpenAI's own API are supported",
    "organization": "only the key is added to a request's headers",
    "extra_headers": "only the key is added to a request's headers",
    "order": "a rule's `use` list is an order of preference",
}
_ELSE = "parameters of requests are sent by the client; nothing is added here"

_Providers: TypeAlias = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Deployment:
    """One row of `model_list` that can be reached; `settings` are the keys of a model here."""

    path: Path
    engine: str
    upstream: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1


def read_litellm(tree: Mapping[str, Any], sheet: Sheet) -> None:
    """Fill the sheet with what a configuration of LiteLLM says."""
    groups: dict[str, list[_Deployment]] = {}
    providers = _providers()
    for index, row in enumerate(listed(tree.get("model_list"))):
        path: Path = ("model_list", index)
        name = _name(path, str(mapping(row).get("model_name") or "").strip(), sheet)
        deployment = _deployment(path, name, mapping(row), providers, sheet)
        if deployment is not None:
            groups.setdefault(name, []).append(deployment)
    aliases, total_s = read_settings(tree, sheet)
    fallbacks = fallbacks_of(tree, sheet)
    shares: dict[str, dict[str, float]] = {}
    for name, deployments in groups.items():
        has_fallbacks = bool(fallbacks.get(name, fallbacks.get("*")))
        shares[name] = _models(name, deployments, total_s, sheet, alone=not has_fallbacks)
    meant = {name: name for name in groups} | {alias: name for alias, (_, name) in aliases.items()}
    for name, deployments in groups.items():
        if list(shares[name]) != [name]:
            others = fallbacks.get(name, fallbacks.get("*", []))
            path = deployments[0].path
            stand_ins = _stand_ins(path, others, {**meant, name: ""}, shares, sheet)
            _rule(name, deployments, shares[name], stand_ins, sheet)
    for alias, (path, target) in aliases.items():
        if target in groups:
            sheet.alias(path, alias, target)
        else:
            sheet.leave(path, f"{target!r} is not served here, so {alias!r} means nothing")


def _name(path: Path, given: str, sheet: Sheet) -> str:
    """Return the name that clients ask for: another where `auto` is taken for the choice."""
    if not is_reserved(given):
        return given
    sheet.leave(path, f"{given!r} is reserved for routing by rules; it is 'model-{given}' here")
    return f"model-{given}"


def _stand_ins(
    path: Path,
    others: Sequence[str],
    meant: Mapping[str, str],
    shares: Mapping[str, Mapping[str, float]],
    sheet: Sheet,
) -> list[str]:
    """Return the models that the names of fallbacks come to, each once."""
    found: dict[str, None] = {}
    for other in others:
        target = meant.get(other)
        if target:
            found |= dict.fromkeys(shares.get(target, ()))
        elif target is None:
            sheet.leave(path, f"its fallback {other!r} is not served here")
    return list(found)


def _deployment(
    path: Path, name: str, row: Mapping[str, Any], providers: _Providers, sheet: Sheet
) -> _Deployment | None:
    params = mapping(row.get("litellm_params"))
    provider, upstream = _provider(params, providers)
    if not name or "*" in name or "*" in upstream:
        sheet.leave(path, "a name with `*` does not say which models there are; list them")
        return None
    known = providers.get(provider)
    base = params.get("api_base") or params.get("base_url") or mapping(known).get("url")
    if known is None or not upstream:
        sheet.leave(path, f"{provider or 'this provider'} has an API of its own, not OpenAI's")
        return None
    if base is None:
        sheet.leave(path, "it has no api_base, and this provider no address of its own")
        return None
    engine = _engine(path, str(base), params, known, sheet)
    if engine is None:
        return None
    for key in params:
        if key not in _CARRIED:
            sheet.leave((*path, "litellm_params", key), _WHY.get(key, _ELSE))
    weight = params.get("weight", 1)
    share = float(weight) if isinstance(weight, int | float) and 0 < weight <= 1_000_000 else 1.0
    return _Deployment(path, engine, upstream, _model_settings(params, row), share)


def _provider(params: Mapping[str, Any], providers: _Providers) -> tuple[str, str]:
    """Return provider and model; a name without a slash is OpenAI's, as for LiteLLM."""
    model = str(params.get("model") or "")
    given = params.get("custom_llm_provider")
    if given is not None:
        return str(given), model.removeprefix(f"{given}/")
    provider, slash, rest = model.partition("/")
    if slash and provider in providers:
        return provider, rest
    if slash and not (params.get("api_base") or params.get("base_url")):
        return provider, rest
    return "openai", model


def _engine(
    path: Path, base: str, params: Mapping[str, Any], known: Mapping[str, Any], sheet: Sheet
) -> str | None:
    where = (*path, "litellm_params")
    if base.startswith("os.environ/"):
        sheet.leave(where, "its api_base is in a variable; set the engine's url by hand")
        return None
    url = base if "://" in base else f"http://{base}"
    try:
        address_of(url, None)
    except ValueError as problem:
        sheet.leave(where, f"its api_base cannot be used: {problem}")
        return None
    name = engine_name([url], "", ())
    section: dict[str, Any] = {"kind": "remote", "url": url}
    given = params.get("api_key")
    if given is None and "key" in known and not known.get("optional_key"):
        given = f"os.environ/{known['key']}"
    key = sheet.key((*where, "api_key"), given, name)
    if key is not None:
        section["api_key"] = key
    return sheet.engine(name, section)


def _model_settings(params: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    info = mapping(row.get("model_info"))
    found = {
        "context": whole(info.get("max_input_tokens"), 64),
        "max_concurrent": whole(params.get("max_parallel_requests")),
        "total_timeout_s": seconds(params.get("timeout")),
    }
    mode = _MODES.get(str(info.get("mode")))
    settings = {key: value for key, value in found.items() if value is not None}
    return settings if mode is None else settings | {mode: True}


def _models(
    name: str,
    deployments: Sequence[_Deployment],
    total_s: float | None,
    sheet: Sheet,
    *,
    alone: bool,
) -> dict[str, float]:
    """Add the models that one name means and return their shares; one `alone` has that name."""
    by_upstream: dict[str, list[_Deployment]] = {}
    for one in deployments:
        by_upstream.setdefault(one.upstream, []).append(one)
    alone = alone and len(by_upstream) == 1
    shares: dict[str, float] = {}
    for upstream, same in by_upstream.items():
        section = _section(upstream, same, total_s, sheet)
        if alone and name == upstream:
            section.pop("upstream_model")
        wanted = name if alone else f"{name}-{same[0].engine}"
        shares[sheet.model(wanted, section)] = sum(one.weight for one in same)
    return shares


def _rule(
    name: str,
    deployments: Sequence[_Deployment],
    shares: Mapping[str, float],
    stand_ins: Sequence[str],
    sheet: Sheet,
) -> None:
    """Let a name mean several models: by their shares, or in order where others stand in."""
    if not stand_ins:
        sheet.rule(name, {"split": _whole_shares(shares), "sticky": "none"})
        return
    if len(shares) > 1:
        what = "its deployments are used in order, not by shares, because it has fallbacks"
        sheet.leave(deployments[0].path, what)
    sheet.rule(name, [*shares, *stand_ins])


def _section(
    upstream: str, same: Sequence[_Deployment], total_s: float | None, sheet: Sheet
) -> dict[str, Any]:
    engines = list(dict.fromkeys(one.engine for one in same))
    first = same[0]
    for other in same[1:]:
        if other.settings != first.settings:
            sheet.leave(other.path, "its settings differ from its twin's, which are used")
    section: dict[str, Any] = {
        "engine": engines if len(engines) > 1 else engines[0],
        "upstream_model": upstream,
        **first.settings,
    }
    if total_s is not None:
        section.setdefault("total_timeout_s", total_s)
    return section


def _whole_shares(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: int(share) if share == int(share) else share for name, share in shares.items()}


def _providers() -> _Providers:
    text = (files(__package__) / "data" / "providers.toml").read_text("utf-8")
    return tomllib.loads(text)
