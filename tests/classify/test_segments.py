"""Finding what is wanted in a prompt."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.segments import (
    HEAD_CHARS,
    TAIL_CHARS,
    clip,
    instruction_of,
    is_code,
    prose_of,
)


def asks(text: str) -> bool:
    return text.lower().startswith(("tell", "summarize"))


@pytest.mark.parametrize(
    ("prose", "instruction"),
    [
        ("Once it rained.\n\nTell me why.", "Tell me why."),
        ("Once it rained.\nTell me why.", "Tell me why."),
        ("Tell me why.\nOnce it rained.", "Tell me why."),
        ("Once it rained.\n---\nTell me why.", "Tell me why."),
        ("Tell me why.\n<text>Once it rained.</text>", "Tell me why."),
        ("Question: who was it?", "Question: who was it?"),
        ("Who was it?\nA. Tell\nB. Tom", "Who was it?"),
        ("It rained. " * 9 + "\n\nAnd then?", "And then?"),
        ("It rained. " * 9 + "\n\nIt was cold.", "It was cold."),
        ("Do this.", "Do this."),
        ("Summarize this: a long story", "Summarize this"),
        ("把它翻译成英文\uff1a明天见面吧", "把它翻译成英文"),
        ("Read this.\n\nOnce upon a time.", "Read this."),
        ("12.5\n\nWhat is it?", "What is it?"),
        ("x" * 700 + "\n\nWhat is it?", "What is it?"),
        ("Dear all,\n\nIt rained. Tell me why.\n\nYours, Ann", "It rained. Tell me why."),
        ("Dear all,\n\nIt rained.\n\nTell me why.\n\nYours, Ann", "Tell me why."),
        ("Dear all,\n\nIt rained.\n\nTell me why.", "Tell me why."),
        ("at 12:30 sharp", "at 12:30 sharp"),
        ("", ""),
    ],
)
def test_the_instruction_is_found(prose: str, instruction: str) -> None:
    assert instruction_of(prose, asks) == instruction


def test_quotations_are_left_out_where_words_remain() -> None:
    assert "加油" not in instruction_of('What does "加油" mean?', asks)
    assert instruction_of('"Hello there"', asks) == '"Hello there"'


def test_code_and_addresses_are_no_prose() -> None:
    prose = prose_of("Look:\n```py\nx = 1\n```\nat `y` on https://a.example/b or me@b.example")
    assert prose.split() == ["Look:", "at", "on", "or"]


def test_an_open_fence_runs_to_the_end() -> None:
    assert prose_of("Why?\n```py\nx = 1").split() == ["Why?"]


def test_code_without_fences_and_logs_are_no_prose() -> None:
    code = (
        'def add(x: int):\n    """Add one to it.\n    >>> add(1)\n    2\n    """\n    return x + 1'
    )
    assert prose_of(code).split() == ['"""Add', "one", "to", "it.", "2", '"""']
    log = "Why?? Tell me\n2024-05-01 10:00:01 ERROR no disk\n[WARN] low memory"
    assert prose_of(log).strip() == "Why?? Tell me"


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        (
            "Explain this code:\nint main() {\n  f(a);\n}\nThank you!",
            "Explain this code: Thank you!",
        ),
        ("x = 1;\nTell me why.\nint y;", "Tell me why."),
        ("It rained on us all day;\nint y;", "It rained on us all day;"),
        ('Give it as JSON like {"a": 1}\nint y;', 'Give it as JSON like {"a": 1}'),
        ("- is funny and full of joy;\nbreak;", "- is funny and full of joy;"),
        ("Why so?\nexport class Cat extends Animal {\n  a = 1;\n}", "Why so?"),
        ("Why so slow?\nselect name from users where id = 5;", "Why so slow?"),
        ("Why so?\r\nswitch (c) {\r\n  case ONE:\n\n    break; \n}", "Why so?"),
    ],
)
def test_a_line_that_ends_as_code_takes_no_sentence_with_it(text: str, prose: str) -> None:
    assert " ".join(prose_of(text).split()) == prose


def test_many_empty_lines_are_no_work() -> None:
    """A generous bound that only time growing with their number's cube would break."""
    for blank in ("\n", " \n", "\n\t"):
        began = time.process_time()
        prose = prose_of(f"Run `x`.{blank * 700}Tell me why.")
        assert prose.split() == ["Run", ".", "Tell", "me", "why."]
        assert time.process_time() - began < 1


def test_what_is_nothing_but_code_stays() -> None:
    assert prose_of("import os") == "import os"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name, price FROM items WHERE price > 5 ORDER BY price;",
        "SELECT name\nFROM users",
        "SELECT u.name FROM users u WHERE u.id = ? ORDER BY u.name DESC; DELETE FROM users;",
        "INSERT INTO notes (text) VALUES ('tell me; what is this?')",
        "def f(x):\n    return x if x else None",
        "def f(x):\n    return x + 1",
        '{"name": "Bob", "age": 5}',
        "x = [1, 2, 3]\nprint(sum(x))",
        "for (int i = 0; i < n; i++) { sum += a[i]; }",
    ],
)
def test_what_is_nothing_but_code_is_told(text: str) -> None:
    assert is_code(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Tell me about tea;",
        "And that is all; or is it (maybe);",
        "SELECT THE BEST ANSWER FROM THE LIST",
        "SELECT name FROM users WHERE id = 5;\nWhy does this return nothing?",
        "SELECT name FROM users WHERE id = 5\n\nWarum so langsam?",
        "SELECT name FROM users WHERE id = 5; optimize",
        "SELECT name FROM users WHERE id = 5\nPlease explain this query.",
        "return a list of primes (in Python)",
        "Fix this:\nx = [1, 2",
        "def add(a, b):\n    # addiert zwei Zahlen\n    return a + b",
        'def add(x: int):\n    """Add one to it."""\n    return x + 1',
    ],
)
def test_words_to_somebody_are_more_than_code(text: str) -> None:
    assert not is_code(text)


@given(st.text(st.characters(exclude_categories=())))
def test_a_clipped_text_is_bounded_and_can_be_encoded(text: str) -> None:
    clipped = clip(text * 50)
    assert len(clipped) <= HEAD_CHARS + TAIL_CHARS + 2
    clipped.encode("utf-8")
