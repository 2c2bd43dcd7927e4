"""What no request may ask of our worker, whatever the model: older forms, contradictions.

Owns: these refusals. Must not: know a model.
"""

from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest, CompletionRequest


def check_chat(request: ChatRequest) -> None:
    """Refuse a chat in an older form, or for an answer that is not text.

    Raises:
        InvalidRequest: it is one.
    """
    if request.older_functions:
        raise InvalidRequest(
            "'functions' is the older form: send each as one of 'tools', "
            '{"type": "function", "function": {...}}, and \'function_call\' as \'tool_choice\'.',
            param="functions",
        )
    if request.modalities not in (None, [], ["text"]):
        raise InvalidRequest(
            "This engine answers in text alone: leave 'modalities' out, or send [\"text\"].",
            param="modalities",
        )
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequest(
            "'top_logprobs' needs 'logprobs': set that to true as well.",
            param="top_logprobs",
        )


def check_completion(request: CompletionRequest) -> None:
    """Refuse fields of a completion that do not go together.

    Raises:
        InvalidRequest: some do not.
    """
    drawn, told = request.choices(), request.n or 1
    if drawn < told:
        raise InvalidRequest(
            f"'best_of' ({drawn}) must not be less than 'n' ({told}).",
            param="best_of",
        )
    if request.stream and drawn > told:
        raise InvalidRequest(
            "The best answers are known only when all have ended: 'best_of' cannot be streamed.",
            param="best_of",
        )
    if request.suffix and request.echo and request.logprobs is not None:
        raise InvalidRequest(
            "With a 'suffix' the prompt's tokens are not those of the echoed text; leave out "
            "either 'echo' or 'logprobs'.",
            param="logprobs",
        )
