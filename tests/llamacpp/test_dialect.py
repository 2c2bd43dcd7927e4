"""A model's dialect is seen in its template and architecture."""

import re

import pytest

from engines.llamacpp.speech.dialect import dialect_of

BAR = "\uff5c"
# What is telling in each family's template, in our own words around it.
TEMPLATES = {
    "qwen": r"""{{ 'Call with <tool_call>\n{\"name\": <n>, \"arguments\": <a>}\n</tool_call>' }}""",
    "qwen3": """<tool_call>\n{"name": "' }}{{ c.name }}{{ '", "arguments": ' }}<think></think>""",
    "qwen3-coder": "<tool_call>\n<function={{ c.name }}>{{ c.arguments }}<parameter={{ k }}>",
    "nemotron": """<tool_call><function={{ c.name }}>{{ c.arguments }} '"name'""",
    "glm": "<tool_call>{{ c.name }}<arg_key>{{ k }}</arg_key><arg_value>{{ v }} '\"name'",
    "seed": "<seed:tool_call><function={{ c.name }}><parameter={{ k }}>{{ c.arguments }}",
    "minimax": "<minimax:tool_call><invoke name='{{ c.name }}'><parameter name='{{ k }}'></think>",
    "kimi": "<|tool_call_begin|>{{ c.id }}<|tool_call_argument_begin|>{{ c.arguments }}",
    "gemma4": "<|tool_call>call:{{ c.name }}{ {%- if t %}<|channel>thought{%- endif %}",
    "gpt-oss": "<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>",
    "phi": "<|assistant|>{{ m.content }}<|end|>",
    "v3.2": f"<{BAR}DSML{BAR}invoke name='{{{{ c.name }}}}'></think>",
    "llama3": """Respond in the format {"name": function name, "parameters": dictionary}.""",
    "llama3-bare": "<|start_header_id|>{{ role }}<|end_header_id|>",
    "llama4": "{{- '<|python_start|>' }}{{ c.name }}",
    "pythonic": "[func_name1(params_name1=params_value1), func_name2(params)]",
    "functionary": """<function={{ c.name }}>{"name": function name, "parameters": x}""",
    "nemo": "[TOOL_CALLS][{{ c.function | tojson }}]",
    "small": "[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments }}",
    "magistral": "[THINK]x[/THINK][TOOL_CALLS]{{ c.function.name }}[ARGS]",
    "r1": f"<{BAR}tool▁calls▁begin{BAR}>function\n```json\n{{{{ a }}}}\n```<think>\n</think>",
    "v3.1": f"<{BAR}tool▁calls▁begin{BAR}>{{{{ c.name }}}}<think></think>",
    "lfm": "<|im_start|>system List of tools: <|tool_list_start|>[{{ t | tojson }}]",
    "granite": "<|start_of_role|>system say <|tool_call|> and a list of calls in JSON",
    "functionary-3.1": 'As in <function=example_function_name>{"a": "b"}</function>',
    "command-a": """<|START_ACTION|>[{"tool_name": "x"}]<|END_THINKING|><|START_RESPONSE|>""",
    "north": """<|START_ACTION|>[{"tool_name": "x"}]<|START_THINKING|><|START_TEXT|>""",
    "command-r": """<|CHATBOT_TOKEN|>Action:\n```json\n[{"tool_name": "x"}]""",
    "functionary-3.2": "in this format: >>>${recipient}\n${content}",
    "none": "",
}


@pytest.mark.parametrize(
    ("template", "architecture", "form", "opening"),
    [
        ("qwen", "qwen2", "hermes", None),
        ("qwen", "llama", "hermes", None),
        ("qwen3", "qwen3moe", "hermes", "<think>"),
        ("qwen3-coder", "qwen3moe", "qwen-xml", None),
        ("nemotron", "nemotron", "plain", None),
        ("glm", "glm4moe", "glm", None),
        ("seed", "seed_oss", "seed", None),
        ("minimax", "minimax-m2", "minimax", "<think>"),
        ("kimi", "deepseek2", "kimi", None),
        ("gemma4", "gemma4", "gemma", "<|channel>thought"),
        ("gpt-oss", "gpt-oss", "harmony", "<|channel|>analysis<|message|>"),
        ("phi", "phi3", "plain", None),
        ("v3.2", "deepseek2", "dsml", "<think>"),
        ("llama3", "llama", "llama", None),
        ("llama3", "falcon", "plain", None),
        ("llama3-bare", "llama", "plain", None),
        ("llama4", "llama4", "llama", None),
        ("pythonic", "llama", "llama", None),
        ("functionary", "llama", "plain", None),
        ("nemo", "llama", "mistral", None),
        ("small", "mistral3", "mistral-args", None),
        ("magistral", "llama", "mistral-args", "[THINK]"),
        ("r1", "qwen2", "deepseek", "<think>"),
        ("v3.1", "deepseek2", "deepseek-bare", "<think>"),
        ("lfm", "lfm2moe", "lfm", None),
        ("granite", "granite", "granite", None),
        ("functionary-3.1", "llama", "functionary", None),
        ("command-a", "cohere2", "cohere", "<|START_THINKING|>"),
        ("north", "cohere2moe", "cohere", "<|START_THINKING|>"),
        ("command-r", "command-r", "command-r", None),
        ("functionary-3.2", "llama", "recipients", None),
        ("none", "llama", "plain", None),
    ],
)
def test_the_table_tells_families_apart(
    template: str, architecture: str, form: str, opening: str | None
) -> None:
    dialect = dialect_of(TEMPLATES[template], architecture)
    assert dialect.form.name == form
    assert (dialect.tags.opening if dialect.tags else None) == opening


@pytest.mark.parametrize(
    ("prompt", "thinks"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<|im_start|>assistant\n<think>", True),
        ("<|im_start|>assistant\n", False),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("a <think> b", False),
    ],
)
def test_a_thought_that_the_prompt_has_opened_is_seen_at_its_end(prompt: str, thinks: bool) -> None:
    assert dialect_of(TEMPLATES["qwen3"], "qwen3").thinks_after(prompt) is thinks
    assert dialect_of(TEMPLATES["qwen"], "qwen2").thinks_after(prompt) is False


def test_ids_are_what_the_familys_templates_take() -> None:
    assert re.fullmatch(r"call_[0-9a-f]{24}", dialect_of(TEMPLATES["qwen"], "qwen2").new_id())
    assert re.fullmatch(r"[0-9a-f]{9}", dialect_of(TEMPLATES["nemo"], "llama").new_id())


def test_the_tokens_to_be_seen_are_those_of_calls_and_thoughts() -> None:
    dialect = dialect_of(TEMPLATES["magistral"], "llama")
    assert dialect.tokens(calls=False) == ("[THINK]", "[/THINK]")
    assert dialect.tokens(calls=True)[:3] == ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]")
    assert dialect_of("", "llama").tokens(calls=True) == ()


def test_where_all_of_an_answer_stands_within_marks_they_are_always_seen() -> None:
    dialect = dialect_of(TEMPLATES["gpt-oss"], "gpt-oss")
    assert {"<|channel|>", "<|message|>", "<|end|>"} <= set(dialect.tokens(calls=False))
