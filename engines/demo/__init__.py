"""Three tiny models that come with the package, so that everything can be tried at once.

They are toys: trained from nothing on a few hundred questions and a handful of tool calls (see
`tools/demo_models`), with no Meta or Alibaba weights in them. `provenance.json` says how each was
made.

Owns: where the files are. Must not: load them.
"""

import difflib
from pathlib import Path

DEMO_MODELS = {
    "qwen": "a toy of the qwen2 architecture, in fifteen languages; calls, thinks, embeds",
    "coder": "a toy of the qwen2 architecture, with small functions; calls, fills gaps",
    "llama": "a toy of the llama architecture, in seven languages; calls",
}


class UnknownDemo(ValueError):
    """There is no demo model of this name."""


def weights_path(name: str) -> Path:
    """Return the GGUF file of a demo model.

    Raises:
        UnknownDemo: no demo model has this name.
    """
    if name not in DEMO_MODELS:
        close = difflib.get_close_matches(name, DEMO_MODELS, n=1)
        hint = f" Did you mean demo:{close[0]}?" if close else ""
        known = ", ".join(f"demo:{known}" for known in DEMO_MODELS)
        raise UnknownDemo(f"there is no demo:{name[:40]}.{hint} There are {known}.")
    return Path(__file__).resolve().parent / f"{name}.gguf"
