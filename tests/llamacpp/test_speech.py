"""What a model's text means, in every family's way of writing it, however it is cut."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.llamacpp.speech.dialect import Dialect
from engines.llamacpp.speech.form import Elements, Form
from engines.llamacpp.speech.formats import FORMATS, HARMONY, HERMES, KIMI, LLAMA, PLAIN, QWEN_XML
from engines.llamacpp.speech.parts import (
    CallBegan,
    CallBroke,
    CallEnded,
    CallGrew,
    Content,
    Part,
    Thought,
    joined,
)
from engines.llamacpp.speech.recipients import RECIPIENTS
from engines.llamacpp.speech.speech import Speech, Tags

GOLDEN = Path(__file__).parent / "golden"
TAGS = {
    "<think>": Tags("<think>", "</think>", "</think>"),
    "[THINK]": Tags("[THINK]", "[/THINK]", "[/THINK]"),
}
# What harmony thinks in, which its headers tell.
TAGS["harmony"] = Tags("<|channel|>analysis<|message|>", "<|end|>", "<|end|>")
TAGS["<|START_THINKING|>"] = Tags("<|START_THINKING|>", "<|END_THINKING|>", "<|END_THINKING|>")
TAGS["<|channel>thought"] = Tags("<|channel>thought", "<channel|>", "\n<channel|>")
FUNCTIONS: dict[str, Any] = {
    "get_weather": {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    "now": None,
    "add": {"properties": {"a": {"type": "number"}, "b": {"type": ["array", "null", "boolean"]}}},
}
THINK = TAGS["<think>"]


def cases() -> Iterator[Any]:
    for path in sorted(GOLDEN.glob("*.json")):
        golden = json.loads(path.read_text(encoding="utf-8"))
        for case in golden["cases"]:
            yield pytest.param(golden | case, id=f"{path.stem}: {case['name']}")


CASES = list(cases())
ENVELOPING = [form for form in FORMATS if form.envelops]
BARE = [form for form in FORMATS if not form.envelops]
MARKERS = sorted({text for form in FORMATS for text in (*form.markers, *form.first, *form.tokens)})
FRAGMENTS = [
    *MARKERS,
    *("<think>", "</think>", '{"name": "now"', ', "arguments": {', '"parameters": {"a": 1}'),
    *("function", "now", "add(a=1)", "now()", "```json\n", "```", " ", "\n", ";", ",", "<", "é"),
    *("}", "]", "x", '"', "\\", "[", "{", "(", ")", "-", "1e5", "true"),
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
CUTS = st.lists(st.integers(0, 120), max_size=8)


def listener(case: dict[str, Any]) -> Speech:
    form = next(form for form in FORMATS if form.name == case["format"])
    return hear(
        Dialect(form, TAGS.get(case["thinks"])),
        dict.fromkeys(case["functions"]) if "functions" in case else FUNCTIONS,
        thinking=case.get("inside", False),
        split=case.get("split", True),
    )


def hear(
    dialect: Dialect, functions: Mapping[str, Any] = MappingProxyType(FUNCTIONS), **options: Any
) -> Speech:
    numbers = itertools.count()
    return dialect.hear(functions, new_id=lambda: f"call_{next(numbers)}", **options)


def heard(speech: Speech, pieces: Iterable[str]) -> list[Part]:
    """Return all the parts, those of one kind joined as if they had come at once."""
    parts = [part for piece in pieces for part in speech.feed(piece)]
    return joined(parts + speech.finish())


def cut(text: str, cuts: list[int]) -> list[str]:
    """Return `text` in pieces; the same place twice gives an empty piece."""
    places = [0, *sorted(min(at, len(text)) for at in cuts), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(places)]


def told(parts: list[Part]) -> list[dict[str, str]]:
    """Return parts in the words of the golden files."""
    found: list[dict[str, str]] = []
    for part in parts:
        match part:
            case Content(text):
                found.append({"content": text})
            case Thought(text):
                found.append({"thought": text})
            case CallBegan(_, _, name):
                found.append({"call": name, "arguments": ""})
            case CallGrew(_, text):
                found[-1]["arguments"] += text
            case CallBroke(_, whole, untold):
                found[-1] = {
                    "broken": found[-1]["call"],
                    "arguments": found[-1]["arguments"],
                    "whole": whole,
                    "untold": untold,
                }
            case CallEnded():
                pass
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_golden_stream_means_what_its_file_says(case: dict[str, Any]) -> None:
    assert told(heard(listener(case), [case["text"]])) == case["parts"]


@pytest.mark.parametrize("case", CASES)
def test_a_golden_stream_in_single_characters_means_the_same(case: dict[str, Any]) -> None:
    assert heard(listener(case), case["text"]) == heard(listener(case), [case["text"]])


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@given(text=TEXTS, cuts=CUTS, thinking=st.booleans(), split=st.booleans())
def test_any_text_cut_anywhere_means_the_same(
    form: Any, text: str, cuts: list[int], thinking: bool, split: bool
) -> None:
    def speech() -> Speech:
        return hear(Dialect(form, THINK), thinking=thinking, split=split)

    assert heard(speech(), cut(text, cuts)) == heard(speech(), [text])


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@given(text=TEXTS, thinking=st.booleans())
def test_every_call_is_well_formed(form: Any, text: str, thinking: bool) -> None:
    """A call begins with a known name, its index counts up, and its arguments are an object."""
    begun, arguments = 0, ""
    for part in heard(hear(Dialect(form, THINK), thinking=thinking), text):
        match part:
            case CallBegan(index, _, name):
                assert (index, name in FUNCTIONS) == (begun, True)
                begun, arguments = begun + 1, ""
            case CallGrew(index, more):
                assert index == begun - 1
                arguments += more
            case CallEnded(index):
                assert index == begun - 1
                assert isinstance(json.loads(arguments), dict)
            case CallBroke(index, whole, untold):
                assert index == begun - 1
                assert whole.endswith(untold)
            case _:
                pass


@pytest.mark.parametrize("form", BARE, ids=lambda form: form.name)
@given(text=TEXTS)
def test_what_is_no_call_is_content_and_nothing_is_lost(form: Any, text: str) -> None:
    """With no function of any such name, all the text is content."""
    assert heard(hear(Dialect(form, None), {"another": None}), text) == joined([Content(text)])


@given(text=st.text(st.characters(exclude_characters="<[{\uff5cA>")), cuts=CUTS)
@pytest.mark.parametrize(
    "form",
    [form for form in FORMATS if form is not RECIPIENTS],  # any first line may be its header
    ids=lambda form: form.name,
)
def test_text_without_markers_passes_unchanged_and_at_once(
    form: Any, text: str, cuts: list[int]
) -> None:
    speech = hear(Dialect(form, THINK))
    shown = ""
    for end, piece in zip(
        itertools.accumulate(map(len, cut(text, cuts))), cut(text, cuts), strict=True
    ):
        for part in speech.feed(piece):
            assert isinstance(part, Content)
            shown += part.text
        # White space at the very beginning may yet belong to a call or a thought.
        assert shown == (text[:end] if text[:end].strip(" \t\r\n") else "")
    assert shown + "".join(p.text for p in speech.finish() if isinstance(p, Content)) == text


@given(st.text(), st.sampled_from(["<tool_call>", "[TOOL_CALLS]", "<|python_tag|>"]))
def test_no_more_is_held_back_than_may_become_a_marker(text: str, marker: str) -> None:
    form = next(form for form in FORMATS if marker in form.markers)
    speech = hear(Dialect(form, None))
    body = "x" + text.replace(marker, "")
    for end in range(1, len(marker)):
        whole = body + marker[:end]
        if marker in whole:
            return
        speech = hear(Dialect(form, None))
        shown = "".join(p.text for p in speech.feed(whole) if isinstance(p, Content))
        assert any(m.startswith(whole[len(shown) :]) for m in form.markers)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
ARGUMENTS = st.dictionaries(st.text(), JSON, max_size=4)
CALLS = st.lists(st.tuples(st.sampled_from(sorted(FUNCTIONS)), ARGUMENTS), min_size=1, max_size=3)


@pytest.mark.parametrize(
    "form", [f for f in FORMATS if isinstance(f.form, Form)], ids=lambda form: form.name
)
@given(calls=CALLS, cuts=CUTS, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_calls_written_in_a_familys_form_are_read_back(
    form: Any, calls: list[tuple[str, Any]], cuts: list[int], ascii_only: bool, indent: int | None
) -> None:
    written = [
        (name, json.dumps(value, ensure_ascii=ascii_only, indent=indent)) for name, value in calls
    ]
    how = form.form
    middle = ":0" + how.middle if how.numbered else how.middle
    texts = (f"{how.before}{name}{middle}{text}{how.after}" for name, text in written)
    text = how.opening + how.between.join(texts) + how.closing
    speech = hear(Dialect(form, THINK))
    expected = [{"call": name, "arguments": text} for name, text in written]
    assert told(heard(speech, cut(text, cuts))) == expected
    assert speech.calls == len(calls)


VALUES = st.fixed_dictionaries(
    {}, optional={"city": st.text(), "days": st.integers(), "other": st.lists(st.integers())}
)


@pytest.mark.parametrize(
    "form", [f for f in FORMATS if isinstance(f.form, Elements)], ids=lambda form: form.name
)
@given(values=VALUES, cuts=CUTS, gap=st.sampled_from(["", "\n"]))
def test_parameters_written_as_elements_are_read_back(
    form: Any, values: dict[str, Any], cuts: list[int], gap: str
) -> None:
    how = form.form
    line = "\n" if how.lines else ""

    def written(key: str, value: Any) -> str:
        kind = next(mark for mark, text in how.kinds if text in (None, key == "city"))
        text = value if isinstance(value, str) else json.dumps(value)
        space = gap if how.value else ""
        return f"{how.key}{key}{kind}{space}{how.value}{line}{text}{line}{how.value_end}"

    call = [how.before + "get_weather" + how.behind, *itertools.starmap(written, values.items())]
    text = gap.join([how.openings[0], *call, how.end, *how.closings[:1]])
    if not values.get("city", "").endswith("\n" if how.lines else how.value_end):
        (told_call,) = told(heard(hear(Dialect(form, THINK)), cut(text, cuts)))
        assert told_call["call"] == "get_weather"
        assert json.loads(told_call["arguments"]) == values


def test_a_long_text_is_told_as_it_grows() -> None:
    speech = hear(Dialect(QWEN_XML, None))
    speech.feed("<tool_call>\n<function=get_weather>\n<parameter=city>\n")
    assert speech.feed('New "') == [CallGrew(0, 'New \\"')]
    assert speech.feed("York\n</par") == [CallGrew(0, "York")]
    assert speech.feed("rot>") == [CallGrew(0, "\\n</parrot>")]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@given(text=TEXTS, most=st.integers(1, 3))
def test_no_more_calls_are_heard_than_are_wanted(form: Any, text: str, most: int) -> None:
    """What stands up to the last of them means the same as ever."""
    speech = hear(Dialect(form, THINK), most=most)
    few, every = heard(speech, text), heard(hear(Dialect(form, THINK)), text)
    assert speech.calls <= most
    if speech.over:
        assert few == every[: len(few)]
        assert isinstance(few[-1], CallEnded)
    else:
        assert few == every


def test_arguments_are_told_as_they_grow() -> None:
    speech = hear(Dialect(HERMES, None))
    assert speech.feed('<tool_call>{"name": "add", "argum') == [CallBegan(0, "call_0", "add")]
    assert speech.feed('ents": {"a') == [CallGrew(0, '{"a')]
    assert speech.feed('": 1') == [CallGrew(0, '": 1')]
    assert speech.feed("2}}") == [CallGrew(0, "2}"), CallEnded(0)]
    assert speech.feed("</tool_call>") == []
    assert speech.finish() == []


def test_a_call_keeps_the_id_that_the_model_gave_it_where_it_is_new() -> None:
    call = "<|tool_call_begin|>functions.now:7<|tool_call_argument_begin|>{}<|tool_call_end|>"
    parts = heard(hear(Dialect(KIMI, None)), [call + call])
    assert [p.id for p in parts if isinstance(p, CallBegan)] == ["functions.now:7", "call_0"]


@pytest.mark.parametrize(
    ("thinking", "text", "parts"),
    [
        (False, " it is.", [Content(" it is.")]),
        (True, " so.<|end|>", [Thought(" so.")]),
        (
            True,
            " so.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
            [Thought(" so."), Content("Yes.")],
        ),
    ],
)
def test_a_message_that_goes_on_has_no_header(thinking: bool, text: str, parts: list[Part]) -> None:
    speech = hear(Dialect(HARMONY, TAGS["harmony"]), thinking=thinking, amid=True)
    assert heard(speech, text) == parts


def test_a_python_call_is_told_when_its_parenthesis_closes() -> None:
    speech = hear(Dialect(LLAMA, None))
    assert speech.feed("[add(a=1") == []
    assert speech.feed("), now") == [
        CallBegan(0, "call_0", "add"),
        CallGrew(0, '{"a": 1}'),
        CallEnded(0),
    ]


def test_an_answer_in_json_is_known_by_its_first_key() -> None:
    speech = hear(Dialect(LLAMA, None))
    assert speech.feed('{"ans') == []
    assert speech.feed('wer"') == [Content('{"answer"')]
    assert speech.feed(': {"name"') == [Content(': {"name"')]


def test_a_thought_is_told_as_it_grows_and_the_speech_knows_that_it_thinks() -> None:
    speech = hear(Dialect(PLAIN, THINK))
    assert (speech.feed("<thi"), speech.thinking) == ([], False)
    assert (speech.feed("nk>\nTwo "), speech.thinking) == ([Thought("Two")], True)
    assert (speech.feed("and\n"), speech.thinking) == ([Thought(" and")], True)
    assert (speech.feed("</thin"), speech.thinking) == ([], True)
    assert (speech.feed("k>\n\n4"), speech.thinking) == ([Content("4")], False)


def test_without_functions_no_call_is_looked_for() -> None:
    text = '{"name": "now", "parameters": {}}<|python_tag|>'
    assert hear(Dialect(LLAMA, None), {}).feed(text) == [Content(text)]


def test_depth_is_bounded() -> None:
    text = '{"name": "add", "parameters": {"a": ' + "[" * 100_000
    *_, broke, rest = heard(hear(Dialect(LLAMA, None)), [text])
    assert isinstance(broke, CallBroke)
    assert isinstance(rest, Content)
    assert broke.whole + rest.text == text
    deep = "[add(a=" + "[" * 100_000
    assert heard(hear(Dialect(LLAMA, None)), [deep]) == [Content(deep)]


@given(st.text("()[]{}'\"=,:ab1.-\\ \n\x00", max_size=30))
@example("(a=" + "-" * 10_000 + "1)")
@example("(a=" + "9" * 10_000 + ")")
@example("(a=1e999)")
@example("(a=b'x')")
@example("(a=1j)")
@example('(a="\\ud800")')
@example('(a="\\d")')
@example("(**{'a': 1})")
@example("(a=1, a=2)")
def test_any_python_gives_an_object_or_is_no_call(written: str) -> None:
    speech = hear(Dialect(LLAMA, None))
    for part in heard(speech, [f"[add{written}]"]):
        if isinstance(part, CallGrew):
            assert isinstance(json.loads(part.text), dict)
