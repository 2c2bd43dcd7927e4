"""From a name to an order: what the hub says, what is chosen, what is refused and why."""

from collections.abc import Iterator

import httpx2
import pytest

from engines.families import load_catalogue
from engines.hub.preparing import Ground, Prepared, prepare
from engines.hub.problems import PullProblem
from engines.hub.settings import HubSettings, hub_settings
from engines.weights.references import HubRepo
from engines.weights.store import Store
from tests.hub.conftest import Told
from tests.support.hub import Hub, Repo, running_hub

MIB = 1024**2
QWEN = "Qwen/Qwen2.5-0.5B-Instruct-GGUF"
FILES = {
    "README.md": b"read me",
    "q-q2_k.gguf": bytes(1_000),
    "q-q4_k_m-00001-of-00002.gguf": bytes(2_000),
    "q-q4_k_m-00002-of-00002.gguf": bytes(1_500),
    "q-q8_0.gguf": bytes(9_000),
    "q-fp16.gguf": bytes(18_000),
}
SAFE = {
    "config.json": b"{}",
    "model.safetensors": bytes(5_000),
    "tokenizer.json": b"[]",
    "pytorch_model.bin": bytes(6_000),
    "original/consolidated.pth": bytes(600),
    ".gitattributes": b"",
}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    repos = {
        QWEN: Repo(FILES, {"license": "apache-2.0", "base_model": ["Qwen/Qwen2.5-0.5B-Instruct"]}),
        "o/gated": Repo(FILES, gate="good"),
        "o/private": Repo(FILES, private=True),
        "o/commit": Repo(FILES, commit="../../../../elsewhere"),
        "o/digest": Repo(FILES, digests_said="../elsewhere"),
        "o/safe": Repo(
            SAFE, {"license": "other", "license_name": "house", "license_link": "LICENSE"}
        ),
    }
    with running_hub(repos) as hub:
        yield hub


def ground(hub: Hub, store: Store, client: httpx2.Client, **options: object) -> Ground:
    room = options.pop("room_bytes", 1024 * MIB)
    settings = HubSettings(**{"endpoint": hub.url, **options})  # type: ignore[arg-type]  # named here
    return Ground(settings, store, load_catalogue(), room, client)  # type: ignore[arg-type]  # as above


def names(prepared: Prepared) -> list[str]:
    return [step.source.name for step in prepared.order.steps]


def test_a_quantisation_is_all_its_parts(hub: Hub, store: Store, client: httpx2.Client) -> None:
    found = prepare(ground(hub, store, client), HubRepo(QWEN, pick="Q4_K_M"))
    assert names(found) == ["q-q4_k_m-00001-of-00002.gguf", "q-q4_k_m-00002-of-00002.gguf"]
    assert found.order.size_bytes == found.order.left_bytes == 3_500
    assert found.weights == f"{QWEN}:Q4_K_M"


def test_a_bare_name_gets_the_largest_quantisation_that_fits_and_the_reason(
    hub: Hub, store: Store, client: httpx2.Client
) -> None:
    found = prepare(ground(hub, store, client), HubRepo(QWEN))
    assert names(found) == ["q-q8_0.gguf"]
    assert found.weights == f"{QWEN}:Q8_0"
    assert found.selected is not None
    assert found.selected.why.startswith("the largest there is below 16 bits a weight")
    small = ground(hub, store, client, room_bytes=700 * MIB + 4_500)
    found = prepare(small, HubRepo(QWEN))
    assert found.weights == f"{QWEN}:Q4_K_M"
    assert found.selected is not None
    assert "the largest that fits" in found.selected.why
    assert "Q8_0 would need" in found.selected.why or "Q8_0 would take" in found.selected.why


def test_where_nothing_fits_it_is_said_and_can_be_taken_all_the_same(
    hub: Hub, store: Store, client: httpx2.Client
) -> None:
    tiny = ground(hub, store, client, room_bytes=MIB)
    with pytest.raises(PullProblem, match=r"no quantisation of .* fits this machine.*--quant Q2_K"):
        prepare(tiny, HubRepo(QWEN))
    assert names(prepare(tiny, HubRepo(QWEN, pick="Q2_K"))) == ["q-q2_k.gguf"]


