"""A whole request, weighed: whose words count, what its shape says, and that nothing breaks it."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.readings import EmbeddingRequest, RerankRequest, ScoreRequest
from engines.protocol.requests import ChatRequest, CompletionRequest, ContentPart, Message
from gateway.classify import Weigher
from gateway.classify.language import told_by
from gateway.config.weighing import LanguageSection, SizeSection
from gateway.domain import UNDECIDED, Weighed


@pytest.fixture(scope="module")
def weigher() -> Weigher:
    return Weigher()


def chat(*turns: str, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=[Message("user", turn) for turn in turns], **fields)


@pytest.mark.parametrize(
    ("text", "language", "prompt_language"),
    [
        ("Explain gravity. Answer in French.", "fr", "en"),
        ("Please respond only in Korean: what is a levee?", "ko", "en"),
        ("Translate into Spanish: good morning, everyone", "es", "en"),
        ("Translate from French to German: bonne nuit", "de", "en"),
        ("Übersetze den folgenden Satz ins Englische: Guten Morgen", "en", "de"),
        ("Traduis cette phrase en allemand : il fait beau", "de", "fr"),
        ("Traduce al inglés la siguiente frase: hace frío", "en", "es"),
        ("Traduci in francese: buona notte a tutti", "fr", "it"),
        ("Traduza para o inglês: boa noite a todos", "en", "pt"),
        ("Переведи на немецкий: доброе утро", "de", "ru"),
        ("Przetłumacz na angielski: dzień dobry wszystkim", "en", "pl"),
        ("翻译成法文\uff1a早上好", "fr", "zh"),
        ("次の文をフランス語に翻訳してください", "fr", "ja"),
        ("이 문장을 일본어로 번역해 줘", "ja", "ko"),
        ("Dịch sang tiếng Anh: xin chào các bạn", "en", "vi"),
        ("Terjemahkan ke dalam bahasa Inggris: selamat pagi semua", "en", "id"),
        ("แปลเป็นภาษาอังกฤษ: สวัสดีตอนเช้า", "en", "th"),
        ("ترجم إلى الفرنسية: صباح الخير", "fr", "ar"),
        ("इसका अंग्रेज़ी में अनुवाद करें: शुभ प्रभात", "en", "hi"),
        ("Bu cümleyi Almancaya çevir: günayd\u0131n arkadaşlar", "de", "tr"),
        ("Was ist Photosynthese?", "de", "de"),
        ('What does "merci" mean?', "en", "en"),
        ("Was bedeutet „long time no see“?", "de", "de"),
        ("Which tenses are hard in French grammar? Explain.", "en", "en"),
    ],
)
def test_the_answers_language_is_told_from_the_prompts(
    weigher: Weigher, text: str, language: str, prompt_language: str
) -> None:
    weighed = weigher.weigh_chat(chat(text))
    assert (weighed.language, weighed.prompt_language) == (language, prompt_language)


def test_thousands_of_system_prompts_are_not_all_read(weigher: Weigher) -> None:
    """A generous bound that only time growing with their number would break."""
    rules = ["Answer in French.", *(f"This is rule {number} of many." for number in range(20_000))]
    messages = [*(Message("system", rule) for rule in rules), Message("user", "What is a levee?")]
    began = time.process_time()
    assert weigher.weigh_chat(ChatRequest(messages=messages)).language == "fr"
    assert time.process_time() - began < 1


def test_the_instruction_counts_and_not_the_document(weigher: Weigher) -> None:
    document = "The committee met on Monday and agreed on the budget for the coming year. " * 20
    above = weigher.weigh_chat(chat(f"Résume ce texte en deux phrases :\n\n{document}"))
    below = weigher.weigh_chat(chat(f"{document}\n\nFasse diesen Text bitte kurz zusammen."))
    assert (above.language, above.task) == ("fr", "summarization")
    assert (below.language, below.task) == ("de", "summarization")


@pytest.mark.parametrize("text", ["{line}\n{document}", "{document}\n{line}"])
def test_a_short_line_in_another_language_is_what_is_wanted_of_the_long_one(
    weigher: Weigher, text: str
) -> None:
    document = (
        "The old mill by the river was sold last autumn to a couple from Leeds. They plan to turn "
        "the upper floor into a library."
    )
    asked = text.format(line="Rends ce passage plus aimable", document=document)
    assert weigher.weigh_chat(chat(asked)).prompt_language == "fr"
    for line in ("Cher Monsieur,", "Gracias por todo", "Guten Morgen"):
        polite = text.format(line=line, document=document)
        assert weigher.weigh_chat(chat(polite)).prompt_language == "en"


def test_comments_in_code_do_not_count(weigher: Weigher) -> None:
    code = "```python\n# 计算平均值\ndef avg(xs):\n    return sum(xs)/len(xs)\n```"
    assert weigher.weigh_chat(chat(f"Why does this crash?\n{code}")).prompt_language == "en"


def test_earlier_turns_settle_what_is_short(weigher: Weigher) -> None:
    before = "Erkläre mir bitte, wie ein Kühlschrank funktioniert."
    assert weigher.weigh_chat(chat(before, "ok")).prompt_language == "de"
    assert weigher.weigh_chat(chat(before, "👍")).language == "de"
    assert weigher.weigh_chat(chat(before, "thank you very much")).prompt_language == "en"


def test_a_system_prompt_may_name_the_answers_language(weigher: Weigher) -> None:
    system = Message("system", "You are a helpful assistant. Always answer in German.")
    weighed = weigher.weigh_chat(
        ChatRequest(messages=[system, Message("user", "What is the capital of Peru?")])
    )
    assert (weighed.language, weighed.prompt_language) == ("de", "en")


def test_a_few_words_behind_a_turn_name_the_next_language(weigher: Weigher) -> None:
    weighed = weigher.weigh_chat(chat("Translate to Spanish: good night", "and now in French"))
    assert (weighed.language, weighed.prompt_language) == ("fr", "en")
    mentioned = chat("How is public transport in French cities?", "and in German cities?")
    assert weigher.weigh_chat(mentioned).language == "en"


def test_what_stands_before_a_text_names_a_language_without_a_verb(weigher: Weigher) -> None:
    wanted = weigher.weigh_chat(chat("Quiero esta frase en checo: hasta la semana que viene"))
    assert (wanted.language, wanted.prompt_language) == ("cs", "es")
    given_in = chat(
        "Trouve les fautes dans ce texte en anglais : He have went to school yesterday."
    )
    assert weigher.weigh_chat(given_in).language == "fr"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ('What does "answer in German" mean?', "en"),
        ('My boss wrote me "Please reply in German". How should I react?', "en"),
        ('"Once upon a time there was a king."\nSummarize it. Answer in German.', "de"),
    ],
)
def test_a_quoted_order_is_nobodys(weigher: Weigher, text: str, language: str) -> None:
    assert weigher.weigh_chat(chat(text)).language == language


def test_a_turn_that_only_says_how_to_answer_holds_for_those_behind_it(weigher: Weigher) -> None:
    order, question = "Please answer in German from now on.", "What is the capital of Peru?"
    weighed = weigher.weigh_chat(chat(order, question))
    assert (weighed.language, weighed.prompt_language) == ("de", "en")
    assert "an earlier turn asks for it" in weighed.reasons[2]
    assert weigher.weigh_chat(chat(order, question, "Now in English please")).language == "en"
    assert weigher.weigh_chat(chat("Answer in German: what is HTTP?", question)).language == "en"
    turns = (order, question, "Now in English please", "And of Chile?")
    assert weigher.weigh_chat(chat(*turns)).language == "en"
    turns = (order, question, "How do you say hello in French?", "And in Chile?")
    assert weigher.weigh_chat(chat(*turns)).language == "de"


def test_what_is_nothing_but_code_has_no_language(weigher: Weigher) -> None:
    query = "SELECT name FROM users WHERE id = 5;"
    weighed = weigher.weigh_chat(chat(query))
    assert (weighed.task, weighed.language, weighed.prompt_language) == ("code", *[UNDECIDED] * 2)
    assert weighed.reasons[1] == "prompt_language is undecided: there is nothing but code"
    assert weigher.weigh_chat(chat("Warum ist das so langsam?", query)).language == "de"
    assert weigher.weigh_chat(chat(query), ["de"]).language == "de"


def test_words_and_letters_that_tell_a_language_are_counted_in_words(weigher: Weigher) -> None:
    reasons = weigher.weigh_chat(chat("Why is the sky blue in the morning?")).reasons
    assert reasons[1] == "prompt_language is en: latin script, 7 words are en"
    assert told_by(1, 0) == "1 word is"
    assert told_by(2, 1) == "2 words and 1 letter are"


def test_nothing_to_read_is_undecided_and_never_english(weigher: Weigher) -> None:
    weighed = weigher.weigh_chat(chat("12*7"))
    assert (weighed.language, weighed.prompt_language) == (UNDECIDED, UNDECIDED)
    assert weigher.weigh_chat(ChatRequest(messages=[Message("system", "")])).task == UNDECIDED


def image_turn(text: str) -> Message:
    return Message("user", [ContentPart("text", text), ContentPart("image_url", image_url={})])


def test_the_shape_of_a_request_speaks_first(weigher: Weigher) -> None:
    tool: dict[str, Any] = {"type": "function", "function": {"name": "f"}}
    with_tools = weigher.weigh_chat(chat("What is new?", tools=[tool]))
    assert (with_tools.task, with_tools.tools) == ("tool_use", True)
    unused = weigher.weigh_chat(chat("Why is the sky blue?", tools=[tool], tool_choice="none"))
    assert (unused.task, unused.tools) == ("general", True)
    seen = weigher.weigh_chat(ChatRequest(messages=[image_turn("What is this?")]))
    assert (seen.task, seen.images) == ("vision", True)
    sound = Message("user", [ContentPart("input_audio", input_audio={})])
    assert weigher.weigh_chat(ChatRequest(messages=[sound])).task == "audio"
    schema = weigher.weigh_chat(chat("Anna, 31, Oslo", response_format={"type": "json_schema"}))
    assert (schema.task, schema.json_schema) == ("extraction", True)


def test_an_image_of_an_earlier_turn_still_needs_eyes(weigher: Weigher) -> None:
    turns = [image_turn("What is this?"), Message("assistant", "A cat."), Message("user", "Why?")]
    weighed = weigher.weigh_chat(ChatRequest(messages=turns))
    assert weighed.images
    assert weighed.task != "vision"


def test_a_completion_is_weighed_by_its_text(weigher: Weigher) -> None:
    weighed = weigher.weigh_completion(CompletionRequest(prompt="def add(a, b):", max_tokens=9))
    assert (weighed.likely_task, weighed.answer_tokens) == ("code", 9)


@pytest.mark.parametrize(("prompt", "tokens"), [([1, 2, 3], 3), ([[1, 2], [3]], 3), ({}, 0)])
def test_token_ids_are_counted(weigher: Weigher, prompt: Any, tokens: int) -> None:
    assert weigher.weigh_completion(CompletionRequest(prompt=prompt)).prompt_tokens == tokens


def test_an_embedding_request_is_an_embedding(weigher: Weigher) -> None:
    weighed = weigher.weigh_embedding(EmbeddingRequest(input=["Guten Morgen zusammen", "x"]))
    assert (weighed.task, weighed.prompt_language) == ("embedding", "de")


def test_a_request_for_ranks_is_one_and_reads_its_query_with_each_document(
    weigher: Weigher,
) -> None:
    ranks = RerankRequest(query="Wo ist die Waage?", documents=["Hier steht sie", "Dort"])
    scores = ScoreRequest(text_1="Wo ist die Waage?", text_2=["Hier steht sie", "Dort"])
    each = ScoreRequest(text_1=["a", "b"], text_2=["c", "d"])
    weighed = [weigher.weigh_rerank(request) for request in (ranks, scores, each)]
    assert {one.task for one in weighed} == {"rerank"}
    assert weighed[0].prompt_language == "de"
    assert weighed[0].prompt_tokens == weighed[1].prompt_tokens > weighed[2].prompt_tokens


def test_a_hint_is_heard_where_the_words_do_not_tell(weigher: Weigher) -> None:
    assert weigher.weigh_chat(chat("12*7"), ["de"]).language == "de"
    assert weigher.weigh_chat(chat("12*7"), ["de"]).prompt_language == UNDECIDED
    assert weigher.weigh_chat(chat("Why is the sky blue?"), ["de"]).language == "en"
    assert weigher.weigh_chat(chat("Answer in French: 12*7"), ["de"]).language == "fr"


def test_languages_come_with_how_sure_they_are(weigher: Weigher) -> None:
    long = weigher.weigh_chat(chat("Why is the sky blue in the morning?"))
    assert long.prompt_language_confidence == long.language_confidence > 0.9
    assert weigher.weigh_chat(chat("12*7")).prompt_language_confidence == 0


def test_a_threshold_of_the_file_leaves_more_undecided() -> None:
    strict = Weigher(languages=LanguageSection(undecided_below=1))
    assert strict.weigh_chat(chat("Why is the sky blue?")).prompt_language == UNDECIDED


def test_sizes_follow_their_thresholds() -> None:
    weigher = Weigher(SizeSection(small_below=30, large_from=300))
    sizes = [weigher.weigh_chat(chat("word " * count)).request_size for count in (1, 60, 900)]
    assert sizes == ["small", "medium", "large"]


def test_each_finding_has_its_reason(weigher: Weigher) -> None:
    weighed = weigher.weigh_chat(chat("Write a haiku about snow."))
    starts = [reason.partition(":")[0] for reason in weighed.reasons]
    assert starts == [
        "task is writing",
        "prompt_language is en",
        "language is en",
        "request_size is small",
        f"difficulty is {weighed.difficulty}",
    ]


def test_the_same_request_weighs_the_same(weigher: Weigher) -> None:
    request = chat("Erzähl mir einen Witz über Katzen.")
    assert weigher.weigh_chat(request) == weigher.weigh_chat(request)


TEXTS = st.text(st.characters(exclude_categories=()), max_size=300)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_can_be_weighed(weigher: Weigher, turns: list[str]) -> None:
    weighed = weigher.weigh_chat(chat(*turns))
    assert isinstance(weighed, Weighed)
    assert weighed.prompt_tokens >= 0
    msgspec.json.encode(weighed.reasons)  # no lone surrogate gets into what is shown


@given(st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner, max_size=3)))
def test_any_prompt_and_input_can_be_weighed(weigher: Weigher, given_value: Any) -> None:
    assert weigher.weigh_completion(CompletionRequest(prompt=given_value)).task
    assert weigher.weigh_embedding(EmbeddingRequest(input=given_value)).task == "embedding"


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "word ",
        "`",
        '"',
        "```",
        "(",
        ":",
        "\n\n",
        "漢",
        "🙂",
        "1+1 ",
        "def f(",
        "for x in y ",
        "'",
    ],
)
def test_a_million_characters_are_read_at_their_ends_only(weigher: Weigher, piece: str) -> None:
    """A generous bound that only time growing with the length (or its square) would break."""
    request = chat(piece * (1_000_000 // len(piece)))
    started = time.process_time()
    weighed = weigher.weigh_chat(request)
    assert time.process_time() - started < 1
    assert weighed.request_size == "large"
