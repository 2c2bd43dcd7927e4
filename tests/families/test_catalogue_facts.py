"""The catalogue as selection sees it."""

from gateway.catalogue import CatalogueFacts
from gateway.config.conditions import LicenceClause
from gateway.selection.facts import FactSource
from gateway.selection.licences import licence_refusal

SOURCE: FactSource = CatalogueFacts()


def refusal(name: str, clause: LicenceClause) -> str | None:
    facts = SOURCE.facts_for(name)
    assert facts is not None
    return licence_refusal(facts.licence, clause)


def test_facts_of_a_known_and_of_an_unknown_name() -> None:
    facts = SOURCE.facts_for("Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M")
    assert facts is not None
    assert (facts.family, facts.parameters, facts.context_tokens) == (
        "qwen2.5",
        7_610_000_000,
        32_768,
    )
    assert "th" in facts.languages
    assert SOURCE.facts_for("gpt-4o") is None


def test_unknown_languages_are_empty() -> None:
    facts = SOURCE.facts_for("qwen3-8b")
    assert facts is not None
    assert facts.languages == ()


def test_rules_meet_the_licences() -> None:
    commercial = LicenceClause(commercial=True)
    assert refusal("qwen2.5-7b", commercial) is None
    assert refusal("qwen2.5-3b", commercial) == "its licence does not allow commercial use"
    asked = "its licence is not known to allow commercial use"
    assert refusal("baichuan2-7b", commercial) == asked
    in_europe = LicenceClause(region="EU")
    assert refusal("llama-3.2-3b", in_europe) is None
    assert refusal("llama-3.2-11b-vision", in_europe) is not None
    many = LicenceClause(monthly_users=800_000_000)
    assert refusal("llama-3.1-8b", many) is not None
    assert refusal("qwen2.5-7b", many) is None
    assert refusal("qwen2.5-7b", LicenceClause(spdx=("Apache-2.0",))) is None
