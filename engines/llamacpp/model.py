"""A loaded model as requests see it: prompts, limits, defaults.

Owns: from a decoded request to the orders of its sequences.
Must not: evaluate; speak HTTP.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines.llamacpp.binding import Runtime
from engines.llamacpp.contradictions import check_chat, check_completion
from engines.llamacpp.conversation import Conversations
from engines.llamacpp.defaults import Defaults
from engines.llamacpp.devices import Devices
from engines.llamacpp.orders import Order
from engines.llamacpp.pairs import Pairs
from engines.llamacpp.pictures import Seen, is_text, laid_out, pictures_in
from engines.llamacpp.room import Room
from engines.llamacpp.sight import Sight
from engines.llamacpp.text_writing import Telling
from engines.protocol.errors import InvalidRequest, NotFound
from engines.protocol.requests import ChatRequest, CompletionRequest, Sampling
from engines.weights import Abilities

_MAX_SEQUENCES = 128


class Unable(InvalidRequest):
    """This model was not made for what is asked of it: 400."""

    default_code = "unsupported_capability"


class UnknownModel(NotFound):
    """This worker serves a model of another name: 404."""

    default_code = "model_not_found"


class Model:
    """What requests need of one model. Reads only, from any thread.

    `names` are its own and those of its `adapters`, in the runtime's order.
    """

    def __init__(
        self,
        name: str,
        weights: Path,
        runtime: Runtime,
        abilities: Abilities,
        *,
        adapters: Sequence[str] = (),
        devices: Devices | None = None,
        sight: Sight | None = None,
    ) -> None:
        self.name = name
        self.names = (name, *adapters)
        self.weights = weights.name
        self.vocabulary = runtime.vocabulary
        self.context = runtime.limits.context
        self.room = Room(runtime.vocabulary, self.context)
        self.abilities = abilities
        self.devices = devices or Devices(("CPU",), takes_layers=False, gpu_layers=0)
        self.sight = sight
        self.conversations = Conversations(runtime)
        self.pairs = Pairs(runtime)
        self._defaults = Defaults(runtime)
        self._shifts = runtime.limits.shifts

    def served(self, name: str | None) -> str:
        """Return the name that a request is answered under: its own; no name means the model's.

        Raises:
            UnknownModel: it is neither the model's nor an adapter's, as with vLLM.
        """
        if name and name not in self.names:
            here = ", ".join(f"'{known}'" for known in self.names)
            raise UnknownModel(
                f"The model '{name}' is not served here; this engine serves {here}.",
                param="model",
            )
        return name or self.name

    def chat_orders(self, request: ChatRequest, seen: Seen | None = None) -> list[Order]:
        """Return one order for each of the `n` choices; its images were `seen`.

        Raises:
            InvalidRequest: the template rejects it, it does not fit, or asks for what this worker
                does not do.
        """
        self._check_generates()
        check_chat(request)
        prompt = self.conversations.tokens(request, seen)
        alternatives = (request.top_logprobs or 0) if request.logprobs else None
        orders = self._orders(request, [prompt], request.answer_tokens(), alternatives, "messages")
        if not is_text(prompt[-1]):  # nothing is drawn from what is seen
            raise InvalidRequest(
                "The prompt ends with an image; send text after it, or let the template open the "
                "answer ('add_generation_prompt').",
                param="messages",
            )
        layout = laid_out(prompt, pictures_in(seen or {}))
        if layout:  # pictures keep their place: nothing gives way, however much is asked for
            room = self.context - len(prompt)
            orders = [replace(o, most_tokens=min(o.most_tokens, room)) for o in orders]
        return [replace(self.conversations.told(request, order), layout=layout) for order in orders]

    def completion_orders(self, request: CompletionRequest) -> list[Order]:
        """Return one order for each choice of each prompt, a prompt's choices together.

        Raises:
            InvalidRequest: as for `chat_orders`.
        """
        self._check_generates()
        check_completion(request)
        prompts = self.prompts(request.prompt, "prompt")
        if request.suffix:
            prompts = [self._filling(prompt, request.suffix) for prompt in prompts]
        # OpenAI's default for this endpoint is 16, and clients rely on its being short.
        most = 16 if request.max_tokens is None else request.answer_tokens()
        ranked = 0 if request.choices() > (request.n or 1) else None
        alternatives = ranked if request.logprobs is None else request.logprobs
        orders = self._orders(request, prompts, most, alternatives, "prompt")
        tells = bool(request.echo) and request.logprobs is not None
        return [replace(order, tells_prompt=True) for order in orders] if tells else orders

    def telling(self, request: CompletionRequest) -> Telling:
        """Return what the answer tells beside the new text."""
        given: list[Any] = [request.prompt]
        if isinstance(request.prompt, list) and not isinstance(request.prompt[0], int):
            given = request.prompt
        echoes = [p if isinstance(p, str) else self.vocabulary.text(p) for p in given]
        return Telling(
            echoes if request.echo else (),
            logprobs=request.logprobs is not None,
            kept=None if request.best_of is None else request.n or 1,
        )

    def check_embeds(self, name: str | None) -> None:
        """Refuse to make embeddings where nobody has said that this model can.

        Raises:
            UnknownModel: the name is not served here.
            Unable: it makes none; adapters never do.
        """
        served = self.served(name)
        if not self.abilities.embeds or served != self.name:
            raise Unable(f"The model '{served}' makes no embeddings.", param="model")

    def check_ranks(self, name: str | None) -> None:
        """Refuse to rank without a head for it, or vectors whose likeness ranks.

        Raises:
            UnknownModel: the name is not served here.
            Unable: there is neither; adapters have none.
        """
        served = self.served(name)
        if not (self.abilities.reranks or self.abilities.embeds) or served != self.name:
            raise Unable(
                f"The model '{served}' ranks nothing: it has no head for that, and makes no "
                "embeddings.",
                param="model",
            )

    def _check_generates(self) -> None:
        if not self.abilities.generates:
            made_for = "ranks" if self.abilities.reranks else "embeddings"
            raise Unable(
                f"The model '{self.name}' generates no text: it was made for {made_for}.",
                param="model",
            )

    def tokens(self, text: str, param: str, *, add_special: bool = True) -> list[int]:
        """Return the tokens of a text that stands in `param`.

        Raises:
            ContextLengthExceeded: it cannot fit.
        """
        self.room.check_text(text, param)
        return self.vocabulary.tokens(text, add_special=add_special, parse_special=True)

    def _orders(
        self,
        request: Sampling,
        prompts: Sequence[Sequence[int]],
        most: int | None,
        alternatives: int | None,
        param: str,
    ) -> list[Order]:
        choices = request.choices()
        if choices * len(prompts) > _MAX_SEQUENCES:
            raise InvalidRequest(
                f"One request has at most {_MAX_SEQUENCES} answers, not {choices * len(prompts)}; "
                "send several requests.",
                param="n" if len(prompts) == 1 else param,
            )
        order = self._order(request, most, alternatives)
        orders: list[Order] = []
        for prompt in prompts:
            self.room.check(len(prompt), param, answer=0 if most == 0 else 1)
            room, held = self.context - len(prompt), tuple(prompt)  # one for all its choices
            orders += [
                replace(
                    order,
                    prompt=held,
                    most_tokens=room if most is None else most if self._shifts else min(most, room),
                    choice=choice,
                )
                for choice in range(choices)
            ]
        return orders

    def _order(self, request: Sampling, most: int | None, alternatives: int | None) -> Order:
        """Return what all sequences of a request have in common."""
        least = request.min_tokens or 0
        if most is not None and least > most:
            raise InvalidRequest(
                f"'min_tokens' ({least}) is more than the {most} tokens that the answer may have; "
                "lower it, or allow a longer answer.",
                param="min_tokens",
            )
        return Order(
            prompt=(),
            most_tokens=0,
            sampling=self._defaults.params(request),
            stops=request.stops(),
            ignore_eos=bool(request.ignore_eos),
            least_tokens=least,
            stop_tokens=frozenset(self._checked(request.stop_token_ids or (), "stop_token_ids")),
            tells_stop=bool(request.include_stop_str_in_output),
            logprobs=alternatives,
            adapter=self.names.index(self.served(request.model)),
        )

    def prompts(self, given: str | Sequence[Any], param: str) -> list[list[int]]:
        """Return the tokens of text, ids, or a list of either.

        Raises:
            InvalidRequest: it is none of these, an empty list, or an id is none of this model.
        """
        if isinstance(given, str):
            return [self.tokens(given, param)]
        if given and all(isinstance(item, int) for item in given):
            return [self._checked(given, param)]
        prompts: list[list[int]] = []
        for item in given:
            if isinstance(item, str):
                prompts.append(self.tokens(item, param))
            elif isinstance(item, list):
                prompts.append(self._checked(item, param))
            else:
                raise InvalidRequest(
                    f"'{param}' must be text, token ids, or a list of either.", param=param
                )
        if not prompts:
            raise InvalidRequest(f"'{param}' is an empty list.", param=param)
        return prompts

    def _filling(self, prompt: Sequence[int], suffix: str) -> list[int]:
        """Return the prompt for what stands between `prompt` and `suffix`."""
        marks = self.vocabulary.gap_marks()
        if marks is None:
            raise InvalidRequest(
                "This model does not support fill-in-the-middle: its vocabulary has no tokens for "
                "it. Leave 'suffix' out, or use a coder model.",
                param="suffix",
                code="unsupported_capability",
            )
        before, behind, gap = marks
        opening = [self.vocabulary.bos] if self.vocabulary.adds_bos else []
        start = len(opening) if list(prompt[:1]) == opening else 0
        self.room.check_text(suffix, "suffix")
        end = self.vocabulary.continued(suffix)
        return [*opening, before, *prompt[start:], behind, *end, gap]

    def _checked(self, ids: Sequence[Any], param: str) -> list[int]:
        for token in ids:
            if type(token) is not int or not 0 <= token < self.vocabulary.size:
                raise InvalidRequest(
                    f"{token!r} is not a token of this model; ids go from 0 to "
                    f"{self.vocabulary.size - 1}.",
                    param=param,
                )
        return list(ids)
