"""Whether and how much a model shall think, in OpenAI's words, OpenRouter's, or a template's own.

Owns: reading them.
Must not: count tokens (`speech.budget`), or know which template has which switch.
"""

from typing import Any

from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest


def template_options(request: ChatRequest) -> dict[str, Any]:
    """Return the variables for the chat template; those that the client names itself come first.

    Raises:
        InvalidRequest: `reasoning` is malformed.
    """
    found: dict[str, Any] = {}
    effort, thinks = _effort(request), _thinks(request)
    if effort is not None:
        found["reasoning_effort"] = effort
    if thinks is not None:
        found |= {"enable_thinking": thinks, "thinking": thinks}
    return found | (request.chat_template_kwargs or {})


def thought_tokens(request: ChatRequest) -> int | None:
    """Return the bound on the tokens of a thought; None where there is none.

    No thought at all is a bound of 0: not every template has a switch.

    Raises:
        InvalidRequest: `reasoning` is malformed.
    """
    most = _field(request, "max_tokens", int)
    given = request.thought_tokens()
    if given is None and _thinks(request) is False:
        return 0
    return most if given is None else given


def _thinks(request: ChatRequest) -> bool | None:
    enabled: bool | None = _field(request, "enabled", bool)
    effort = _effort(request)
    if enabled is None and effort is not None:
        return effort != "none"
    return enabled


def _effort(request: ChatRequest) -> str | None:
    given: str | None = _field(request, "effort", str)
    return request.reasoning_effort or given


def _field(request: ChatRequest, name: str, kind: type) -> Any:
    """Return a field of OpenRouter's `reasoning`; None where it is not given."""
    given = {} if request.reasoning is None else request.reasoning
    if not isinstance(given, dict):
        raise InvalidRequest("'reasoning' must be an object.", param="reasoning")
    value = given.get(name)
    if value is not None and type(value) is not kind:
        raise InvalidRequest(
            f"'reasoning.{name}' must be of type {kind.__name__}.", param=f"reasoning.{name}"
        )
    return value
