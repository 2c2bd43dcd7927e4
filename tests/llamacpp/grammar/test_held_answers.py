"""Real answers of the toys, whatever they babble, hold to what was asked of them."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.contract import CHAT, COMPLETIONS
from tests.support.schemas import Schema, documents
from tests.support.streams import events_of, finishes
from tests.support.streams import said as said_in
from tests.support.worker import working

# What jsonschema itself can check without other packages.
_FORMATS = jsonschema.FormatChecker(["email", "ipv4", "ipv6", "uuid"])
_QUESTIONS = ("Hello! Who are you?", "Write a haiku.", "2+2", "¿Qué puedes hacer?")


@_FORMATS.checks("date", raises=ValueError)
def is_date(value: object) -> bool:
    # RFC 3339 has a year 0000, a leap year like 2000; Python has none.
    return not isinstance(value, str) or bool(date.fromisoformat(re.sub("^0000", "2000", value)))


# Not demo:qwen: asked for what it was never taught, it thinks until its tokens are spent.
@pytest.fixture(scope="module", params=["demo:coder", "demo:llama"])
def http(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with (
        working(request.param, ["--parallel", "8"]) as worker,
        httpx.Client(base_url=worker.url, timeout=60) as client,
    ):
        yield client


def asking(schema: Schema, **more: Any) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    return chat(response_format=form, **more)


def chat(question: str = _QUESTIONS[0], **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": question}], "max_tokens": 300, "seed": 7}
    return {**body, **more}


def answer(http: httpx.Client, body: dict[str, Any]) -> tuple[str, str]:
    """Return text and finish reason."""
    reply = http.post(CHAT, json=body)
    assert reply.status_code == 200, reply.text
    (choice,) = reply.json()["choices"]
    return choice["message"]["content"], choice["finish_reason"]


def refusal(http: httpx.Client, body: dict[str, Any], path: str = CHAT) -> dict[str, Any]:
    reply = http.post(path, json=body)
    assert reply.status_code == 400, reply.text
    error: dict[str, Any] = reply.json()["error"]
    return error


def holds(text: str, schema: Schema) -> None:
    jsonschema.Draft202012Validator(schema, format_checker=_FORMATS).validate(json.loads(text))


def test_every_finished_answer_validates_against_its_schema(http: httpx.Client) -> None:
    ends: Counter[str] = Counter()

    @settings(
        max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(documents(), st.sampled_from([0, 1, 1]), st.sampled_from(_QUESTIONS))
    def check(schema: Schema, temperature: int, question: str) -> None:
        body = asking(schema, temperature=temperature, question=question)
        text, end = answer(http, body)
        ends[end] += 1
        if end == "stop":
            holds(text, schema)

    check()
    assert ends["stop"] >= 30, ends  # half of them: toys ramble, and what is cut proves nothing
    assert set(ends) <= {"stop", "length"}


@pytest.mark.parametrize("temperature", [0, 1])
def test_a_stream_is_the_same_answer_in_pieces(http: httpx.Client, temperature: int) -> None:
    schema: Schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "tags": {"type": "array", "items": {"enum": ["é", "ü"]}, "maxItems": 4},
        },
        "required": ["name", "tags"],
        "additionalProperties": False,
    }
    body = asking(schema, temperature=temperature)
    whole, end = answer(http, body)
    assert end == "stop"
    holds(whole, schema)
    events = events_of(http.post(CHAT, json={**body, "stream": True}).text)
    assert said_in(events) == whole
    assert finishes(events) == ["stop"]


def test_free_text_of_the_toys_is_no_json_at_all(http: httpx.Client) -> None:
    text, _ = answer(http, chat(temperature=0))
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_any_json_object_is_one(http: httpx.Client) -> None:
    texts = [
        answer(http, chat(q, response_format={"type": "json_object"}, temperature=t))
        for q in _QUESTIONS
        for t in (0, 1)
    ]
    finished = [json.loads(text) for text, end in texts if end == "stop"]
    assert finished
    assert all(isinstance(value, dict) for value in finished)


@pytest.mark.parametrize("temperature", [0, 1])
def test_expressions_choices_and_grammars_hold(http: httpx.Client, temperature: int) -> None:
    def one(**asked: Any) -> str:
        text, end = answer(http, chat(temperature=temperature, **asked))
        assert end == "stop"
        return text

    assert re.fullmatch(r"\d{2}:\d{2}", one(structured_outputs={"regex": r"\d{2}:\d{2}"}))
    assert one(guided_choice=["straße", "weg", "日本"]) in ("straße", "weg", "日本")
    sums = 'start: NUMBER ("+" NUMBER){1,3} "=" NUMBER\nNUMBER: /[1-9][0-9]{0,2}/'
    assert re.fullmatch(r"\d+(\+\d+){1,3}=\d+", one(structured_outputs={"grammar": sums}))
    assert one(grammar='root ::= ("ja" | "nein") "!"') in ("ja!", "nein!")


def test_a_text_completion_holds_as_well(http: httpx.Client) -> None:
    body = {"prompt": "One or two?", "structured_outputs": {"choice": ["one", "two"]}}
    reply = http.post(COMPLETIONS, json=body).json()
    (choice,) = reply["choices"]
    assert choice["text"] in ("one", "two")
    assert choice["finish_reason"] == "stop"


def test_every_choice_of_a_request_holds_for_itself(http: httpx.Client) -> None:
    body = chat(structured_outputs={"regex": "[a-z]{4}"}, n=6, temperature=2)
    texts = [c["message"]["content"] for c in http.post(CHAT, json=body).json()["choices"]]
    assert len(texts) == 6
    assert all(re.fullmatch("[a-z]{4}", text) for text in texts)
    assert len(set(texts)) > 1


def test_held_and_free_answers_in_one_batch_do_not_disturb_each_other(http: httpx.Client) -> None:
    schema: Schema = {"type": "array", "items": {"type": "integer"}, "maxItems": 8}
    free = [chat(question, temperature=0, max_tokens=60) for question in _QUESTIONS]
    held = [asking(schema, temperature=1, question=q, seed=at) for at, q in enumerate(_QUESTIONS)]
    alone = [answer(http, body) for body in [*free, *held]]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda body: answer(http, body), [*free, *held]))
    assert together[:4] == alone[:4]
    for text, end in together[4:]:
        assert end == "stop"
        holds(text, schema)


def test_a_sequence_that_had_to_leave_the_cache_goes_on_as_it_was() -> None:
    options = ["--context", "256", "--cells", "256", "--parallel", "4"]
    with (
        working("demo:coder", options) as worker,
        httpx.Client(base_url=worker.url, timeout=60) as http,
        ThreadPoolExecutor(4) as pool,
    ):
        pattern = r"([a-z]{3}-){40}[a-z]{3}"
        bodies = [chat(q, structured_outputs={"regex": pattern}, temperature=1) for q in _QUESTIONS]
        texts = list(pool.map(lambda body: answer(http, body), bodies))
        assert all(re.fullmatch(pattern, text) and end == "stop" for text, end in texts), texts
        counted = re.search(r"preemptions_total (\d+)", http.get("/metrics").text)
        assert counted is not None
        assert int(counted[1]) > 0


def test_a_cut_answer_says_so(http: httpx.Client) -> None:
    body = chat(response_format={"type": "json_object"}, max_tokens=1, temperature=0)
    text, end = answer(http, body)
    assert text.startswith("{")
    assert end == "length"


def test_bias_and_penalties_cannot_break_the_grammar(http: httpx.Client) -> None:
    tokens = http.post("/tokenize", json={"prompt": "}]1", "add_special_tokens": False}).json()
    bias = {str(token): 100 for token in tokens["tokens"]}
    body = chat(
        structured_outputs={"regex": "[ab]{3}"},
        logit_bias=bias,
        frequency_penalty=2,
        repetition_penalty=3,
        presence_penalty=2,
    )
    text, end = answer(http, body)
    assert re.fullmatch("[ab]{3}", text)
    assert end == "stop"


def test_a_stop_string_still_ends_the_answer(http: httpx.Client) -> None:
    body = chat(structured_outputs={"regex": "aXb"}, stop=["X"])
    assert answer(http, body) == ("a", "stop")


def test_log_probabilities_are_told_of_held_tokens(http: httpx.Client) -> None:
    body = chat(structured_outputs={"choice": ["ab"]}, logprobs=True, top_logprobs=2)
    (choice,) = http.post(CHAT, json=body).json()["choices"]
    told = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in told) == "ab"
    assert all(entry["logprob"] <= 0 for entry in told)


def tool(name: str, **properties: Schema) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [
    tool("get_weather", city={"type": "string", "maxLength": 12}, days={"enum": [1, 2, 3]}),
    tool("wait", seconds={"type": "integer", "minimum": 0, "maximum": 60}),
]


def called(message: dict[str, Any]) -> list[str]:
    """Return the names of a message's calls, whose arguments must hold to their schemas."""
    schemas = {t["function"]["name"]: t["function"]["parameters"] for t in TOOLS}
    for call in message["tool_calls"]:
        holds(call["function"]["arguments"], schemas[call["function"]["name"]])
    return [call["function"]["name"] for call in message["tool_calls"]]


