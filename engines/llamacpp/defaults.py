"""From a request's fields to how its tokens are drawn.

Owns: the defaults: the weights' own, then llama.cpp's.
Must not: draw.
"""

from collections.abc import Sequence

from engines.llamacpp.adaptive import Adaptive
from engines.llamacpp.bias import bias_of
from engines.llamacpp.binding import Runtime
from engines.llamacpp.heat import Dynamic
from engines.llamacpp.mirostat import Mirostat
from engines.llamacpp.narrowing import Narrowing
from engines.llamacpp.repetition import Dry
from engines.llamacpp.samplers import chain_of
from engines.llamacpp.sampling import SamplingParams
from engines.llamacpp.vocabulary import Vocabulary
from engines.protocol.requests import Sampling

# How far back llama.cpp looks for repetitions.
_LLAMA_LAST_N = 64
_BREAKERS = ("\n", ":", '"', "*")
# A seed that is none, in the words of llama-server and vLLM.
_ANY_SEED = -1


class Defaults:
    """What weights say about drawing. Reads only; safe from the event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._vocabulary = runtime.vocabulary
        self._temperature = _number(runtime.meta("general.sampling.temp"), 1.0)
        self._top_p = _number(runtime.meta("general.sampling.top_p"), 1.0)
        self._top_k = int(_number(runtime.meta("general.sampling.top_k"), 0))
        self._min_p = _number(runtime.meta("general.sampling.min_p"), 0.0)

    def params(self, request: Sampling) -> SamplingParams:
        """Return how this request's tokens are drawn.

        Raises:
            InvalidRequest: `logit_bias` is of another vocabulary, or a sampler is unknown.
        """
        chain = chain_of(request)
        aims = chain is None or "adaptive_p" in chain.order
        return SamplingParams(
            temperature=_given(request.temperature, self._temperature),
            narrowing=self._narrowing(request),
            seed=None if request.seed == _ANY_SEED else request.seed,
            presence_penalty=request.presence_penalty or 0.0,
            frequency_penalty=request.frequency_penalty or 0.0,
            repetition_penalty=request.repetition_penalty or request.repeat_penalty or 1.0,
            repetition_last_n=_last_n(request),
            logit_bias=bias_of(request.logit_bias, self._vocabulary),
            dry=self._dry(request),
            mirostat=_mirostat(request),
            dynamic=_dynamic(request),
            adaptive=_adaptive(request) if aims else None,
            chain=chain,
        )

    def _narrowing(self, request: Sampling) -> Narrowing:
        return Narrowing(
            top_k=request.top_k if request.top_k is not None else self._top_k,
            typical_p=_given(request.typical_p, 1.0),
            min_p=_given(request.min_p, self._min_p),
            top_p=_given(request.top_p, self._top_p),
            xtc_probability=_given(request.xtc_probability, 0.0),
            xtc_threshold=_given(request.xtc_threshold, 0.1),
            top_n_sigma=_given(request.top_n_sigma, 0.0),
        )

    def _dry(self, request: Sampling) -> Dry | None:
        if not request.dry_multiplier:
            return None
        last_n, texts = request.dry_penalty_last_n, request.dry_sequence_breakers
        breakers = _Breakers(self._vocabulary, _BREAKERS if texts is None else texts)
        return Dry(
            multiplier=request.dry_multiplier,
            base=_given(request.dry_base, 1.75),
            allowed_length=request.dry_allowed_length or 2,
            last_n=-1 if last_n is None else last_n,
            breakers=breakers,
            breaks=breakers.ends,
        )


class _Breakers:
    """The tokens whose text has one of these in it; looked at only as they come."""

    def __init__(self, vocabulary: Vocabulary, texts: Sequence[str]) -> None:
        self._vocabulary = vocabulary
        self._texts = tuple(text.encode("utf-8", "replace") for text in texts if text)

        self._longest = max(map(len, self._texts), default=0)

    def __contains__(self, token: object) -> bool:
        piece = self._vocabulary.written(token) if isinstance(token, int) else b""
        return any(text in piece for text in self._texts)

    def ends(self, tokens: Sequence[int], count: int) -> bool:
        """Say whether one of the texts ends in the last of so many tokens, begun in one before."""
        last = self._vocabulary.written(tokens[count - 1])
        before, at = b"", count - 1
        while at > 0 and len(before) < self._longest - 1:
            at -= 1
            before = self._vocabulary.written(tokens[at]) + before
        # Of what stands before the last token no whole text is looked at: it has ended there.
        return any(text in before[1 - len(text) :] + last for text in self._texts if text[1:])


def _mirostat(request: Sampling) -> Mirostat | None:
    if not request.mirostat:
        return None
    return Mirostat(
        request.mirostat, _given(request.mirostat_tau, 5.0), _given(request.mirostat_eta, 0.1)
    )


def _dynamic(request: Sampling) -> Dynamic | None:
    if not request.dynatemp_range:
        return None
    return Dynamic(request.dynatemp_range, _given(request.dynatemp_exponent, 1.0))


def _adaptive(request: Sampling) -> Adaptive | None:
    target = request.adaptive_target
    if target is None or target < 0:
        return None
    return Adaptive(target, _given(request.adaptive_decay, 0.9))


def _given(value: float | None, default: float) -> float:
    return default if value is None else value


def _last_n(request: Sampling) -> int:
    """Return how many tokens back a repetition counts; -1 is all."""
    if request.repetition_penalty is not None or request.repeat_penalty is None:
        return -1
    return _LLAMA_LAST_N if request.repeat_last_n is None else request.repeat_last_n


def _number(text: str | None, default: float) -> float:
    try:
        return default if text is None else float(text)
    except ValueError:
        return default
