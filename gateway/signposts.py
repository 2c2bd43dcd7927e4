"""Where a client probably means to go that asks for a path which is not here.

Most often its base URL lacks `/v1`, or has it twice; else it speaks the API of another server.

Owns: the sentence in a 404 that says so. Must not: answer anything; know a configuration.
"""

import re

_HERE = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/rerank",
    "/v2/rerank",
    "/v1/score",
    "/v1/models",
    "/v1/route",
    "/health",
    "/ready",
    "/metrics",
    "/docs",
    "/openapi.json",
)
_CHAT = "POST /v1/chat/completions"
# How a path begins -> what is here in its place. The first that fits is told.
_ELSEWHERE = (
    ("/v1/responses/", "Responses are not stored: send the whole conversation as `input`."),
    ("/v1/messages", f"Anthropic's API is not served: use {_CHAT}."),
    ("/v1beta/", f"Gemini's API is not served: use {_CHAT}."),
    ("/api/", "Ollama's own API is not served: use OpenAI's, whose base URL here ends in /v1."),
    ("/completion", "llama-server's own endpoints are not served: use POST /v1/completions."),
    ("/infill", "Use POST /v1/completions with a `suffix`."),
    ("/embedding", "Use POST /v1/embeddings."),
    ("/props", "Use GET /v1/models for models, GET /ready for their state."),
    ("/slots", "Use GET /metrics for what is running."),
    ("/tokenize", "Use POST /v1/route for the tokens of a prompt."),
    ("/v1/tokenize", "Use POST /v1/route for the tokens of a prompt."),
    ("/v1/health", "Use GET /health."),
    ("/healthz", "Use GET /health."),
    ("/livez", "Use GET /health."),
    ("/readyz", "Use GET /ready."),
)


def signpost(path: str) -> str:
    """Return a sentence for who has lost the way, "" for who cannot be helped."""
    asked = re.sub("/{2,}", "/", path).rstrip("/")
    if asked in ("", "/v1"):
        return "The base URL for OpenAI's clients ends in /v1."
    for known in _HERE:
        tail = known.removeprefix("/v1")
        if asked == known or (tail != known and asked.endswith(tail)):
            base = "" if known in (asked, tail) else " The base URL ends in /v1, once."
            return f"Did you mean {known}?{base}"
    return next((told for begins, told in _ELSEWHERE if asked.startswith(begins)), "")
