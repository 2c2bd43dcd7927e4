"""Answers as vLLM gives them, cut short: recorded from vLLM 0.32, names and texts changed."""

from tests.support.scripted import Heard, Play, events_play, json_play

USAGE = {"prompt_tokens": 30, "total_tokens": 36, "completion_tokens": 6}


def chunk(text: str = "", *, finish: str | None = None, model: str = "toy") -> bytes:
    reason = f'"{finish}"' if finish else "null"
    return (
        'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795463024,'
        f'"model":"{model}","choices":[{{"index":0,"delta":{{"content":"{text}"}},'
        f'"logprobs":null,"finish_reason":{reason},"token_ids":null}}]}}\n\n'
    ).encode()


def usage_chunk(model: str = "toy") -> bytes:
    return (
        'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795463024,'
        f'"model":"{model}","choices":[],"usage":{{"prompt_tokens":30,"total_tokens":36,'
        '"completion_tokens":6},"system_fingerprint":"vllm-0.32.0-a200ddf3"}\n\n'
    ).encode()


DONE = b"data: [DONE]\n\n"
FIRST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1795463024,'
    b'"model":"toy","choices":[{"index":0,"delta":{"role":"assistant","content":""},'
    b'"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}\n\n'
)
STREAM = (FIRST, chunk("It "), chunk("weighs."), chunk(finish="stop"), usage_chunk(), DONE)


def chat_answer(text: str = "It weighs.", model: str = "toy") -> dict[str, object]:
    message = {"role": "assistant", "content": text, "refusal": None, "reasoning": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1795463024,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "service_tier": None,
        "system_fingerprint": "vllm-0.32.0-a200ddf3",
        "usage": USAGE | {"prompt_tokens_details": None},
        "kv_transfer_params": None,
    }


def as_vllm(heard: Heard) -> Play:
    """Answer like a vLLM that serves `toy`: chat, completions, errors, streamed or not."""
    asked = heard.json()
    if asked.get("model") != "toy":
        message = f"The model `{asked.get('model')}` does not exist. Valid aliases: toy."
        error = {"message": message, "type": "NotFoundError", "param": "model", "code": 404}
        return json_play({"error": error}, 404)
    if len(heard.body) > 5_000:
        error = {
            "message": "This model's maximum context length is 1024 tokens. However, your prompt "
            "contains at least 1025 input tokens. (parameter=input_tokens, value=1025)",
            "type": "BadRequestError",
            "param": "input_tokens",
            "code": 400,
        }
        return json_play({"error": error}, 400)
    if asked.get("stream"):
        options = asked.get("stream_options") or {}
        wants = isinstance(options, dict) and options.get("include_usage")
        return events_play(*(e for e in STREAM if wants or b'"usage"' not in e))
    return json_play(chat_answer())
