"""What a request wants done, traps included."""

import pytest

from engines.protocol.requests import ChatRequest, Message
from gateway.classify import Weigher
from gateway.domain import UNDECIDED


@pytest.fixture(scope="module")
def weigher() -> Weigher:
    return Weigher()


def task_of(weigher: Weigher, *turns: str) -> str:
    messages = [Message("user", turn) for turn in turns]
    return weigher.weigh_chat(ChatRequest(messages=messages)).task


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Write a Python function that merges two sorted lists.", "code"),
        ("Fix this:\n```js\nlet x = ;\n```", "code"),
        ("Traceback (most recent call last):\n  File 'a.py', line 1\nKeyError: 'a'", "code"),
        ("git rebase --abort", "code"),
        ("What does main.rs do here?", "code"),
        ("Translate this function to Go:\n```py\ndef f(x): return x\n```", "code"),
        ("Schreibe ein Skript, das PDF-Dateien ins Englische übersetzt.", "code"),
        ("写一个函数判断一个字符串是不是回文", "code"),
        ("二分探索のPython関数を書いてください", "code"),
        ("Write a poem about Python.", "writing"),
        ("Écris une histoire courte sur un développeur Java", "writing"),
        ("Schreibe einen Brief an meine Vermieterin", "writing"),
        ("友達への誕生日の手紙を書いて", "writing"),
        ("Make this sentence sound friendlier: pay now", "writing"),
        ("Translate to French: the cat sleeps", "translation"),
        ("Übersetze ins Englische: Der Hund bellt", "translation"),
        ("把这句话翻译成英文\uff1a今天下雨了", "translation"),
        ("Как сказать по-английски «доброе утро»?", "translation"),
        ("Summarize the following text:\n\nIt rained all day.", "summarization"),
        ("Résume ce texte en une phrase :\n\nIl a plu.", "summarization"),
        ("Extract all dates from the text: he came on 3 May.", "extraction"),
        ("Classify the sentiment: 'what a day'", "extraction"),
        ("12*7", "math"),
        ("Solve the equation 3x + 4 = 19", "math"),
        ("Tom has 3 boxes of 12 pens and gives away 7. How many are left?", "math"),
        ("¿Cuánto es el 15 por ciento de 200?", "math"),
        ("Which word does not belong: apple, pear, hammer?", "reasoning"),
        ("If all cats are mammals and Tom is a cat, is Tom a mammal?", "reasoning"),
        ("hello", "general"),
        ("¡Muchas gracias!", "general"),
        ("Why is the sky blue?", "general"),
        ("What makes a good summary?", "general"),
        ("Who invented the telephone?", "general"),
        ("Set a timer for 5 minutes", "tool_use"),
        ("lorem", UNDECIDED),
        ("👍", UNDECIDED),
        ("", UNDECIDED),
    ],
)
def test_a_text_says_its_task(weigher: Weigher, text: str, task: str) -> None:
    assert task_of(weigher, text) == task


def test_a_short_turn_leans_on_the_turn_before_it(weigher: Weigher) -> None:
    before = "Write a Python function that reverses a string."
    assert task_of(weigher, before, "faster") == "code"
    assert task_of(weigher, before, "Write a poem about rain.") == "writing"
