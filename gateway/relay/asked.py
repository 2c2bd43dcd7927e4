"""What a request asks for that its stream must be read by.

Owns: how many answers there are to wait for and how long they may get, and whether the client wants
their usage.
Must not: read bodies or events.
"""

from collections.abc import Sequence

from engines.protocol.requests import ROOM, ChatRequest, CompletionRequest, Sampling

# What OpenAI's completions have where the request has no bound.
COMPLETION_TOKENS = 16
# Most answers are shorter than the bound that many clients set on every request.
_USUAL_TOKENS, _MOST_TOKENS = 512, 1_024


def wants_usage(request: object) -> bool:
    """Say whether the client gets the usage that engines are always asked for."""
    return not isinstance(request, Sampling) or request.wants_usage()


def choices_of(request: object) -> int:
    """Return how many choices an answer has: `n` for each prompt."""
    if isinstance(request, ChatRequest):
        return request.n or 1
    if not isinstance(request, Sampling):
        return 1
    return (request.n or 1) * max(1, prompts_of(request))


def prompts_of(request: Sampling) -> int:
    """Return how many prompts a request has; a list of token ids is one."""
    if not isinstance(request, CompletionRequest) or not isinstance(request.prompt, list):
        return 1
    ids = all(isinstance(item, int) for item in request.prompt)
    return 1 if ids else len(request.prompt)


def prioritized(request: object) -> bool:
    """Say whether the body has a `priority`, which some engines refuse."""
    return isinstance(request, Sampling) and request.priority is not None


def most_tokens(request: object) -> int | None:
    """Return the bound on an answer's tokens, None where there is none."""
    if isinstance(request, ChatRequest):
        return request.answer_tokens()
    if isinstance(request, CompletionRequest):
        bounded = request.max_tokens not in (None, 0)
        return request.answer_tokens() if bounded else COMPLETION_TOKENS
    return None


def without_bound(request: object) -> Sequence[str]:
    """Return the fields of a chat that ask for as many tokens as there is room for by `ROOM`.

    Not every engine knows the number; what null is, all do. In a completion null asks for a few
    tokens, and no other word for it is known to all.
    """
    if not isinstance(request, ChatRequest):
        return ()
    if ROOM not in (request.max_tokens, request.max_completion_tokens):
        return ()
    return [name for name, value in request.bounds() if value == ROOM]


def expected_tokens(request: object) -> int:
    """Return about how many tokens an engine will generate for a request, all choices together."""
    if not isinstance(request, Sampling):
        return 0
    each = min(most_tokens(request) or _USUAL_TOKENS, _MOST_TOKENS)
    return each * choices_of(request)
