"""A client that notes how likely each token was, so that answers can be compared but for ties."""

from dataclasses import dataclass, field

from engines.llamacpp.orders import Order, Progress, TokenTold
from engines.llamacpp.sequence import SequenceState
from tests.support.batching import GREEDY, Client

# Sums in another order differ by about this much: between two tokens as close as that, either
# may be the likeliest.
NOISE = 0.05


@dataclass
class Listener(Client):
    """Notes each token and how likely it was; says as many as it may."""

    heard: list[TokenTold] = field(default_factory=list)

    def __post_init__(self) -> None:
        order = Order(
            self.prompt,
            self.count,
            GREEDY,
            ignore_eos=True,
            logprobs=2,
            adapter=self.adapter,
        )
        self.sequence = SequenceState(order, self.hear)

    def hear(self, progress: Progress) -> None:
        self.heard += progress.told
        super().hear(progress)


def check_same(one: Listener, other: Listener) -> int:
    """Compare token by token, as far as no two were as good as equal; return how far."""
    assert len(one.heard) == len(other.heard) == one.count
    for at, (here, there) in enumerate(zip(one.heard, other.heard, strict=True)):
        if here.token != there.token:
            (_, first), (_, second) = there.alternatives
            assert first - second < NOISE
            assert {token for token, _ in there.alternatives} == {here.token, there.token}
            return at
        assert abs(here.logprob - there.logprob) < NOISE
    return one.count
