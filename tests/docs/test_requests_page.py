"""docs/requests.md and what is read: neither has a field that the other lacks."""

import re
from pathlib import Path
from typing import get_args

import msgspec

from engines.protocol.decoding import AnyRequest

_PAGE = Path(__file__).parents[2] / "docs" / "requests.md"


def test_the_page_and_the_code_have_the_same_fields() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", _PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    read = {
        field.encode_name for kind in get_args(AnyRequest) for field in msgspec.structs.fields(kind)
    }
    assert set(rows) == read
    assert len(rows) == len(set(rows))
