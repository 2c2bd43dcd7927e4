"""`logit_bias` in a request's words: OpenAI's object, or llama-server's pairs.

Owns: reading it. Must not: draw.
"""

import math

from engines.llamacpp.vocabulary import Vocabulary
from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import Biases

_MOST_DIGITS = 19


def bias_of(given: Biases | None, vocabulary: Vocabulary) -> dict[int, float]:
    """Return what is added to the logit of each token; what is forbidden gets minus infinity.

    Text, which only pairs may have, stands for each of its tokens.

    Raises:
        InvalidRequest: a token is none of this model's, or a value says nothing.
    """
    if isinstance(given, dict):
        return {_known(_number(key), vocabulary): _value(value) for key, value in given.items()}
    return {
        token: _value(value) for key, value in given or () for token in _tokens(key, vocabulary)
    }


def _tokens(key: int | str, vocabulary: Vocabulary) -> list[int]:
    if isinstance(key, str):
        return vocabulary.tokens(key, add_special=False, parse_special=True)
    return [_known(key, vocabulary)]


def _known(token: int, vocabulary: Vocabulary) -> int:
    if 0 <= token < vocabulary.size:
        return token
    raise _wrong(
        f"{token} is not a token of this model; its ids go from 0 to {vocabulary.size - 1}; ids of "
        "another model's vocabulary mean other texts here."
    )


def _number(key: str) -> int:
    digits = key.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < _MOST_DIGITS:
        return int(key)
    raise _wrong('Keys must be token ids; text is given in pairs: [["text", -100]].')


def _value(given: float | bool) -> float:
    if given is True:
        raise _wrong("A bias must be a number from -100 to 100, or false, which forbids the token.")
    return -math.inf if given is False else float(given)


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="logit_bias")
