"""docs/families.md says what runs."""

from pathlib import Path

import pytest

from tools.families.kin import KIN
from tools.families.page import TARGET, page

PAGE = TARGET.read_text(encoding="utf-8")


@pytest.mark.timeout(400)  # it tries everything again: seconds, but on a crowded machine minutes
async def test_the_page_is_what_ran(models: Path) -> None:
    assert await page(models) == PAGE, "run: python -m tools.families.page"


def test_every_family_and_template_has_a_row() -> None:
    for kin in KIN:
        assert f"| {kin.family} |" in PAGE
        for official in kin.templates:
            assert f"| {kin.family} | {official.file} |" in PAGE
