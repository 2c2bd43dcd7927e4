"""Write docs/families.md from what runs: every toy, vocabulary and template is tried.

    python -m tools.families.fetch_sdist     once: llama.cpp's vocabularies and templates
    python -m tools.families.page            writes the page

Owns: the page's words and tables.
Must not: prove; `proof` and `official` do.
"""

import asyncio
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from engines.llamacpp.complaints import LoadFailed
from tools.families.fetch_sdist import place
from tools.families.kin import KIN, Kin, Official
from tools.families.official import (
    TALKS,
    THE_CALL,
    THE_THOUGHT,
    failures,
    heard_again,
    spoken,
    template_source,
    thought_again,
    vectors,
    vocabulary,
)
from tools.families.toys import TOYS
from tools.families.trying import try_toy
from tools.token_counts.table import FAMILIES

TARGET = Path(__file__).resolve().parents[2] / "docs" / "families.md"
_TEMPLATE = ("template", "prompts", "tools described", "calls", "reasoning")
# For vocabularies that are published without vectors.
_OTHER_TEXTS = "llama-spm"

_HEAD = """\
# Families

What our llama.cpp worker does with each family of the catalogue. `python -m tools.families.page`
generates this page from real runs; a test compares the two.

## Architectures

For each architecture a tiny model of random weights is made in its real tensor layout. It must
load, give four concurrent streams the answers that each gets alone (batches), reuse the common
prefix of prompts (reuses prompts), and release all memory at its end.

"""
_WINDOWS = """

Where prompts are not reused, the attention window slides: what it has left behind is overwritten,
so a prompt is prefilled whole unless it continues an earlier one. Vocabularies are llama.cpp's
own, with the tokens that their makers publish for each text; every text must be tokenized and
detokenized exactly. Of newer models of these families: {others}.

## Chat templates

"""
_TALKS = f"""\
The official templates that come with llama.cpp, each rendered in our sandbox for {len(TALKS)}
conversations: {", ".join(TALKS)}.
A call that a template writes must be parsed as that call, and reasoning apart from the answer.
Families without a row have no template there.

"""
_NEIGHBOURS = """

### Other templates

All others that come with llama.cpp, tried in the same way, of models outside our families. "Not
read" are calls in a format that we do not parse: they reach the client as content, and are parsed
only where `tool_choice` forces them.

"""
_TAIL = """

If a template does not describe tools, the worker does, at the end of the system prompt, and asks
for calls in the family's own format or in that of Hermes; calls and results that a template does
not render become text in ordinary turns. A system prompt that a template does not accept is put
before the first user turn. If a template rejects a conversation, the answer is a 400 with its own
words; one that rejects all conversations without tools is meant for those with tools only.
"""


async def page(models: Path) -> str:
    """Return the page; every claim in it is tried first."""
    with tempfile.TemporaryDirectory() as folder:
        ran = {toy.name: await _ran(toy.name, Path(folder)) for toy in TOYS}
    own = {name for kin in KIN for name in kin.vocabularies}
    read = {name: _read(models, name) for name in sorted(own | set(FAMILIES))}
    newer = "; ".join(read[name] for name in sorted(set(FAMILIES) - own))
    architectures = {toy.name: toy.architecture for toy in TOYS}
    engines = [_row(kin, architectures[kin.toy], ran[kin.toy], read) for kin in KIN]
    templates = [
        _template_row(models, kin, architectures[kin.toy], official)
        for kin in KIN
        for official in kin.templates
    ]
    head = (
        "family",
        "architecture",
        "tried as",
        "loads",
        "batches",
        "reuses prompts",
        "vocabulary",
    )
    parts = [_HEAD, _table(head, engines), _WINDOWS.format(others=newer), _TALKS]
    parts.append(_table(("family", *_TEMPLATE), templates))
    parts += [_NEIGHBOURS, _table(_TEMPLATE, _others(models))]
    return "".join([*parts, _TAIL])


def _others(models: Path) -> list[tuple[str, ...]]:
    """Return a row for each template that belongs to no family."""
    ours = {official.file for kin in KIN for official in kin.templates}
    files = sorted(path.stem for path in (models / "templates").glob("*.jinja"))
    return [_of_template(models, file, "") for file in files if file not in ours]


async def _ran(name: str, folder: Path) -> tuple[str, str, str]:
    """Return whether a toy loads, batches, and reuses what it has read."""
    toy = next(toy for toy in TOYS if toy.name == name)
    try:
        proof = await try_toy(toy, folder)
    except LoadFailed as refusal:
        return f"no: {str(refusal).partition('.gguf: ')[2]}", "", ""
    return "yes", "yes", "yes" if proof.cuts else "no"


def _read(models: Path, name: str) -> str:
    """Return how many texts a vocabulary read and wrote right."""
    own = vectors(models, name)
    known = own or vectors(models, _OTHER_TEXTS)
    with vocabulary(models, name) as words:
        read = [words.tokens(text, add_special=False, parse_special=False) for text, _ in known]
        there = sum(tokens == expected for tokens, (_, expected) in zip(read, known, strict=True))
        back = sum(
            words.text(tokens) == text for tokens, (text, _) in zip(read, known, strict=True)
        )
    if not own:
        return f"{name}: {back} of {len(known)} come back; its makers publish no tokens"
    return f"{name}: {min(there, back)} of {len(known)}"


def _row(
    kin: Kin, architecture: str, ran: tuple[str, str, str], read: Mapping[str, str]
) -> tuple[str, ...]:
    vocabularies = "; ".join(read[name] for name in kin.vocabularies)
    return kin.family, f"`{architecture}`", kin.toy, *ran, vocabularies


def _template_row(models: Path, kin: Kin, architecture: str, official: Official) -> tuple[str, ...]:
    return kin.family, *_of_template(models, official.file, architecture)


def _of_template(models: Path, file: str, architecture: str) -> tuple[str, ...]:
    source = template_source(models, file)
    lost = list(failures(source, architecture))
    rejected = f"; not: {', '.join(lost)}" if lost else ""
    manner = spoken(source, architecture)
    told = "yes" if manner.template.tells_of_tools else "by the worker"
    tags = manner.dialect.tags
    thoughts = f"`{tags.opening}`".replace("|", "\\|") if tags else ""
    if tags and thought_again(source, architecture) != THE_THOUGHT:
        thoughts = "not read"
    prompts = f"{len(TALKS) - len(lost)} of {len(TALKS)}{rejected}"
    return file, prompts, told, _calls(source, architecture, lost), thoughts


def _calls(source: str, architecture: str, lost: Sequence[str]) -> str:
    if "result" in lost:
        return "none"
    form = spoken(source, architecture).dialect.form.name
    return form if heard_again(source, architecture) == THE_CALL else "not read"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write the page."""
    models = place(os.environ, platform.system())
    if not models.is_dir():
        raise SystemExit("run first: python -m tools.families.fetch_sdist")
    TARGET.write_text(asyncio.run(page(models)), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
