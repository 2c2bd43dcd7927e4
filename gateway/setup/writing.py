"""The text of the `routing.yaml` that `weighbridge init --from` writes.

Owns: the sections' order, the keys of each entry, the comments.
Must not: decide what is served or which rules there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engines.words import counted
from gateway.setup.asking import one_line
from gateway.setup.draft import Draft, EngineDraft, ModelDraft
from gateway.setup.models import Found, Role
from gateway.setup.rules import Rule
from gateway.setup.yaml_text import Variable, comment, entry, item

_ROLES = {
    Role.EMBEDDING: "It makes embeddings; no rule for chat names it.",
    Role.RERANKER: "It ranks documents for `/v1/rerank`; no rule names it.",
    Role.BASE: "It is a base model, not tuned for chat; ask for it by its name.",
    Role.OTHER: "It is not for chat, by its name or its file; ask for it by its name.",
}


def head(command: str, source: str) -> list[str]:
    """Return what stands at the head of a file that a command has written."""
    text = (
        f"What Weighbridge serves, and which request goes where: written by `weighbridge {command}`"
        f" from {source}. Edit it as you like: `weighbridge check` validates it; "
        "docs/configuration.md describes every key."
    )
    return comment(text, 0)


def written(
    draft: Draft, rules: Sequence[Rule], command: str = "init", source: str = "what it found"
) -> str:
    """Return the whole file."""
    lines = [
        *head(command, source),
        "",
        "engines: # how each kind of engine is run or reached",
        *(line for engine in draft.engines for line in _engine(engine)),
        "",
        f"models: # the names that clients may ask for{_alias_words(draft.models)}",
        *(line for model in draft.models for line in _model(model, draft.models)),
        "",
        *_routes(rules),
    ]
    return "\n".join([*lines, ""])


def _engine(engine: EngineDraft) -> Iterator[str]:
    value: dict[str, Any] = {"kind": "remote" if engine.urls else "llamacpp"}
    if engine.urls:
        value["url"] = engine.urls if len(engine.urls) > 1 else engine.urls[0]
    if engine.key_env is not None:
        value["api_key"] = Variable(engine.key_env)
    lines = entry(engine.name, value, 2)
    if engine.silent is not None:
        yield from comment(
            f"Could not be asked: {engine.silent}. Then run `weighbridge init --force` again, or "
            "add it and its models by hand:",
            2,
        )
        yield from (f"  # {line[2:]}" for line in lines)
        return
    what = _what(engine)
    if what:
        yield from comment(what, 2)
    yield from lines


def _what(engine: EngineDraft) -> str:
    if not engine.urls:
        return "Workers on this machine, one process for each model."
    count = len(engine.urls)
    words = []
    if count > 1:
        words.append(f"{count} servers with the same models: requests go to the less busy one.")
    if engine.key_env is not None:
        words.append(f"The key is in the environment variable {engine.key_env}.")
    return " ".join(words)


def _alias_words(models: Iterable[ModelDraft]) -> str:
    return "; an alias is the server's own name" if any(m.aliases for m in models) else ""


def _model(model: ModelDraft, models: Iterable[ModelDraft]) -> Iterator[str]:
    yield from comment(_known(model, models), 2)
    value: dict[str, Any] = {"engine": _one_or_all(model.engines)}
    optional = {
        "weights": model.weights,
        "upstream_model": model.upstream_model,
        "aliases": model.aliases or None,
        "context": model.context,
        "catalogue": model.catalogue,
        "embeddings": model.embeddings or None,
        "reranks": model.reranks or None,
    }
    value |= {key: part for key, part in optional.items() if part is not None}
    yield from entry(model.name, value, 2)


def _known(model: ModelDraft, models: Iterable[ModelDraft]) -> str:
    """Return what is known of a model, for its comment."""
    found = model.found
    if found.role is Role.ADAPTER:
        return f"A LoRA adapter on {_below(model, models)}; ask for it by its name."
    facts = [_size(found.parameters), _context(found)]
    role = f" {_ROLES[found.role]}" if found.role in _ROLES else ""
    if found.entry is None:
        known = [fact for fact in facts if "unknown" not in fact]
        said = f" ({', '.join(known)})" if known else ""
        return f"Unknown to the catalogue{said}; set `catalogue:` if you know it.{role}"
    licence = found.entry.licence
    facts.append(f"{licence.licence_class} licence ({licence.id})")
    spoken = found.entry.languages
    facts.append("languages unknown" if spoken is None else counted(len(spoken), "language"))
    return f"Family {found.entry.family}: {', '.join(facts)}.{role}"


def _below(model: ModelDraft, models: Iterable[ModelDraft]) -> str:
    parent = model.found.parent or ""
    return next((one.name for one in models if one.upstream_model == parent), one_line(parent))


def _size(parameters: int | None) -> str:
    if parameters is None:
        return "parameters unknown"
    for size, letter in ((10**9, "B"), (10**6, "M")):
        if parameters >= size:
            return f"{parameters / size:.3g}{letter} parameters"
    return f"{parameters:,} parameters"


def _context(found: Found) -> str:
    if found.context_tokens is not None:
        return f"context {found.context_tokens:,}"
    if found.trained_tokens is not None:
        return f"context up to {found.trained_tokens:,} (the server decides)"
    return "context unknown"


def _one_or_all(names: Sequence[str]) -> str | Sequence[str]:
    return names[0] if len(names) == 1 else names


def _routes(rules: Sequence[Rule]) -> Iterator[str]:
    if not rules:
        yield from comment(
            "No rules for `auto`: no model here is for chat, so only names decide.", 0
        )
        return
    yield from comment(
        "For requests to `auto` or without a model: the first rule that matches. A rule's models "
        "are in order of preference; those that no rule names are served only by their names.",
        0,
    )
    yield "routes:"
    for rule in rules:
        yield from comment(rule.why[:1].upper() + rule.why[1:] + ".", 2)
        value: dict[str, Any] = {"name": rule.name}
        if rule.when:
            value["when"] = rule.when
        yield from item(value | {"use": _one_or_all(rule.use)}, 2)
