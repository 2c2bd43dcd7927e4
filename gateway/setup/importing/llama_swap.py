"""A llama-swap `config.yaml`: its commands become workers of ours, or servers that run elsewhere.

Owns: what `models`, `groups`, `hooks`, `macros` and `peers` mean.
Must not: know llama-server's flags (`command_line` does).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from engines.kinds.remote import address_of
from gateway.config.document import Path
from gateway.setup.importing.command_line import filled, read_command, words_of
from gateway.setup.importing.commands import Command
from gateway.setup.importing.sheet import Sheet, listed, mapping, seconds, whole
from gateway.setup.importing.swap_groups import groups_apart
from gateway.setup.naming import engine_name

_MODEL_KEYS = frozenset(
    [
        "cmd",
        "proxy",
        "aliases",
        "macros",
        "concurrencyLimit",
        "useModelName",
        "name",
        "description",
        "metadata",
        "unlisted",
        "capabilities",
        "checkEndpoint",
        "cmdStop",
        "env",
        "ttl",
    ]
)
_WHY = {
    "env": "a worker gets the gateway's own environment; set variables for `weighbridge serve`",
    "filters": "requests are forwarded unchanged",
    "timeouts": "use `first_byte_timeout_s`, `idle_timeout_s` and `total_timeout_s` of a model",
    "sendLoadingState": "an answer's text never mentions a load",
    "unlisted": "all served models are listed",
}
_TOP = frozenset({"models", "macros", "peers", "groups", "hooks", "logLevel", "startPort"})
_GRANTED = frozenset(
    [
        "healthCheckTimeout",
        "logTimeFormat",
        "logToStdout",
        "metricsMaxInMemory",
        "captureBuffer",
        "includeAliasesInList",
        "sendLoadingState",
        "globalTTL",
    ]
)
_ELSE = "this has no counterpart here"


def read_llama_swap(tree: Mapping[str, Any], sheet: Sheet) -> None:
    """Fill the sheet with what a configuration of llama-swap says."""
    macros = _macros(tree.get("macros"))
    preloaded = listed(mapping(mapping(tree.get("hooks")).get("on_startup")).get("preload"))
    started: dict[str, str] = {}
    for name, row in mapping(tree.get("models")).items():
        served = _model(name, mapping(row), macros, sheet)
        if served is not None and "weights" in sheet.models[served]:
            started[name] = served
            stay = _stay(mapping(row).get("ttl", tree.get("globalTTL")), name in preloaded)
            sheet.models[served].update(stay)
    apart = groups_apart(tree.get("groups"), list(started))
    if apart:
        rows = [{"live": "apart", "models": [started[name] for name in one]} for one in apart]
        sheet.residency["groups"] = rows
    for name, row in mapping(tree.get("peers")).items():
        _peer(name, mapping(row), sheet)
    for key in tree:
        if key == "apiKeys":
            what = "set the variable WEIGHBRIDGE_API_KEY: the single key for all clients"
            sheet.leave((key,), what)
        elif key not in _TOP | _GRANTED:
            sheet.leave((key,), _WHY.get(key, _ELSE))


def _macros(*sections: object) -> dict[str, Any]:
    """Return macros, of several sections the later before the earlier; also a list of mappings."""
    found: dict[str, Any] = {}
    for section in sections:
        rows = listed(section) or [mapping(section)]
        for row in rows:
            found |= mapping(row)
    return found


def _stay(ttl: object, is_preloaded: bool) -> dict[str, Any]:
    """Return when a model is loaded and how long it stays: there, only when it is asked for."""
    keep_alive_s = seconds(ttl)
    stay: dict[str, Any] = {"load": "start" if is_preloaded else "demand"}
    return stay if keep_alive_s is None else stay | {"keep_alive_s": keep_alive_s}


def _model(
    name: str, row: Mapping[str, Any], macros: Mapping[str, Any], sheet: Sheet
) -> str | None:
    """Add a model; return its name here, or None where it is left out."""
    path: Path = ("models", name)
    own = {**macros, **_macros(row.get("macros")), "MODEL_ID": name}
    try:
        words = words_of(filled(str(row.get("cmd") or ""), own))
    except ValueError:
        sheet.leave((*path, "cmd"), "the command has an unclosed quotation mark")
        return None
    section = _section(path, row, read_command(words), own, sheet)
    if section is None:
        return None
    served = sheet.model(name, section)
    for index, alias in enumerate(listed(row.get("aliases"))):
        sheet.alias((*path, "aliases", index), str(alias), served)
    for key in row:
        if key not in _MODEL_KEYS:
            sheet.leave((*path, key), _WHY.get(key, _ELSE))
    return served


def _section(
    path: Path, row: Mapping[str, Any], command: Command, macros: Mapping[str, Any], sheet: Sheet
) -> dict[str, Any] | None:
    limit = whole(row.get("concurrencyLimit"))
    common = {} if limit is None else {"max_concurrent": limit}
    if command.model.get("weights"):
        for flag in command.unknown:
            sheet.leave((*path, "cmd"), f"`{flag}` has no counterpart here")
        return {"engine": _engine(path, row, command, sheet), **command.model, **common}
    proxy = filled(str(row.get("proxy") or ""), macros)
    if not proxy or "${" in proxy:
        what = "only llama-server and `vllm serve` are started; set `proxy` to reach a server"
        sheet.leave((*path, "cmd"), what)
        return None
    engine = _reached(path, proxy, None, sheet)
    if engine is None:
        return None
    sheet.leave((*path, "cmd"), "this program is not started here; start it yourself")
    return {"engine": engine, "upstream_model": str(row.get("useModelName") or path[-1]), **common}


def _engine(path: Path, row: Mapping[str, Any], command: Command, sheet: Sheet) -> str:
    engine: dict[str, Any] = {"kind": command.kind, **command.engine}
    if command.kind == "vllm":
        variables = _variables(row.get("env"))
        if variables:
            engine["environment"] = variables
        return sheet.engine("vllm", engine)
    if "env" in row:
        sheet.leave((*path, "env"), _WHY["env"])
    return sheet.engine("gpu" if engine.get("gpu_layers") else "cpu", engine)


def _variables(value: object) -> dict[str, str]:
    pairs = [str(row).partition("=") for row in listed(value)]
    return {name: what for name, equals, what in pairs if equals and name}


def _peer(name: str, row: Mapping[str, Any], sheet: Sheet) -> None:
    path: Path = ("peers", name)
    engine = _reached(path, str(row.get("proxy") or ""), row.get("apiKey"), sheet)
    if engine is None:
        return
    for index, model in enumerate(_names(row.get("models"))):
        served = sheet.model(model, {"engine": engine, "upstream_model": model})
        if served != model:
            what = f"the name is taken here; it is served as {served!r}"
            sheet.leave((*path, "models", index), what)


def _names(value: object) -> Iterator[str]:
    yield from (str(name) for name in (listed(value) or mapping(value)))


def _reached(path: Path, proxy: str, key: object, sheet: Sheet) -> str | None:
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        address_of(url, None)
    except ValueError as problem:
        sheet.leave((*path, "proxy"), f"it cannot be used: {problem}")
        return None
    section: dict[str, Any] = {"kind": "remote", "url": url}
    name = engine_name([url], "", ())
    variable = sheet.key((*path, "apiKey"), key, name)
    if variable is not None:
        section["api_key"] = variable
    return sheet.engine(name, section)
