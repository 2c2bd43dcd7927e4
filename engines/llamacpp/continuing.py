"""An answer that the client has begun: the last message of a conversation, gone on with.

Owns: what makes such a request wrong; the text that stands before the first new token.
Must not: render, tokenize, or read answers.
"""

from engines.llamacpp.speech.speech import Tags
from engines.llamacpp.template import check_parts
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import ChatRequest, Message


def check_continuing(request: ChatRequest, tags: Tags | None) -> None:
    """Say what is wrong with a request whose last message is to be continued.

    Raises:
        InvalidRequest: it asks for a new turn as well, or that message is no answer in text.
    """
    last, at = request.messages[-1], f"messages[{len(request.messages) - 1}]"
    if request.add_generation_prompt:
        raise InvalidRequest(
            "An answer is either continued or started: with 'continue_final_message', "
            "'add_generation_prompt' must be false.",
            param="add_generation_prompt",
        )
    if last.role != "assistant":
        raise InvalidRequest(
            "With 'continue_final_message' the last message must be the assistant's; "
            f"this one has the role '{last.role}'.",
            param=f"{at}.role",
        )
    if last.tool_calls:
        raise InvalidRequest("A message with tool calls cannot be continued.", param=at)
    if last.thought() and tags is None:
        raise InvalidRequest(
            "This model has no reasoning that could be continued; leave 'reasoning_content' out.",
            param=f"{at}.reasoning_content",
        )
    check_parts(last, len(request.messages) - 1)


def has_begun(message: Message) -> bool:
    """Say whether anything of a continued answer was said yet."""
    return bool(message.text() or message.thought())


def begun(message: Message, tags: Tags | None, *, opened: bool) -> str:
    """Return what a continued answer begins with; `opened`: the template opens its thought."""
    content, thought = message.text(), message.thought() or ""
    if tags is None or not has_begun(message):
        return content
    if content.startswith(tags.opening):  # the raw text of an answer, its thought in it
        return content.removeprefix(tags.opening).removeprefix("\n") if opened else content
    if not (thought or opened):
        return tags.answer + content
    line = "\n" if tags.ending.startswith("\n") else ""
    start = "" if opened else tags.opening + line
    return start + thought + (tags.ending + content if content else "")


def goes_on_thinking(message: Message, tags: Tags | None) -> bool | None:
    """Say whether what comes next is in the thought; None where nothing was said yet."""
    content = message.text()
    if tags is None or not has_begun(message):
        return None
    if content:
        return content.rfind(tags.opening) > content.rfind(tags.closing)
    return True
