"""The text of a drafted file, as a person reads it."""

from engines.families import load_catalogue
from engines.weights import GgufHeader
from gateway.setup.draft import draft
from gateway.setup.rules import rules_for
from gateway.setup.sources import Listed, Server, Silent, Sources, WeightsFile
from gateway.setup.writing import written
from gateway.setup.yaml_text import WIDTH

CATALOGUE = load_catalogue()
SMALL, LARGE = "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-72B-Instruct"


def text_of(*listed: Listed, owner: str = "vllm") -> str:
    return whole(Sources((Server("http://gpu1:8000/v1", listed, owner=owner),)))


def whole(sources: Sources) -> str:
    found = draft(sources, CATALOGUE)
    return written(found, rules_for(found.models))


def test_the_smallest_file_is_this() -> None:
    assert text_of(Listed(SMALL, context_tokens=32_768)) == (
        "# What Weighbridge serves, and which request goes where: written by `weighbridge init` "
        "from what it\n"
        "# found. Edit it as you like: `weighbridge check` validates it; "
        "docs/configuration.md describes\n"
        "# every key.\n"
        "\n"
        "engines: # how each kind of engine is run or reached\n"
        '  gpu1: {kind: remote, url: "http://gpu1:8000/v1"}\n'
        "\n"
        "models: # the names that clients may ask for; an alias is the server's own name\n"
        "  # Family qwen2.5: 7.61B parameters, context 32,768, open licence (apache-2.0), "
        "13 languages.\n"
        "  qwen2.5-7b:\n"
        "    engine: gpu1\n"
        "    upstream_model: Qwen/Qwen2.5-7B-Instruct\n"
        "    aliases: [Qwen/Qwen2.5-7B-Instruct]\n"
        "    context: 32768\n"
        "\n"
        "# For requests to `auto` or without a model: the first rule that matches. "
        "A rule's models are in\n"
        "# order of preference; those that no rule names are served only by their names.\n"
        "routes:\n"
        "  # Everything else.\n"
        "  - {name: default, use: qwen2.5-7b}\n"
    )


def test_what_a_server_like_ollama_gives_is_left_open() -> None:
    assert "context up to 131,072 (the server decides)" in text_of(
        Listed("llama3.3:70b"), owner="library"
    )


def test_what_nobody_knows_is_said_and_how_to_mend_it() -> None:
    text = text_of(Listed("acme", trained_tokens=4_096, parameters=3_000_000))
    text = text.replace("\n  # ", " ")
    assert "Unknown to the catalogue (3M parameters, context up to 4,096 (the server" in text
    assert "set `catalogue:` if you know it." in text


def test_models_that_no_rule_names_say_why() -> None:
    text = text_of(
        Listed(SMALL),
        Listed("sql", parent=SMALL),
        Listed("Qwen/Qwen2.5-7B"),
        Listed("bge-m3"),
        Listed("whisper-1"),
        Listed("BAAI/bge-reranker-v2-m3"),
    )
    flat = text.replace("\n  # ", " ")
    for words in (
        "A LoRA adapter on qwen2.5-7b; ask for it by its name.",
        "It is a base model, not tuned for chat",
        "It makes embeddings",
        "It is not for chat",
        "It ranks documents",
        "reranks: true",
    ):
        assert words in flat


def test_the_same_sources_give_the_same_text_within_the_width() -> None:
    header = GgufHeader("llama", None, 8_192, 1_000, None, has_chat_template=True)
    sources = Sources(
        (
            Server("http://gpu1:8000/v1", (Listed(LARGE), Listed(SMALL)), "GPU_KEY"),
            Server("http://gpu2:8000/v1", (Listed(SMALL), Listed(LARGE)), "GPU_KEY"),
            Server("http://[::1]:11434/v1", (Listed("qwq:32b"),), owner="library"),
        ),
        (Silent("http://gpu3:8000/v1", "it is out"),),
        (WeightsFile("./x.gguf", header),),
    )
    text = whole(sources)
    assert text == whole(sources)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    assert "2 servers with the same models" in text
    assert text.index("  gpu:") < text.index("  ollama:") < text.index("  cpu:")
    assert '# gpu3: {kind: remote, url: "http://gpu3:8000/v1"}' in text
