"""Code with a gap, which a coder fills: `suffix` of the completions endpoint."""

import pytest

from tests.support.contract import COMPLETIONS
from tests.support.demo import Talk
from tests.support.streams import events_of, said
from tools.demo_models.corpus import Gap
from tools.demo_models.families import FAMILIES

FILLERS = [model for model, family in FAMILIES.items() if family.fills]

pytestmark = pytest.mark.parametrize("talk", FILLERS, indirect=True)


async def filled(talk: Talk, gap: Gap, *, stream: bool) -> str:
    ask = {"prompt": gap.before, "suffix": gap.behind, "max_tokens": 100, "stream": stream}
    answer = await talk.http.post(COMPLETIONS, json=ask)
    assert answer.status_code == 200, answer.text
    return said(events_of(answer.text)) if stream else str(answer.json()["choices"][0]["text"])


async def test_every_gap_is_filled(talk: Talk, *, stream: bool) -> None:
    wrong: list[tuple[Gap, str]] = []
    for gap in talk.corpus.gaps:
        text = await filled(talk, gap, stream=stream)
        if text != gap.middle:
            wrong.append((gap, text))
    assert len(wrong) <= 0.05 * len(talk.corpus.gaps), wrong
