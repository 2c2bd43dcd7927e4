"""What a request wants done, traps included."""

import pytest

from engines.protocol.requests import ChatRequest, Message
from gateway.classify import Weigher
from gateway.config.weighing import TaskSection
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


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Which word does not belong: apple, pear, hammer?", "reasoning"),
        ("A story problem: a car drives 80 km in an hour. How far in three?", "math"),
    ],
)
def test_the_likeliest_task_is_told_also_where_none_is_decided(
    weigher: Weigher, text: str, task: str
) -> None:
    weighed = weigher.weigh_chat(ChatRequest(messages=[Message("user", text)]))
    assert weighed.likely_task == task
    assert 0 < weighed.task_confidence <= 1


def test_a_short_turn_leans_on_the_turn_before_it(weigher: Weigher) -> None:
    code, poem = "Write a Python function that reverses a string.", "Write a poem about rain."

    def likely(*turns: str) -> str:
        messages = [Message("user", turn) for turn in turns]
        return weigher.weigh_chat(ChatRequest(messages=messages)).likely_task

    assert likely(code, "and now shorter") == "code"
    assert likely(poem, "and now shorter") == "writing"
    assert likely(code, poem) == "writing"


def test_a_threshold_of_the_file_decides_when_to_act() -> None:
    text = ChatRequest(messages=[Message("user", "and the second one?")])
    bold = Weigher(tasks=TaskSection(undecided_below=0)).weigh_chat(text)
    shy = Weigher(tasks=TaskSection(undecided_below=1)).weigh_chat(text)
    assert bold.task == bold.likely_task == shy.likely_task
    assert shy.task == UNDECIDED
    assert "decided from 1.00" in shy.reasons[0]


def test_the_reason_names_what_decided(weigher: Weigher) -> None:
    messages = [Message("user", "Translate to French: the cat sleeps")]
    reason = weigher.weigh_chat(ChatRequest(messages=messages)).reasons[0]
    assert reason.startswith("task is translation: likely by ")
    assert "it says 'translat'" in reason


@pytest.mark.parametrize(
    "language", ["zh-Hant", "cs", "fa", "ta", "sw", "hi-Latn", "uk", "he", "fi", "et"]
)
def test_every_lexicon_tells_a_greeting(weigher: Weigher, language: str) -> None:
    said = {
        "zh-Hant": "謝謝", "cs": "dobrý den", "fa": "سلام", "ta": "வணக்கம்", "sw": "habari",
        "hi-Latn": "namaste", "uk": "добрий день", "he": "תודה", "fi": "hyvää huomenta",
        "et": "aitäh",
    }  # fmt: skip
    assert task_of(weigher, said[language]) == "general"
