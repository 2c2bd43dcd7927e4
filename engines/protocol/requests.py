"""What OpenAI clients send: typed, with OpenAI's ranges; unknown fields are ignored.

Owns: the structs of requests for an answer, chat and completions; what their fields mean together.
Must not: decode (`decoding` does); know models; whether a model can do what is asked is the
engine's to say.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool", "function"]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
Budget = Annotated[int, msgspec.Meta(ge=-1)]
# As many tokens as there is room for, in the words of LM Studio and llama.cpp.
ROOM = -1
Bits = Annotated[float, msgspec.Meta(ge=0, le=100)]
# OpenAI's object; and llama-server's pairs, whose tokens may be text and whose `false` forbids.
Bias = Annotated[float, msgspec.Meta(ge=-100, le=100)] | bool
Biases = dict[str, Bias] | list[tuple[int | str, Bias]]
Letters = Annotated[str, msgspec.Meta(max_length=64)]
StopStrings = str | Annotated[list[str], msgspec.Meta(max_length=16)]


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a message's content; only `text` and the kind of part are looked at here."""

    type: str
    text: str | None = None
    image_url: Any = None
    input_audio: Any = None


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation. `content` is text or parts; only an assistant may have none.

    Raises:
        ValueError: anybody else has none.
    """

    role: Role
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    # vLLM's newer name and OpenRouter's is `reasoning`.
    reasoning_content: str | None = None
    reasoning: str | None = None

    def __post_init__(self) -> None:
        """Refuse a turn without a word in it, which a model would answer with babble."""
        if self.content is None and self.role != "assistant":
            raise ValueError("missing required field `content`")  # msgspec adds the place

    def text(self) -> str:
        """Return the text of this turn, its text parts joined by a line feed; "" when none."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or () if part.text)

    def thought(self) -> str | None:
        """Return what an assistant thought before this turn, by either name; None when nothing."""
        return self.reasoning_content or self.reasoning or None

    def has_part(self, kind: str) -> bool:
        """Say whether the content has a part of this type (`image_url`, say)."""
        if isinstance(self.content, list):
            return any(part.type == kind for part in self.content)
        return False


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options`: whether the last event carries the usage; and each, as vLLM has it."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that chat and text completions share. None means: not given."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    top_k: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    min_p: Probability | None = None
    seed: int | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0, le=10)] | None = None
    # llama.cpp's form of it, which looks back over so many tokens alone.
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0, le=10)] | None = None
    repeat_last_n: Budget | None = None
    stop: StopStrings | None = None
    max_tokens: Budget | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    ignore_eos: bool | None = None
    # vLLM's: neither an end nor a stop comes before so many tokens; tokens that are a stop; whether
    # the stop string is told.
    min_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    stop_token_ids: Annotated[list[int], msgspec.Meta(max_length=64)] | None = None
    include_stop_str_in_output: bool | None = None
    logit_bias: Biases | None = None
    # llama.cpp's samplers, under llama-server's names.
    top_n_sigma: Annotated[float, msgspec.Meta(ge=-1, le=100)] | None = None
    typical_p: Probability | None = None
    xtc_probability: Probability | None = None
    xtc_threshold: Probability | None = None
    mirostat: Annotated[int, msgspec.Meta(ge=0, le=2)] | None = None
    mirostat_tau: Bits | None = None
    mirostat_eta: Bits | None = None
    dynatemp_range: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    dynatemp_exponent: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None
    adaptive_target: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    adaptive_decay: Annotated[float, msgspec.Meta(ge=0, le=0.99)] | None = None
    dry_multiplier: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    dry_base: Annotated[float, msgspec.Meta(ge=1, le=100)] | None = None
    dry_allowed_length: PositiveInt | None = None
    dry_penalty_last_n: Budget | None = None
    dry_sequence_breakers: Annotated[list[str], msgspec.Meta(max_length=64)] | None = None
    # In which order, and how many tokens each leaves at least: names, or letters in one text.
    samplers: Annotated[list[str], msgspec.Meta(max_length=64)] | Letters | None = None
    min_keep: Annotated[int, msgspec.Meta(ge=0)] | None = None
    response_format: dict[str, Any] | None = None
    # vLLM's, its older ones, and llama-server's: what they may hold is each engine's to say.
    structured_outputs: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None
    grammar: Any = None
    # vLLM's as well, which our engine does not know.
    prompt_logprobs: Any = None
    return_token_ids: Any = None
    truncate_prompt_tokens: Any = None
    user: str | None = None
    # How urgent it is where requests wait: vLLM's number, the lower the earlier, and OpenAI's word.
    priority: int | None = None
    service_tier: str | None = None
    # What holds in it is for gateways; engines pass it over.
    metadata: Any = None

    def choices(self) -> int:
        """Return how many answers are drawn to each prompt."""
        return self.n or 1

    def stops(self) -> tuple[str, ...]:
        """Return the stop strings, empty ones left out."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in given if text)

    def bounds(self) -> tuple[tuple[str, int], ...]:
        """Return the fields that bound the answer's tokens, with their values."""
        given = self.max_tokens
        return () if given is None else (("max_tokens", given),)

    def answer_tokens(self) -> int | None:
        """Return the bound on completion tokens; None where there is none."""
        bound = next((value for _, value in self.bounds()), ROOM)
        return None if bound == ROOM else bound

    def wants_usage(self) -> bool:
        """Say whether the client asked for usage at the end of a stream."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def counts_usage(self) -> bool:
        """Say whether the client asked for the usage so far with each event as well."""
        return self.wants_usage() and bool(
            self.stream_options and self.stream_options.continuous_usage_stats
        )


class ChatRequest(Sampling, frozen=True, kw_only=True):
    """The body of `/v1/chat/completions`."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    max_completion_tokens: Budget | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    tools: list[Any] | None = None
    # Deprecated, as is the role `function`: the gateway makes tools of them.
    older_functions: list[Any] | None = msgspec.field(name="functions", default=None)
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    # What the answer is to be, beside text: which engine can speak is the engine's to say.
    modalities: Any = None
    reasoning_effort: str | None = None
    # OpenRouter's: {effort, max_tokens, enabled}.
    reasoning: Any = None
    # Beyond OpenAI's: `reasoning_format` is llama-server's, so are the first two budgets; the
    # third is vLLM's, and both know `chat_template_kwargs`.
    reasoning_format: str | None = None
    reasoning_budget_tokens: Budget | None = None
    thinking_budget_tokens: Budget | None = None
    thinking_token_budget: Budget | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    # vLLM's: the last message is an answer that goes on; and it is said again before the rest.
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    echo: bool | None = None

    def __post_init__(self) -> None:
        """Refuse an answer without a token.

        Raises:
            ValueError: in msgspec's words, which adds no place at the top.
        """
        if self.max_tokens == 0 or self.max_completion_tokens == 0:
            name = next(name for name, value in self.bounds() if value == 0)
            raise ValueError(f"Expected `int` >= 1 - at `$.{name}`")

    def bounds(self) -> tuple[tuple[str, int], ...]:
        """Return the fields that bound the answer's tokens; the newer one wins."""
        older, newer = super().bounds(), self.max_completion_tokens
        return older if newer is None else (("max_completion_tokens", newer), *older)

    def thought_tokens(self) -> int | None:
        """Return the bound on the tokens of a thought; -1, by any of its names, is none."""
        given = (
            self.reasoning_budget_tokens,
            self.thinking_budget_tokens,
            self.thinking_token_budget,
        )
        budget = next((value for value in given if value is not None), -1)
        return None if budget < 0 else budget

    def functions(self) -> frozenset[str]:
        """Return the names of the functions that the model may call."""
        if self.tool_choice == "none":
            return frozenset()
        named = [tool.get("function") for tool in self.tools or () if isinstance(tool, dict)]
        names = [function.get("name") for function in named if isinstance(function, dict)]
        return frozenset(name for name in names if isinstance(name, str) and name)


class CompletionRequest(Sampling, frozen=True, kw_only=True):
    """The body of `/v1/completions`. A prompt is text, token ids, or a list of either."""

    prompt: str | list[Any]
    # `max_tokens: 0` asks for what is told of the prompt alone.
    echo: bool | None = None
    suffix: str | None = None
    logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    best_of: Annotated[int, msgspec.Meta(ge=1, le=20)] | None = None

    def choices(self) -> int:
        """Return how many answers are drawn to each prompt; the best `n` are told."""
        return self.best_of or self.n or 1
