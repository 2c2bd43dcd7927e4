"""Which rules for `auto` follow from what was found: a decision on plain values.

Rules are written only where they change something: where their first model is another than that of
the default rule, which stands last.

Owns: the rules, their order, the order of models in each, the reason in each comment.
Must not: know a fact about a model; the catalogue does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain import UNDECIDED
from gateway.setup.draft import ModelDraft
from gateway.setup.models import Role

# A rule names so many models at most: each is tried when those before it are down.
_MOST = 4
_GENERAL, _UNKNOWN, _SPECIAL = range(3)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is to be written; `when` is empty for the rule that matches everything."""

    name: str
    when: Mapping[str, Any]
    use: tuple[str, ...]
    why: str


def rules_for(models: Sequence[ModelDraft]) -> tuple[Rule, ...]:
    """Return the rules, first match first; none where no model is for chat."""
    embedders = [model for model in models if model.embeddings]
    chat = sorted(_for_chat(models), key=_default_order)
    rules: list[Rule] = []
    if embedders and len(models) > len(embedders):
        # One alone: the vectors of two models cannot be compared, so that nobody may stand in.
        why = "vectors of different models cannot be compared, so one model makes them all"
        rules.append(Rule("embeddings", {"task": "embedding"}, _names(embedders[:1]), why))
    if chat:
        rules += _specials(chat)
        rules.append(Rule("default", {}, _names(chat), _default_why(chat)))
    return tuple(rules)


def _for_chat(models: Sequence[ModelDraft]) -> list[ModelDraft]:
    """Return the models for chat; where there are none, what at least completes text."""
    chat = [model for model in models if model.found.role is Role.CHAT]
    return chat or [m for m in models if m.found.role in (Role.ADAPTER, Role.BASE)]


def _default_order(model: ModelDraft) -> tuple[int, bool, int]:
    return (_rank(model), model.found.local, -(model.found.parameters or 0))


def _rank(model: ModelDraft) -> int:
    if model.found.entry is None:
        return _UNKNOWN
    return _GENERAL if "general" in model.found.strengths else _SPECIAL


def _default_why(chat: Sequence[ModelDraft]) -> str:
    if len(chat) == 1:
        return (
            "everything else" if chat[0].found.role is Role.CHAT else "there is no model for chat"
        )
    why = (
        "everything else: general models, then those about which nothing is known, then "
        "specialists; among these, servers before this machine and larger before smaller"
    )
    return why if len(chat) <= _MOST else f"{why}; {_MOST} are tried at most"


def _specials(chat: Sequence[ModelDraft]) -> Iterator[Rule]:
    yield from _images(chat)
    yield from _code(chat)
    yield from _hard(chat)
    yield from _long(chat)
    yield from _tongues(chat)


def _images(chat: Sequence[ModelDraft]) -> Iterator[Rule]:
    # Nobody else is named: a model that does not see would only guess. Our own workers read text.
    seeing = [model for model in chat if _sees(model)]
    if seeing and len(chat) > 1 and len(seeing) < len(chat):
        why = "only these read images" if len(seeing) > 1 else "only this one reads images"
        yield Rule("images", {"images": True}, _names(seeing), why)


def _sees(model: ModelDraft) -> bool:
    entry = model.found.entry
    return entry is not None and bool(entry.vision) and not model.found.local


def _code(chat: Sequence[ModelDraft]) -> Iterator[Rule]:
    coders = _strong(chat, "code")
    use = _before_default(coders, chat)
    if use is not None:
        yield Rule("code", {"task": "code"}, use, "models made for code first")


def _hard(chat: Sequence[ModelDraft]) -> Iterator[Rule]:
    """Yield one rule for mathematics and reasoning where the same models do both, else two."""
    math = _before_default(_strong(chat, "math", "reasoning"), chat)
    reasoning = _before_default(_strong(chat, "reasoning"), chat)
    if math is not None and math == reasoning:
        why = "models that reason before they answer first"
        yield Rule("hard", {"task": ["math", "reasoning"]}, math, why)
        return
    if math is not None:
        yield Rule("math", {"task": "math"}, math, "models strong in mathematics first")
    if reasoning is not None:
        why = "models that reason before they answer first"
        yield Rule("reasoning", {"task": "reasoning"}, reasoning, why)


def _long(chat: Sequence[ModelDraft]) -> Iterator[Rule]:
    usual = chat[0].found.context_tokens
    if usual is None:
        return
    roomy = sorted(_generalists(chat), key=lambda m: -(m.found.context_tokens or 0))
    largest = roomy[0].found.context_tokens or 0
    if largest > usual:
        why = f"the largest context: {largest:,} tokens, where {chat[0].name} has {usual:,}"
        use = _before_default(roomy[:1], chat)
        if use is not None:
            yield Rule("long", {"request_size": "large"}, use, why)


def _tongues(chat: Sequence[ModelDraft]) -> Iterator[Rule]:
    """Yield rules for what the default model does not speak; none where nobody says what it does.

    A tongue that is not known may be any, so that it goes the same way.
    """
    spoken = chat[0].found.languages
    many = max(_generalists(chat), key=lambda model: len(model.found.languages))
    use = _before_default([many], chat)
    if not spoken or use is None or len(many.found.languages) <= len(spoken):
        return
    count = len(many.found.languages)
    why = f"none of the official languages of {chat[0].name}; {many.name} has {count}"
    yield Rule("other tongue", {"language": {"not": list(spoken)}}, use, why)
    why = "an undecided language: the model with the most languages"
    yield Rule("unsure", {"language": UNDECIDED}, use, why)


def _generalists(chat: Sequence[ModelDraft]) -> Sequence[ModelDraft]:
    """Return the models that are not specialists, or all where there are only specialists."""
    return [model for model in chat if _rank(model) != _SPECIAL] or chat


def _strong(chat: Sequence[ModelDraft], *strengths: str) -> list[ModelDraft]:
    """Return the models with one of the strengths, those made for the first of them first."""
    strong = [model for model in chat if set(strengths) & set(model.found.strengths)]
    return sorted(strong, key=lambda model: _distance(model, strengths))


def _distance(model: ModelDraft, strengths: Sequence[str]) -> int:
    foremost = model.found.strengths[0]
    return strengths.index(foremost) if foremost in strengths else len(strengths)


def _before_default(
    first: Sequence[ModelDraft], chat: Sequence[ModelDraft]
) -> tuple[str, ...] | None:
    """Return these and the default's models behind; None where that begins like the default."""
    if not first or first[0] is chat[0]:
        return None
    specialists = list(first[: _MOST - 1])
    return _names([*specialists, *(model for model in chat if model not in specialists)])


def _names(models: Sequence[ModelDraft]) -> tuple[str, ...]:
    return tuple(model.name for model in models[:_MOST])