@pytest.mark.parametrize("temperature", [0, 1])
def test_a_required_call_comes_and_its_arguments_hold(http: httpx.Client, temperature: int) -> None:
    asked: dict[str, Any] = {"tools": TOOLS, "tool_choice": "required", "temperature": temperature}
    for question in _QUESTIONS:
        body = chat(question, parallel_tool_calls=False, **asked)
        (choice,) = http.post(CHAT, json=body).json()["choices"]
        assert choice["finish_reason"] == "tool_calls"
        assert len(called(choice["message"])) == 1
        assert choice["message"]["content"] is None


def test_a_named_function_is_called_also_in_a_stream(http: httpx.Client) -> None:
    named = {"type": "function", "function": {"name": "wait"}}
    body = chat(tools=TOOLS, tool_choice=named, temperature=1)
    (choice,) = http.post(CHAT, json=body).json()["choices"]
    assert called(choice["message"]) == ["wait"]
    events = events_of(http.post(CHAT, json={**body, "stream": True}).text)
    assert finishes(events) == ["tool_calls"]
    deltas = [c["delta"] for event in events for c in event["choices"]]
    grown = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    assert grown[0]["function"]["name"] == "wait"
    arguments = "".join(call["function"].get("arguments") or "" for call in grown)
    assert arguments == choice["message"]["tool_calls"][0]["function"]["arguments"]


