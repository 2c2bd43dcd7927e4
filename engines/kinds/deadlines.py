"""How long the parts of an exchange with a replica may take.

Owns: the limits and what they are without a word in the file.
Must not: look at a clock; `gateway.relay.watch` does.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The longest waits of one exchange, in seconds.

    | limit | from | until |
    |---|---|---|
    | `connect_s` | a connection is wanted | it is there |
    | `first_byte_s` | the request is sent | the first event, or the head of a whole answer |
    | `idle_s` | an event or a piece of a whole answer | the next; comments do not count |
    | `total_s` | the request's arrival here, its queueing included | the answer's end |
    """

    connect_s: float = 5
    first_byte_s: float = 600
    idle_s: float = 120
    total_s: float = 7_200
