"""The states of a unit, and the table that its docstring shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.residency import Event, State, WrongTurn, step


def table() -> dict[tuple[State, Event], State]:
    """Return the turns as the docstring of the states tells them."""
    turns = {}
    rows = [line.strip() for line in (State.__doc__ or "").splitlines() if " -> " in line]
    for row in rows:
        state, _, _, left_by = (cell.strip() for cell in row.strip("|").split("|"))
        for way in left_by.split("; "):
            events, _, following = way.partition(" -> ")
            for event in events.split(", "):
                turns[State(state), Event(event)] = State(following)
    return turns


def test_the_docstring_tells_every_turn_and_no_other() -> None:
    told = table()
    for state in State:
        for event in Event:
            if (state, event) in told:
                assert step(state, event) is told[state, event]
            else:
                with pytest.raises(WrongTurn):
                    step(state, event)


@given(st.lists(st.sampled_from(Event), max_size=40))
def test_what_takes_requests_has_been_loaded_and_memory_comes_back_by_an_end_alone(
    events: list[Event],
) -> None:
    state, loading_before, occupied = State.STOPPED, False, False
    for event in events:
        try:
            state = step(state, event)
        except WrongTurn:
            continue
        if state is State.READY:
            assert loading_before
        if occupied and not state.occupies:
            assert event in (Event.ENDED, Event.GAVE_UP)
        loading_before, occupied = state is State.LOADING, state.occupies


def test_every_state_can_be_left_and_reached() -> None:
    turns = table()
    assert {state for state, _ in turns} == set(State)
    assert set(turns.values()) == set(State)