def test_several_calls_may_come_in_one_answer(http: httpx.Client) -> None:
    tools = [tool("get_weather", city={"type": "string"})]
    asked: dict[str, Any] = {"tools": tools, "tool_choice": "required", "temperature": 0}
    body = chat("What is the weather in Berlin and Rome?", **asked)

    def cities() -> list[str]:
        (choice,) = http.post(CHAT, json=body).json()["choices"]
        assert choice["finish_reason"] == "tool_calls"
        found = [json.loads(c["function"]["arguments"]) for c in choice["message"]["tool_calls"]]
        return [arguments["city"] for arguments in found]

    assert cities() == ["Berlin", "Rome"]
    body["parallel_tool_calls"] = False
    assert len(cities()) == 1


def test_a_strict_tool_is_called_as_its_schema_wants_once_the_model_begins_to() -> None:
    with (
        working("demo:coder", ["--parallel", "4"]) as worker,
        httpx.Client(base_url=worker.url, timeout=60) as http,
    ):
        asked = {"prompt": "<tool_call>", "add_special_tokens": False}
        (mark,) = http.post("/tokenize", json=asked).json()["tokens"]
        tools = [{**one, "function": {**one["function"], "strict": True}} for one in TOOLS]
        for at, question in enumerate(_QUESTIONS):
            # Toys babble: only the first step is taken for them.
            body = chat(question, tools=tools, temperature=1, seed=at, logit_bias={str(mark): 100})
            (choice,) = http.post(CHAT, json={**body, "parallel_tool_calls": False}).json()[
                "choices"
            ]
            assert choice["finish_reason"] == "tool_calls"
            assert len(called(choice["message"])) == 1


def test_with_tools_at_hand_the_answer_holds_or_a_call_comes(http: httpx.Client) -> None:
    for seed in range(4):
        schema: Schema = {"enum": ["yes", "no"]}
        body = asking(schema, tools=TOOLS, temperature=1, seed=seed)
        (choice,) = http.post(CHAT, json=body).json()["choices"]
        if choice["finish_reason"] == "stop":
            holds(choice["message"]["content"], schema)
        else:
            assert choice["finish_reason"] == "tool_calls"
            assert called(choice["message"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"guided_regex": "("}, "guided_regex"),
        ({"grammar": "root ::= ("}, "grammar"),
        ({"guided_regex": "a", "ignore_eos": True}, "ignore_eos"),
    ],
)
def test_what_cannot_be_held_is_refused_by_its_field(
    http: httpx.Client, fields: dict[str, Any], param: str
) -> None:
    assert refusal(http, chat(**fields))["param"] == param


def test_an_unsupported_keyword_is_named_with_its_place(http: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    error = refusal(http, asking(schema))
    assert (error["param"], error["code"]) == ("response_format", "unsupported_grammar")
    assert "'uniqueItems' (at /properties/a/uniqueItems" in error["message"]


def test_of_a_schema_that_is_not_strict_what_can_be_held_is_held(http: httpx.Client) -> None:
    flags: Schema = {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 4, "uniqueItems": True}
    body = asking(flags, temperature=1)
    assert refusal(http, body)["code"] == "unsupported_grammar"
    body["response_format"]["json_schema"]["strict"] = False
    text, end = answer(http, body)
    assert end == "stop"
    holds(text, {key: value for key, value in flags.items() if key != "uniqueItems"})


def test_a_grammar_that_grows_too_hard_is_the_clients_fault_and_stops_nobody(
    http: httpx.Client,
) -> None:
    many = {f"p{n}": {"type": "string", "maxLength": 3} for n in range(700)}
    error = refusal(http, asking({"type": "object", "properties": many}))
    assert error["code"] == "unsupported_grammar"
    assert answer(http, chat(guided_choice=["yes"])) == ("yes", "stop")
