"""Schemas that are not `strict`: what of them cannot be held is let go, and the rest is held.

A client's tools come from many hands, and one keyword in one of them shall not refuse them all.

Owns: what is let go, and in which order.
Must not: find what is wrong (`trial` does); loosen what a client wants to the letter.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from engines.llamacpp.grammar.draft import Draft, Flaw
from engines.llamacpp.grammar.schema import without

# Each is read by the child again; a schema with more flaws than this is not worth more of its time.
_MOST_ROUNDS = 12


def loosened(
    drafts: Sequence[Draft], find: Callable[[Sequence[Draft]], Flaw | None]
) -> tuple[Sequence[Draft], Flaw | None]:
    """Return drafts without what cannot be held and need not be; and what is wrong with them then.

    `find` says what is wrong with drafts: first single keywords go, then whole schemas.
    """
    flaw = find(drafts)
    for rounds_left in reversed(range(_MOST_ROUNDS)):
        if flaw is None:
            break
        looser = _looser(drafts, flaw, at_once=not rounds_left)
        if looser == drafts:
            break
        drafts, flaw = looser, find(looser)
    return drafts, flaw


def _looser(drafts: Sequence[Draft], flaw: Flaw, *, at_once: bool) -> Sequence[Draft]:
    """Let go of the keyword with the flaw, where it is known; else of all that may be at fault."""
    by_itself = flaw.draft is not None and not at_once
    return [
        _without(draft, flaw.pointer if by_itself else None)
        if draft.loose is not None and (draft.name == flaw.draft or not by_itself)
        else draft
        for draft in drafts
    ]


def _without(draft: Draft, pointer: str | None) -> Draft:
    assert draft.loose is not None  # noqa: S101 - it was chosen for that
    if pointer is None:
        return replace(draft, text=draft.loose)
    schema = json.loads(draft.text)
    without(schema, pointer)
    return replace(draft, text=json.dumps(schema))
