"""Which hub is asked, and as whom: the variables of the hub's own library.

Owns: `HF_ENDPOINT`, `HF_HUB_OFFLINE` and the token. Must not: ask the hub.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from huggingface_hub import get_token

PUBLIC = "https://huggingface.co"
_TRUE = ("1", "on", "yes", "true")


@dataclass(frozen=True, slots=True)
class HubSettings:
    """A hub. The token goes to `endpoint` and nowhere else."""

    endpoint: str = PUBLIC
    offline: bool = False
    token: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """Return the hub's name for messages."""
        return self.endpoint.partition("://")[2]


def hub_settings(environ: Mapping[str, str]) -> HubSettings:
    """Return what the variables say; the token may also come from `hf auth login`."""
    offline = environ.get("HF_HUB_OFFLINE") or environ.get("TRANSFORMERS_OFFLINE") or ""
    return HubSettings(
        endpoint=(environ.get("HF_ENDPOINT") or PUBLIC).rstrip("/"),
        offline=offline.lower() in _TRUE,
        token=environ.get("HF_TOKEN") or get_token(),
    )