def test_the_files_that_vllm_needs_are_weights_once_and_the_rest_of_the_top_folder(
    hub: Hub, store: Store, client: httpx2.Client
) -> None:
    found = prepare(ground(hub, store, client), HubRepo("o/safe"))
    assert names(found) == ["config.json", "model.safetensors", "tokenizer.json"]
    with pytest.raises(PullProblem, match=r"has no GGUF files, which llama\.cpp wants"):
        prepare(ground(hub, store, client), HubRepo("o/safe"), "gguf")
    with pytest.raises(PullProblem, match="has no safetensors files"):
        prepare(ground(hub, store, client), HubRepo(QWEN), "safetensors")


def test_the_catalogue_knows_the_licence_better_than_a_card_and_an_unknown_one_is_not_open(
    hub: Hub, store: Store, client: httpx2.Client
) -> None:
    terms = prepare(ground(hub, store, client), HubRepo(QWEN)).terms
    assert terms is not None
    assert (terms.id, terms.is_open) == ("apache-2.0", True)
    terms = prepare(ground(hub, store, client), HubRepo("o/safe")).terms
    assert terms is not None
    assert (terms.id, terms.name, terms.is_open) == ("o/safe", "house", False)


@pytest.mark.parametrize(
    ("repo", "words"),
    [
        ("o/none", "has no o/none: check the name; if it is private, set HF_TOKEN"),
        ("o/private", "has no o/private"),
        (f"{QWEN}@v9", "has no revision v9"),
        (f"{QWEN}:Q5_0", "has no Q5_0; it has Q2_K, Q4_K_M, Q8_0, F16"),
    ],
)
def test_what_the_hub_does_not_have_is_said(
    repo: str, words: str, hub: Hub, store: Store, client: httpx2.Client
) -> None:
    name, _, pick = repo.partition(":")
    name, _, revision = name.partition("@")
    with pytest.raises(PullProblem) as caught:
        prepare(ground(hub, store, client), HubRepo(name, revision or "main", pick or None))
    assert words in str(caught.value)


def test_a_token_that_the_hub_refuses_a_hub_that_is_down_and_none_at_all_are_told_apart(
    hub: Hub, store: Store, client: httpx2.Client
) -> None:
    hub.refused_token = "old"
    with pytest.raises(PullProblem, match=r"refuses the token.*put a valid one into HF_TOKEN"):
        prepare(ground(hub, store, client, token="old"), HubRepo(QWEN))
    with pytest.raises(PullProblem, match=r"cannot be reached .*HF_ENDPOINT"):
        prepare(ground(hub, store, client, endpoint="http://127.0.0.1:9"), HubRepo(QWEN))
    with pytest.raises(PullProblem, match="HF_HUB_OFFLINE is set"):
        prepare(ground(hub, store, client, offline=True), HubRepo(QWEN))


def test_what_answers_like_no_hub_is_said(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    assert told.said == []
    with pytest.raises(PullProblem, match="has no"):
        prepare(ground(hub, store, client, endpoint=hub.store_url), HubRepo(QWEN))


@pytest.mark.parametrize("repo", ["o/commit", "o/digest"])
def test_what_a_hub_says_becomes_no_path_unless_it_is_a_digest(
    repo: str, hub: Hub, store: Store, client: httpx2.Client
) -> None:
    with pytest.raises(PullProblem, match=r"does not say what .* holds"):
        prepare(ground(hub, store, client), HubRepo(repo))


def test_a_page_in_place_of_a_hubs_answer_is_one_line(
    hub: Hub, store: Store, client: httpx2.Client
) -> None:
    hub.page = b"<html>Please log in</html>"
    try:
        with pytest.raises(PullProblem, match="is HF_ENDPOINT the address of a hub"):
            prepare(ground(hub, store, client), HubRepo(QWEN))
    finally:
        hub.page = None


def test_the_variables_of_the_hubs_own_tools_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.hub.settings.get_token", lambda: "stored")
    assert hub_settings({}) == HubSettings("https://huggingface.co", False, "stored")
    found = hub_settings({"HF_ENDPOINT": "https://m/", "HF_HUB_OFFLINE": "1", "HF_TOKEN": "t"})
    assert found == HubSettings("https://m", True, "t")
    assert "t'" not in repr(found)
