"""Requests to copy: one dictionary for each endpoint that takes a body, by what they show.

Owns: the examples in the API's description. Must not: name a configured model.
"""

from collections.abc import Mapping
from typing import Any

_HELLO = [{"role": "user", "content": "Hola"}]

EXAMPLES: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "/v1/chat/completions": {
        "a question": {"model": "auto", "messages": _HELLO},
        "a stream": {
            "model": "auto",
            "messages": _HELLO,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        "a tool": {
            "model": "auto",
            "messages": [{"role": "user", "content": "What is the weather in Lima?"}],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "weather",
                        "parameters": {
                            "type": "object",
                            "properties": {"city": {"type": "string"}},
                            "required": ["city"],
                        },
                    },
                }
            ],
        },
        "JSON": {
            "model": "auto",
            "messages": [{"role": "user", "content": "Name a city and its country."}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "city",
                    "schema": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
                        "required": ["city", "country"],
                    },
                },
            },
        },
    },
    "/v1/responses": {
        "a question": {"model": "auto", "instructions": "Be brief.", "input": "Hola"},
        "a function": {
            "model": "auto",
            "input": [{"role": "user", "content": "What is the weather in Lima?"}],
            "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
        },
    },
    "/v1/completions": {
        "a text": {"model": "auto", "prompt": "Once upon a time", "max_tokens": 32}
    },
    "/v1/embeddings": {"two texts": {"model": "auto", "input": ["a river", "a stream"]}},
    "/v1/rerank": {
        "three documents": {
            "model": "auto",
            "query": "What weighs a cart?",
            "documents": ["A weighbridge.", "A thermometer.", {"text": "A spring balance."}],
            "top_n": 2,
        }
    },
    "/v2/rerank": {
        "two documents": {
            "model": "auto",
            "query": "What weighs a cart?",
            "documents": ["A weighbridge.", "A thermometer."],
        }
    },
    "/v1/route": {
        "a text": {"text": "Schreibe eine Funktion, die zwei Zahlen addiert"},
        "a conversation": {"model": "auto:small", "messages": _HELLO},
    },
    "/v1/score": {
        "one text and two": {
            "model": "auto",
            "text_1": "a river",
            "text_2": ["a stream", "a mountain"],
        }
    },
}
