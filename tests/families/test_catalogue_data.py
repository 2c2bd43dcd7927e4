"""The packaged data: whole, consistent, and right where being wrong costs most."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from engines.families import CatalogueProblem, Entry, load_catalogue

CATALOGUE = load_catalogue()
ENTRIES = {entry.name: entry for entry in CATALOGUE.entries}


def entry(name: str) -> Entry:
    return ENTRIES[name]


def test_every_family_that_the_project_names_is_there() -> None:
    families = {one.family for one in CATALOGUE.entries}
    assert families >= {
        "qwen2.5", "qwq", "qwen3", "llama-2", "llama-3", "llama-3.1", "llama-3.2", "llama-3.3",
        "llama-4", "deepseek", "deepseek-r1-distill", "mistral", "mixtral", "yi", "internlm",
        "baichuan", "falcon", "gemma", "demo",
    }  # fmt: skip


def test_all_seven_sizes_of_qwen() -> None:
    for size in ("0.5b", "1.5b", "3b", "7b", "14b", "32b", "72b"):
        assert entry(f"qwen2.5-{size}").chat
        assert entry(f"qwen2.5-{size}-base").chat is False


@pytest.mark.parametrize("one", CATALOGUE.entries, ids=lambda one: one.name)
def test_every_entry_is_plausible(one: Entry) -> None:
    assert re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)*", one.name)
    assert one.source
    assert one.strengths
    assert all(re.fullmatch(r"[a-z]{2}", code) for code in one.languages or ())
    assert one.parameters is None or one.parameters >= 100_000_000
    if one.active_parameters is not None and one.parameters is not None:
        assert one.active_parameters <= one.parameters
    if one.extended_context_tokens is not None:
        assert one.context_tokens is not None
        assert one.extended_context_tokens > one.context_tokens
    if one.is_base:
        assert one.template is None
        assert one.chat is False


@pytest.mark.parametrize(
    ("name", "licence", "licence_class", "commercial"),
    [
        ("qwen2.5-7b", "apache-2.0", "open", "yes"),
        ("qwen2.5-3b", "qwen-research", "research", "no"),
        ("qwen2.5-3b-base", "qwen-research", "research", "no"),
        ("qwen2.5-coder-3b", "qwen-research", "research", "no"),
        ("qwen2.5-72b", "qwen", "conditional", "yes"),
        ("llama-3.1-8b", "llama-3.1", "conditional", "yes"),
        ("deepseek-r1", "mit", "open", "yes"),
        ("deepseek-r1-distill-llama-8b", "llama-3.1", "conditional", "yes"),
        ("codestral-22b", "mistral-non-production", "research", "no"),
        ("baichuan2-7b", "baichuan2", "conditional", "on-request"),
    ],
)
def test_licences(name: str, licence: str, licence_class: str, commercial: str) -> None:
    found = entry(name).licence
    assert (found.id, found.licence_class, found.commercial) == (licence, licence_class, commercial)


def test_the_users_clauses() -> None:
    for one in CATALOGUE.entries:
        if one.licence.id.startswith("llama-"):
            assert one.licence.monthly_users == 700_000_000
            assert not one.licence.unlimited_users
    assert entry("qwen2.5-72b").licence.monthly_users == 100_000_000
    assert entry("qwen2.5-7b").licence.unlimited_users


def test_only_the_multimodal_llamas_leave_europe_out() -> None:
    out = {e.family for e in CATALOGUE.entries if "EU" in (e.licence.excluded_regions or ())}
    assert out == {"llama-3.2", "llama-4"}
    assert entry("llama-3.2-11b-vision").licence.excluded_regions == ("EU",)
    assert entry("llama-3.2-3b").licence.excluded_regions == ()


def test_attribution() -> None:
    assert entry("llama-3.3-70b").licence.attribution == "Built with Llama"
    assert entry("qwen2.5-7b").licence.attribution is None


def test_every_licence_is_used() -> None:
    assert {one.licence.id for one in CATALOGUE.entries} == set(CATALOGUE.licences)


def test_active_parameters_of_mixtures_and_of_dense_models() -> None:
    assert entry("deepseek-v3").active_parameters == 37_000_000_000
    assert entry("llama-3.2-3b").active_parameters == entry("llama-3.2-3b").parameters


def broken(folder: Path, change: tuple[str, str]) -> str:
    """Copy the data with one change to qwq.toml and return what the loader says."""
    for file in (files("engines.families") / "data").iterdir():
        if file.name in ("licences.toml", "qwq.toml"):
            (folder / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    text = (folder / "qwq.toml").read_text(encoding="utf-8")
    assert change[0] in text
    (folder / "qwq.toml").write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(CatalogueProblem) as caught:
        load_catalogue(folder)
    return str(caught.value)


def test_a_fact_left_out_is_named(tmp_path: Path) -> None:
    message = broken(tmp_path, ('architecture = "qwen2"\n', ""))
    assert message.startswith("qwq.toml: qwq-32b: `architecture` is missing")
    assert '"unknown"' in message


def test_an_unknown_licence_is_named(tmp_path: Path) -> None:
    assert "'apache-3.0'" in broken(tmp_path, ('"apache-2.0"', '"apache-3.0"'))


def test_a_misspelt_key_and_a_word_outside_the_list_are_named(tmp_path: Path) -> None:
    assert "`langs`" in broken(tmp_path, ("languages =", "langs ="))


def test_a_strength_outside_the_list_is_named(tmp_path: Path) -> None:
    assert "'maths'" in broken(tmp_path, ('"math"', '"maths"'))


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    assert broken(tmp_path, ("[[group]]", "[[group")).startswith("qwq.toml: ")


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "both called" in broken(tmp_path, ('Qwen/QwQ-32B-Preview"]', 'Qwen/QwQ-32B"]'))
