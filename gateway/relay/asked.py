"""What a request asks for that its stream must be read by.

Owns: how many answers there are to wait for, and whether the client wants their usage.
Must not: read bodies or events.
"""

from engines.protocol.requests import CompletionRequest, Sampling


def wants_usage(request: object) -> bool:
    """Say whether the client gets the usage that engines are always asked for."""
    return not isinstance(request, Sampling) or request.wants_usage()


def choices_of(request: object) -> int:
    """Return how many choices an answer has: `n` for each prompt."""
    if not isinstance(request, Sampling):
        return 1
    return (request.n or 1) * max(1, prompts_of(request))


def prompts_of(request: Sampling) -> int:
    """Return how many prompts a request has; a list of token ids is one."""
    if not isinstance(request, CompletionRequest) or not isinstance(request.prompt, list):
        return 1
    ids = all(isinstance(item, int) for item in request.prompt)
    return 1 if ids else len(request.prompt)
