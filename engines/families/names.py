"""From a name as people write it to the words that tell models apart.

Owns: which parts of a name say nothing about the model: paths, owners, extensions, shards,
quantisation. Every other word stays, so that a name with a word more or less is another model.
Must not: know models.
"""

import re
from dataclasses import dataclass

_EXTENSION = re.compile(r"\.(?:gguf|safetensors|bin|pth?|ggml)$")
_SHARD = re.compile(r"[-._](?:\d{5}-of-\d{5}|part\d+of\d+|split-[a-z]+)$")
_SCHEME = re.compile(r"^(?:https?|hf|ollama|file)://", re.IGNORECASE)
_HOST = re.compile(
    r"^(?:www\.)?(?:hf\.co|huggingface\.co|modelscope\.cn(?:/models)?|registry\.ollama\.ai)/",
    re.IGNORECASE,
)
_HUB_CACHE = re.compile(r"(?:^|/)models--([^/]+?)--([^/]+)")

_QUANT = (
    r"(?:ud[-_])?(?:i|t)?q[1-8](?:[-_](?:k|[0-9]|s|m|l|xs|xxs|xl|nl))*"
    r"|mxfp[48](?:[-_]moe)?|nvfp4|bf16|f(?:p)?(?:8|16|32)|int[48]|[2-8][-_]?bits?|w\d{1,2}a\d{1,2}"
)
_FORMAT = (
    r"awq|gptq|gguf|ggml|exl[23]|mlx|bnb|imatrix|imat|i1|hf|qat|dwq|quantized|dynamic|marlin"
    r"|unsloth|autoround|torchao|kv"
)
_NOISE_AT_END = re.compile(rf"[-._ ](?:{_QUANT}|{_FORMAT})$")
_ONLY_QUANT = re.compile(rf"(?:(?:{_QUANT}|{_FORMAT})(?:[-._ ]|$))+")
_WORD = re.compile(r"\d+(?:\.\d+)*(?:x\d+(?:\.\d+)*)?[a-z]*|[a-z]+")
_BETWEEN = re.compile(r"[-_. ]*")

_MARKERS = frozenset({"instruct", "chat", "it", "base", "pt", "text"})
BASE_MARKERS = frozenset({"base", "pt", "text"})


@dataclass(frozen=True, slots=True)
class Key:
    """A model's name without what says nothing: its words in order, and how it was tuned.

    `marker` is instruct, chat, it, base, pt, text or "" where the name has none.
    """

    words: tuple[str, ...]
    marker: str


@dataclass(frozen=True, slots=True)
class Written:
    """A name taken apart: `owner` and `tag` are "" where there are none.

    `is_place` says that it is a file or a folder rather than a name someone serves.
    """

    owner: str
    stem: str
    tag: str
    is_place: bool


def take_apart(name: str) -> Written:
    """Return owner, stem and tag of a hub id, a path, a file name, a tag or a plain name."""
    text = _SCHEME.sub("", name.strip().replace("\\", "/"))
    text, hosts = _HOST.subn("", text)
    cached = _HUB_CACHE.search(text)
    if cached is not None and not _EXTENSION.search(text.lower()):
        return Written(cached[1], cached[2], "", is_place=False)
    is_path = not hosts and text.startswith(("/", "./", "../", "~"))
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    stem, _, tag = (parts[-1] if parts else "").partition(":")
    is_place = is_path or _EXTENSION.search(stem.lower()) is not None
    owner = parts[0] if len(parts) == 2 and not is_place else ""
    return Written(owner, stem, tag, is_place=is_place or len(parts) > 2)


def key_of(stem: str, owners: frozenset[str] = frozenset()) -> Key | None:
    """Return the key of a name without owner and tag; None where it is not made of words.

    `owners` are hub owners in lower case: a stem that starts with one and an underscore (as in
    `google_gemma-3-4b-it`) is read without it.
    """
    text = without_quantisation(stem)
    owner, underscore, rest = text.partition("_")
    if underscore and owner in owners:
        text = rest
    words = _WORD.findall(text)
    if not words or not _BETWEEN.fullmatch(_WORD.sub("", text)):
        return None
    markers = [word for word in words if word in _MARKERS]
    if len(markers) > 1:
        return None
    return Key(tuple(w for w in words if w not in _MARKERS), markers[0] if markers else "")


def without_quantisation(stem: str) -> str:
    """Return the stem in lower case without extension, shard number, format and quantisation."""
    text = without_extension(stem)
    while True:
        shorter = _NOISE_AT_END.sub("", _SHARD.sub("", text))
        if shorter == text:
            return text
        text = shorter


def without_extension(stem: str) -> str:
    """Return the stem in lower case without the extension of a file with weights."""
    return _EXTENSION.sub("", stem.lower())


def is_quantisation(tag: str) -> bool:
    """Say whether a tag names only a format or a quantisation (`Q4_K_M`)."""
    return _ONLY_QUANT.fullmatch(tag.lower()) is not None


def tag_size(tag: str) -> tuple[str, bool]:
    """Return an Ollama tag without tuning and quantisation, and whether it means a base model.

    `7b-instruct-q4_K_M` gives `7b` and False, `7b-text` gives `7b` and True.
    """
    words = without_quantisation(tag).split("-")
    kept = [word for word in words if word not in _MARKERS]
    return "-".join(kept), any(word in BASE_MARKERS for word in words)
