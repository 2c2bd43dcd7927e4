"""One look of `weighbridge doctor`.

Owns: the value. Must not: look.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Found:
    """What was looked at, how it is, and the way to mend it where it is not well."""

    what: str
    verdict: Verdict
    said: str
    remedy: str = ""
