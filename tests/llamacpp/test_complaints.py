"""What llama.cpp complains of is gathered while something loads, and else passed on."""

from typing import Any

import llama_cpp as native
import pytest

from engines.llamacpp.complaints import complaints, first_reason

ERROR, INFO = 4, 2


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the callbacks that the library is given."""
    callbacks: list[Any] = []
    monkeypatch.setattr(native, "llama_log_set", lambda callback, _: callbacks.append(callback))
    return callbacks


def test_a_thread_that_is_still_in_the_log_after_a_load_finds_it_there(
    given: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with complaints() as heard:
        given[-1](ERROR, b"load: no memory\n", None)
        given[-1](INFO, b"noise\n", None)
    given[0](ERROR, b"late\n", None)
    assert heard == ["load: no memory\n"]
    assert first_reason(heard, ": ") == "no memory"
    assert capsys.readouterr().err == "late\n"
    with complaints():
        pass
    assert all(callback is given[0] for callback in given)


def test_two_that_load_at_once_both_hear_what_is_wrong(given: list[Any]) -> None:
    with complaints() as one:
        with complaints() as other:
            given[-1](ERROR, b"first\n", None)
        given[-1](ERROR, b"second\n", None)
    assert (one, other) == (["first\n", "second\n"], ["first\n"])
