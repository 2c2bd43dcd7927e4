"""CONTRIBUTING.md and the decision records name what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_place_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:gateway|engines|tests|tools|docs)(?:/[\w.*-]+)*)`", TEXT)
    assert len(named) > 20
    for place in named:
        assert any(ROOT.glob(place)), place


def test_every_room_of_the_gateway_has_its_place() -> None:
    for room in (*(ROOT / "gateway").iterdir(), *(ROOT / "engines").iterdir()):
        is_room = room.suffix == ".py" or (room / "__init__.py").is_file()
        if is_room and room.name != "__init__.py":
            assert f"`{room.relative_to(ROOT)}`" in TEXT, room


def test_every_make_target_that_is_named_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_decision_records_are_numbered_without_gaps_and_say_what_lost() -> None:
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    for number, record in enumerate(records, 1):
        written = record.read_text(encoding="utf-8")
        assert record.name.startswith(f"{number:04}-")
        assert written.startswith(f"# {number}. ")
        assert "\nDecision: " in written
        assert "\nLost: " in written
