"""What a worker and the parent say to each other.

Owns: the messages. Must not: send them or know what they lead to.

All times are of `time.perf_counter`, which the processes of one machine share. Requests have
numbers, which their worker gives; replicas and models have names.
"""

from typing import TypeAlias

import msgspec

from engines.protocol.answers import Usage, UseTold
from gateway.domain import ModelStatus, Outcome
from gateway.observe.journal import Observed


class _Word(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


class Tried(_Word, frozen=True):
    """What a request has tried before: see `gateway.fleet.tries.Tries`."""

    outcome: Outcome | None
    ruled_out: tuple[str, ...]
    away: dict[str, int]


class Weight(_Word, frozen=True):
    """What a request asks of a replica: see `gateway.fleet.balance.Load`.

    `beginnings` are hashes and shares by model, for the models where there is a choice.
    """

    prompt_tokens: int = 0
    answer_tokens: int = 0
    beginnings: dict[str, tuple[tuple[int, ...], tuple[float, ...]]] = {}


# From a worker


class Ready(_Word, frozen=True, tag=1):
    """The worker takes connections."""


class Ask(_Word, frozen=True, tag=2):
    """A request wants a lease, and waits for it. `beat_at_s`: its client is told then."""

    number: int
    models: tuple[str, ...]
    arrived_s: float
    patience_s: float
    priority: int = 0
    goes_on: bool = False
    weight: Weight = Weight()
    beat_at_s: float | None = None
    tried: Tried | None = None


class Another(_Word, frozen=True, tag=3):
    """A request wants a lease at once or not at all."""

    number: int
    model: str
    arrived_s: float
    retried: bool
    avoid: tuple[str, ...]
    weight: Weight


class GiveUp(_Word, frozen=True, tag=4):
    """A request wants its lease no more."""

    number: int


class Came(_Word, frozen=True, tag=5):
    """So many events more have come for leases: numbers and events."""

    rows: tuple[tuple[int, int], ...]


class End(_Word, frozen=True, tag=6):
    """A lease is over; the rest is its account. `gaps_s` are doubles of this machine."""

    number: int
    outcome: Outcome
    counted: bool
    forwarded_s: float | None
    first_token_s: float | None
    content_events: int
    usage: Usage | None
    gaps_s: bytes = b""


class Told(_Word, frozen=True, tag=7):
    """What an engine says of a lease that was not counted at its end."""

    number: int
    told: UseTold | None


class Rest(_Word, frozen=True, tag=8):
    """A replica has asked to be left alone."""

    replica: str
    wait_s: float


class Suspect(_Word, frozen=True, tag=9):
    """A request failed on a replica."""

    replica: str
    reason: str
    unreachable: bool


class Ending(_Word, frozen=True, tag=10):
    """A replica takes nothing new in this one of its lives."""

    replica: str
    life: int


class MayRetry(_Word, frozen=True, tag=11):
    """A request wants one of the tries that may follow a failure."""

    number: int


class Count(_Word, frozen=True, tag=12):
    """Something has happened to a model on a replica that is counted: a method and its word."""

    labels: tuple[str, str, str]
    what: str
    word: str = ""


class Shadowed(_Word, frozen=True, tag=13):
    """A copy has ended."""

    model: str
    outcome: Outcome
    seconds: float | None


class PromptCounted(_Word, frozen=True, tag=14):
    """An engine was asked for the tokens of a prompt."""

    model: str
    told: bool


class Read(_Word, frozen=True, tag=15):
    """A model has read a prompt's beginnings; the parent says so to the other workers."""

    hashes: tuple[int, ...]
    model: str


class Seen(_Word, frozen=True, tag=16):
    """A line for the journal."""

    observed: Observed


class Prepared(_Word, frozen=True, tag=17):
    """What `Prepare` has asked for is made."""

    version: int


class Here(_Word, frozen=True, tag=18):
    """The worker's loop has come round, which `Ping` asks."""


class Learnt(_Word, frozen=True, tag=19):
    """What engines have counted in prompts; the parent says so to the other workers.

    Each row: model, estimate, its error, tokens that the engine has counted.
    """

    rows: tuple[tuple[str, int, int, int], ...]


# From the parent


class Ping(_Word, frozen=True, tag=39):
    """The worker is asked for a sign."""


class File(_Word, frozen=True, tag=32):
    """What is in force: a pickled `gateway.workers.picture.Settings`."""

    pickled: bytes


class Prepare(_Word, frozen=True, tag=38):
    """What will be in force: pickled as in `File`, but nobody's replicas yet."""

    version: int
    file: File


class State(_Word, frozen=True, tag=33):
    """How all are doing. Replicas: whether ready, how often they became so, whether they tell uses.

    `heartbeat_after_s` as in `gateway.fleet.lending.Lender`.
    """

    replicas: dict[str, tuple[bool, int, bool]]
    models: dict[str, ModelStatus]
    heartbeat_after_s: float | None


class Granted(_Word, frozen=True, tag=34):
    """A lease on a replica in one of its lives.

    `use` is the name under which its engine can be asked what came of it.
    """

    number: int
    replica: str
    life: int
    model: str
    queued_s: float
    patience_s: float
    use: str | None


class Refused(_Word, frozen=True, tag=35):
    """No lease. Without a `kind`: what the request failed with before stands."""

    number: int
    patience_s: float
    kind: str = ""
    message: str = ""
    retry_after_s: float | None = None


class Beat(_Word, frozen=True, tag=36):
    """A request that waits for a model may tell its client so."""

    number: int
    model: str
    doing: str
    ready_in_s: float | None


class Might(_Word, frozen=True, tag=37):
    """Whether a request may be tried again."""

    number: int
    may: bool


FromWorker: TypeAlias = (
    Ready
    | Ask
    | Another
    | GiveUp
    | Came
    | End
    | Told
    | Rest
    | Suspect
    | Ending
    | MayRetry
    | Count
    | Shadowed
    | PromptCounted
    | Read
    | Seen
    | Prepared
    | Here
    | Learnt
)
FromParent: TypeAlias = (
    File | Prepare | State | Granted | Refused | Beat | Might | Read | Learnt | Ping
)
Word: TypeAlias = FromWorker | FromParent
