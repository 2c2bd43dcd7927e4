"""Values as YAML: what is written is read back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import Document
from gateway.setup.yaml_text import WIDTH, Variable, comment, entry, flow, item, scalar

ENVIRON = {"HOME": "a secret", "A": "another"}


def read(text: str) -> object:
    return Document(text, "x.yaml", ENVIRON).value


@given(st.text(max_size=80) | st.sampled_from(["${HOME}", "$${A}", "${A:-b}", "no", "1e3", "0x1f"]))
def test_any_text_means_itself(text: str) -> None:
    written = scalar(text)
    assert "\n" not in written
    assert read(f"key: {written}") == {"key": text}


@given(
    st.recursive(
        st.text(max_size=30) | st.integers() | st.booleans(),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=4)
            | st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), inner, min_size=1)
        ),
        max_leaves=12,
    )
)
def test_any_value_means_itself_however_long_its_lines(value: object) -> None:
    assert read("\n".join(entry("key", {"a": value, "b": 1}, 2))) == {"key": {"a": value, "b": 1}}
    assert read("\n".join(item({"a": value, "b": 1}, 2))) == [{"a": value, "b": 1}]
    assert read(flow({"a": value})) == {"a": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B"),
        ("./models/x.gguf", "./models/x.gguf"),
        ("no", '"no"'),
        ("qwen2.5:7b", '"qwen2.5:7b"'),
        (Variable("KEY"), '"${KEY}"'),
        (4096, "4096"),
        (True, "true"),
    ],
)
def test_what_needs_no_quotes_has_none(value: object, text: str) -> None:
    assert scalar(value) == text


def test_a_variable_is_read_from_the_environment() -> None:
    assert read(f"key: {scalar(Variable('HOME'))}") == {"key": "a secret"}


@given(st.lists(st.from_regex(r"[a-z]{1,30}", fullmatch=True), min_size=1, max_size=60))
def test_comments_keep_to_the_width(words: list[str]) -> None:
    lines = comment(" ".join(words), 2)
    assert all(line.startswith("  # ") and len(line) <= WIDTH for line in lines)
    assert " ".join(line[4:] for line in lines) == " ".join(words)
