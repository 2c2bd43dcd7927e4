"""From the bytes of a body to a request, or to the error that says what is wrong with them.

Owns: which requests there are; one message for each way in which a body can be wrong.
Must not: know a request's fields beyond the role of a message, or any model.
"""

import re
from typing import TypeAlias, TypeVar, get_args

import msgspec

from engines.protocol.errors import InvalidRequest
from engines.protocol.readings import EmbeddingRequest, RerankRequest, ScoreRequest
from engines.protocol.requests import ChatRequest, CompletionRequest, Role
from engines.protocol.unreadable import UNREADABLE

AnyRequest: TypeAlias = (
    ChatRequest | CompletionRequest | EmbeddingRequest | RerankRequest | ScoreRequest
)
RequestT = TypeVar(
    "RequestT", ChatRequest, CompletionRequest, EmbeddingRequest, RerankRequest, ScoreRequest
)
BodyT = TypeVar("BodyT")

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_ROLE = re.compile(r"messages\[[^\]]*\]\.role")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]+)`")


def decode_request(decoder: "msgspec.json.Decoder[BodyT]", body: bytes) -> BodyT:
    """Decode `body`; say in OpenAI's shape what is wrong with it.

    Raises:
        InvalidRequest: not JSON, or nested too deeply (`code` invalid_json); a field missing, of a
            wrong type or out of its range (`param` names it).
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _field_error(str(error)) from None
    except RecursionError:
        raise InvalidRequest(
            "The body is nested too deeply to be read. Send one with fewer levels.",
            code="invalid_json",
        ) from None
    except UNREADABLE as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error}. Send one JSON object in UTF-8.",
            code="invalid_json",
        ) from None


def _field_error(text: str) -> InvalidRequest:
    at = _PATH.search(text)
    param = at["path"].removesuffix("[...]") if at else ""
    what = text[: at.start()] if at else text
    missing = _MISSING.search(what)
    if missing:
        param = f"{param}.{missing['field']}" if param else missing["field"]
        return InvalidRequest(
            f"The field '{param}' is missing. Add it to the request.",
            param=param,
            code="missing_required_parameter",
        )
    if not param:
        return InvalidRequest(f"The body must be a JSON object: {what}.", code="invalid_type")
    what = what.replace("`", "").replace("|", "or")
    if _ROLE.fullmatch(param):
        what += f" (there are {', '.join(get_args(Role))})"
    return InvalidRequest(
        f"The value of '{param}' is not allowed: {what[0].lower()}{what[1:]}.",
        param=param,
        code="invalid_value",
    )
