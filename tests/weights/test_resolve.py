"""What a `weights:` value means, and the words for one that means nothing."""

from pathlib import Path

import pytest

from engines.demo import DEMO_MODELS
from engines.weights import NotPulled, WeightsProblem, locate, resolve
from engines.weights.store import Store
from tests.support.hub_cache import cached


@pytest.fixture(autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store in which nothing is, which is also the environment's."""
    folder = tmp_path_factory.mktemp("caches")
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(folder / "own"))
    return Store(folder / "hub", folder / "own" / "weights")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "toy.gguf").write_bytes(b"GGUF")
    return tmp_path


def why(weights: str, base: Path) -> str:
    with pytest.raises(WeightsProblem) as caught:
        resolve(weights, base)
    assert "key=k" not in str(caught.value)
    assert str(base) not in str(caught.value).replace(weights or "\0", "")
    return str(caught.value)


@pytest.mark.parametrize("name", DEMO_MODELS)
def test_a_demo_name_is_a_file_of_the_package(name: str, base: Path) -> None:
    assert resolve(f"demo:{name}", base).name == f"{name}.gguf"


@pytest.mark.parametrize(
    ("weights", "meant"), [("demo:qwem", "demo:qwen"), ("demo:lama", "demo:llama")]
)
def test_a_misspelt_demo_name_gets_a_suggestion(weights: str, meant: str, base: Path) -> None:
    assert f"Did you mean {meant}?" in why(weights, base)


@pytest.mark.parametrize("weights", ["demo:", "demo:gpt-5", "demo:../../etc/passwd"])
def test_an_unknown_demo_name_gets_the_list(weights: str, base: Path) -> None:
    assert "There are demo:qwen, demo:coder, demo:llama." in why(weights, base)


@pytest.mark.parametrize(
    "weights", ["models/toy.gguf", "./models/toy.gguf", "models/../models/toy.gguf"]
)
def test_relative_paths_start_at_the_base(weights: str, base: Path) -> None:
    assert resolve(weights, base).samefile(base / "models" / "toy.gguf")


def test_absolute_paths_and_the_home_are_taken_as_they_are(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = base / "models" / "toy.gguf"
    monkeypatch.setenv("HOME", str(base))
    assert resolve(str(path), Path("/nowhere")) == path
    assert resolve("~/models/toy.gguf", Path("/nowhere")) == path


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("", "no weights are given"),
        (".", "the folder '.' has no GGUF file with a model in it"),
        ("models/none.gguf", "there is no file"),
        ("./none", "there is no file"),
        ("../other/none", "there is no file"),
        ("/none/none.gguf", "there is no file"),
        ("Qwen/Qwen2.5-7B-GGUF", "run `weighbridge pull Qwen/Qwen2.5-7B-GGUF`"),
        ("o/r@v1.0:Q4_K_M", "run `weighbridge pull o/r@v1.0:Q4_K_M`"),
        ("https://h.example/x.gguf", "needs the file's checksum"),
        ("http://h.example/x.gguf#sha256=" + "0" * 64, "over https only"),
        ("https://h.example/x.gguf?key=k#sha256=" + "0" * 64, "run `weighbridge pull`"),
        ("~nobody-of-this-name/x.gguf", "there is no user"),
        ("x" * 5_000 + ".gguf", "cannot be looked at"),
        ("nul\0.gguf", "there is no file"),
    ],
)
def test_what_names_no_file_is_said_in_one_line(weights: str, words: str, base: Path) -> None:
    message = why(weights, base)
    assert words in message
    assert "\n" not in message


def test_a_folder_means_the_one_model_in_it_with_all_its_parts(base: Path) -> None:
    assert resolve("models", base).name == "toy.gguf"
    (base / "models" / "mmproj-toy-f16.gguf").touch()  # the eyes of a model are no model
    assert resolve("models", base).name == "toy.gguf"
    split = base / "split"
    split.mkdir()
    for part in (2, 1):
        (split / f"big-q4_0-0000{part}-of-00002.gguf").touch()
    found = locate("./split", base)
    assert [path.name for path in found.files] == [
        "big-q4_0-00001-of-00002.gguf",
        "big-q4_0-00002-of-00002.gguf",
    ]
    assert found.path == found.files[0]


def test_a_folder_with_two_models_is_refused_with_their_names(base: Path) -> None:
    (base / "models" / "other-q8_0.gguf").touch()
    assert "name one: Q8_0, toy.gguf" in why("models", base)


