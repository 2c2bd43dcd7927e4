"""Which licences meet a rule's conditions; what is unknown meets none."""

from typing import Any

import pytest

from gateway.config.conditions import LicenceClause
from gateway.domain import LicenceTerms
from gateway.selection.licences import licence_refusal

APACHE = LicenceTerms("open", "Apache-2.0", commercial=True, excluded_regions=(), no_limit=True)
LLAMA = LicenceTerms(
    "conditional", commercial=True, excluded_regions=("EU",), monthly_users=700_000_000
)
RESEARCH = LicenceTerms("research", commercial=False, excluded_regions=(), no_limit=True)


@pytest.mark.parametrize(
    ("clause", "allowed"),
    [
        ({}, {"apache", "llama", "research", "none"}),
        ({"classes": ["open"]}, {"apache"}),
        ({"classes": ["open", "conditional"]}, {"apache", "llama"}),
        ({"classes": ["unknown"]}, {"none"}),
        ({"spdx": ["apache-2.0", "MIT"]}, {"apache"}),
        ({"commercial": True}, {"apache", "llama"}),
        ({"commercial": False}, {"apache", "llama", "research", "none"}),
        ({"region": "eu"}, {"apache", "research"}),
        ({"region": "US"}, {"apache", "llama", "research"}),
        ({"monthly_users": 700_000_000}, {"apache", "llama", "research"}),
        ({"monthly_users": 700_000_001}, {"apache", "research"}),
        ({"classes": ["conditional"], "region": "EU"}, set()),
    ],
)
def test_a_clause_lets_through_what_meets_it(clause: dict[str, Any], allowed: set[str]) -> None:
    terms = {"apache": APACHE, "llama": LLAMA, "research": RESEARCH, "none": None}
    wanted = LicenceClause.model_validate(clause)
    assert {
        name for name, term in terms.items() if licence_refusal(term, wanted) is None
    } == allowed


def test_a_refusal_says_what_stands_in_the_way() -> None:
    refusal = licence_refusal(LLAMA, LicenceClause(monthly_users=10**9))
    assert refusal == "its licence allows 700,000,000 monthly users"
