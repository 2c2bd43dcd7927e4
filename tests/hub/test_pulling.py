"""From an order to files in the cache that the hub's other tools find too."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from huggingface_hub import try_to_load_from_cache

from engines.families import load_catalogue
from engines.hub.preparing import Ground, prepare
from engines.hub.problems import PullProblem
from engines.hub.pulling import carry_out, order_from_web, web_client
from engines.hub.settings import HubSettings
from engines.weights import NotPulled, locate
from engines.weights.references import HubRepo, WebFile
from engines.weights.store import Store
from tests.hub.conftest import Told
from tests.support.hub import COMMIT, Asked, Fault, Hub, Repo, running_hub

FILES = {
    "m-q4_0-00001-of-00002.gguf": b"a" * 3_000,
    "m-q4_0-00002-of-00002.gguf": b"b" * 2_000,
    "deep/m-q8_0.gguf": b"c" * 4_000,
    "notes.txt": b"small",
}
GATED = "o/gated"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub({"o/r": Repo(dict(FILES)), GATED: Repo(dict(FILES), gate="good")}) as hub:
        yield hub


class Puller(NamedTuple):
    """Everything that a pull takes."""

    ground: Ground
    told: Told

    def pull(self, reference: HubRepo) -> None:
        order = prepare(self.ground, reference).order
        carry_out(
            self.ground.settings,
            order,
            client=self.ground.client,
            teller=self.told,
            pause=self.told.pause,
        )


def puller(
    hub: Hub, store: Store, client: httpx2.Client, told: Told, token: str | None = None
) -> Puller:
    settings = HubSettings(hub.url, token=token)
    return Puller(Ground(settings, store, load_catalogue(), 1 << 40, client), told)


def test_pulled_files_are_found_by_us_and_by_the_hubs_own_library(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    with pytest.raises(NotPulled):
        locate("o/r:Q4_0", Path(), store)
    puller(hub, store, client, told).pull(HubRepo("o/r", pick="Q4_0"))
    found = locate("o/r:Q4_0", Path(), store)
    assert [path.read_bytes() for path in found.files] == [b"a" * 3_000, b"b" * 2_000]
    name = "m-q4_0-00001-of-00002.gguf"
    assert try_to_load_from_cache("o/r", name, cache_dir=store.hub) == str(found.path)
    assert found.path.is_symlink()
    assert not found.path.readlink().is_absolute()  # the cache may be moved as a whole


def test_a_folder_of_ours_that_cannot_be_written_is_a_problem_of_the_pull(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    store.own.write_bytes(b"in the way")
    with pytest.raises(PullProblem, match="cannot be written: Not a directory"):
        puller(hub, store, client, told).pull(HubRepo("o/r", pick="Q4_0"))


def test_what_is_here_is_not_fetched_again_and_a_shared_file_is_fetched_once(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    one = puller(hub, store, client, told)
    one.pull(HubRepo("o/r", pick="Q4_0"))
    one.pull(HubRepo("o/r", pick="Q4_0"))
    assert len(hub.fetched) == 2
    repo = hub.repos["o/r"]
    repo.commit = "2" * 40
    repo.files["m-q4_0-00002-of-00002.gguf"] = b"new" * 1_000
    one.pull(HubRepo("o/r", pick="Q4_0"))
    assert len(hub.fetched) == 3  # one part is the same
    parts = [path.read_bytes() for path in locate("o/r:Q4_0", Path(), store).files]
    assert parts == [b"a" * 3_000, b"new" * 1_000]


def test_an_interrupted_pull_is_gone_on_with_and_nothing_half_is_found(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    hub.faults = [Fault(), *(Fault(cut_after=700 if n == 0 else 0) for n in range(9))]
    one = puller(hub, store, client, told)
    with pytest.raises(PullProblem, match="pull again to resume"):
        one.pull(HubRepo("o/r", pick="Q4_0"))
    with pytest.raises(NotPulled):
        locate("o/r:Q4_0", Path(), store)
    hub.faults.clear()
    assert prepare(one.ground, HubRepo("o/r", pick="Q4_0")).order.left_bytes == 1_300
    one.pull(HubRepo("o/r", pick="Q4_0"))
    assert hub.fetched[-1] == "bytes=700-"
    assert len(locate("o/r:Q4_0", Path(), store).files) == 2


def test_the_token_goes_to_the_hub_and_not_to_whom_it_sends_us(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    puller(hub, store, client, told, token="good").pull(HubRepo(GATED, pick="Q8_0"))

    def tokens(asked: list[Asked], server: str) -> set[str | None]:
        return {one.token for one in asked if one.server == server}

    assert tokens(hub.asked, "hub") == {"Bearer good"}
    assert tokens(hub.asked, "store") == {None}


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "is gated: .* pull again with HF_TOKEN set to it"),
        ("bad", "account of your token has no access to it yet"),
    ],
)
def test_a_gated_repository_says_what_to_do(
    token: str | None, words: str, hub: Hub, store: Store, client: httpx2.Client
) -> None:
    with pytest.raises(PullProblem, match=words) as caught:
        puller(hub, store, client, Told(), token).pull(HubRepo(GATED, pick="Q8_0"))
    assert f"{hub.url}/{GATED}" in str(caught.value)


def test_wrong_bytes_never_reach_the_cache(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    hub.repos["o/r"].damaged.add("deep/m-q8_0.gguf")
    with pytest.raises(PullProblem, match="is not what it should be"):
        puller(hub, store, client, told).pull(HubRepo("o/r", pick="Q8_0"))
    with pytest.raises(NotPulled):
        locate("o/r:Q8_0", Path(), store)


def test_room_is_looked_at_before_the_first_byte(
    hub: Hub, store: Store, client: httpx2.Client, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr("shutil.disk_usage", lambda _place: Usage(2_000))
    with pytest.raises(PullProblem, match=r"takes 5\.0 kB more.*has 2\.0 kB free"):
        puller(hub, store, client, told).pull(HubRepo("o/r", pick="Q4_0"))
    assert hub.fetched == []


def test_a_bare_name_is_noted_as_what_was_taken(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    one = puller(hub, store, client, told)
    one.pull(HubRepo("o/r"))
    one.pull(HubRepo("o/r", pick="Q8_0"))
    assert locate("o/r", Path(), store).quantisation == "Q4_0"  # 5,000 bytes: the larger
    assert prepare(one.ground, HubRepo("o/r")).order.is_done


def test_a_commit_can_be_named(hub: Hub, store: Store, client: httpx2.Client, told: Told) -> None:
    puller(hub, store, client, told).pull(HubRepo("o/r", COMMIT, "Q8_0"))
    assert locate(f"o/r@{COMMIT}:Q8_0", Path(), store).quantisation == "Q8_0"
    assert not (store.repo_folder("o/r") / "refs").exists()


def test_a_file_of_a_url_is_fetched_and_checked(
    hub: Hub, store: Store, client: httpx2.Client, told: Told
) -> None:
    path = "deep/m-q8_0.gguf"
    reference = WebFile(hub.file_url("o/r", path), hub.repos["o/r"].digest(path), "m-q8_0.gguf")
    order = order_from_web(store, reference, client)
    assert order.size_bytes == 4_000
    carry_out(HubSettings(), order, client=client, teller=told, pause=told.pause)
    weights = f"https://h.example/m-q8_0.gguf#sha256={reference.sha256}"
    assert locate(weights, Path(), store).path.read_bytes() == b"c" * 4_000
    hub.faults = [Fault(status=404)]
    missing = WebFile(reference.url, "0" * 64, "m-q8_0.gguf")
    order = order_from_web(store, missing, client)
    with pytest.raises(PullProblem, match="its server answers with HTTP 404"):
        carry_out(HubSettings(), order, client=client, teller=told, pause=told.pause)


@pytest.mark.parametrize("proxy", ["socks://127.0.0.1:9", "socks5://user:s3cret@127.0.0.1:9"])
def test_a_proxy_that_nobody_speaks_to_is_a_sentence(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(PullProblem, match="only http:// and https:// proxies") as caught:
        web_client()
    assert "s3cret" not in str(caught.value)