def test_a_part_alone_and_a_later_part_are_refused(base: Path) -> None:
    first, second = (base / "models" / f"m-0000{part}-of-00002.gguf" for part in (1, 2))
    second.touch()
    assert "there is no 1" in why("models/m-00002-of-00002.gguf", base)
    first.touch()
    assert "name 'm-00001-of-00002.gguf'" in why("models/m-00002-of-00002.gguf", base)
    assert resolve("models/m-00001-of-00002.gguf", base) == first
    second.unlink()
    assert "of the 2 parts of m there is no 2" in why("models/m-00001-of-00002.gguf", base)


def test_a_safetensors_folder_is_for_vllm_and_has_to_be_whole(base: Path) -> None:
    folder = base / "st"
    folder.mkdir()
    (folder / "model.safetensors").touch()
    assert "there is no config.json" in why("st", base)
    (folder / "config.json").touch()
    assert locate("st", base).path == folder
    assert locate("st", base).format == "safetensors"
    assert "which vLLM serves" in why("st", base)
    index = '{"weight_map": {"a": "model-1.safetensors", "b": "model.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    assert "there is no model-1.safetensors" in why("st", base)
    for unreadable in ("[]", "{", '{"a": ' + "[" * 100_000):
        (folder / "model.safetensors.index.json").write_text(unreadable, encoding="utf-8")
        assert "index.json cannot be read" in why("st", base)


def test_what_a_hub_gave_is_found_by_quantisation_and_by_file(base: Path, caches: Store) -> None:
    cached(caches, "o/r-GGUF", {"r-q4_k_m.gguf": b"4", "deep/r-Q8_0.gguf": b"88"})
    for pick in ("Q4_K_M", "q4_k_m", "r-q4_k_m.gguf"):
        assert resolve(f"o/r-GGUF:{pick}", base).read_bytes() == b"4"
    page = "https://huggingface.co/o/r-GGUF/resolve/main/deep/r-Q8_0.gguf"
    assert resolve(page, base).read_bytes() == b"88"
    assert "name one: Q4_K_M, Q8_0" in why("o/r-GGUF", base)
    with pytest.raises(NotPulled, match="weighbridge pull o/r-GGUF:Q5_0"):
        resolve("o/r-GGUF:Q5_0", base)


def test_a_bare_name_means_what_it_was_pulled_as(base: Path, caches: Store) -> None:
    cached(caches, "o/r", {"r-q4_0.gguf": b"4", "r-q8_0.gguf": b"8"})
    note = caches.own / "picks" / "o--r@main"
    note.parent.mkdir(parents=True)
    note.write_text("r-q8_0.gguf\n", encoding="utf-8")
    assert resolve("o/r", base).read_bytes() == b"8"


def test_an_earlier_commit_serves_where_the_branch_has_moved_on(base: Path, caches: Store) -> None:
    cached(caches, "o/r", {"r-q4_0.gguf": b"4"}, commit="a" * 40)
    cached(caches, "o/r", {"README.md": b"new"}, commit="b" * 40)
    assert resolve("o/r:Q4_0", base).read_bytes() == b"4"
    with pytest.raises(NotPulled):
        resolve(f"o/r@{'b' * 40}:Q4_0", base)
    assert resolve(f"o/r@{'a' * 40}:Q4_0", base).read_bytes() == b"4"


def test_a_file_whose_blob_is_gone_and_a_model_with_a_part_missing_are_not_there(
    base: Path, caches: Store
) -> None:
    snapshot = cached(caches, "o/r", {"r-q4_0.gguf": b"4", "s-q8_0-00001-of-00002.gguf": b"8"})
    with pytest.raises(NotPulled):
        resolve("o/r:Q8_0", base)
    (snapshot / "r-q4_0.gguf").resolve().unlink()
    with pytest.raises(NotPulled):
        resolve("o/r:Q4_0", base)


def test_a_folder_of_the_name_wins_over_the_hub(base: Path, caches: Store) -> None:
    cached(caches, "models/toy", {"x-q4_0.gguf": b"hub"})
    (base / "models" / "toy").mkdir()
    (base / "models" / "toy" / "mine.gguf").write_bytes(b"mine")
    assert resolve("models/toy", base).read_bytes() == b"mine"


def test_a_file_from_a_url_is_found_by_its_checksum(base: Path, caches: Store) -> None:
    kept = caches.own / "files" / ("0" * 64) / "x.gguf"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"web")
    assert resolve("https://h.example/a/x.gguf#sha256=" + "0" * 64, base).read_bytes() == b"web"
