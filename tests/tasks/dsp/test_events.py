import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dsp.events import MIN_EVENT_FRAMES, MIN_PAUSE_FRAMES, find_events


def automaton(active: list[bool]) -> list[list[int]]:
    """FireRedVAD's four states, one frame after the other; a pause belongs to no event."""
    events, state, start, pause = [], "silence", 0, 0
    for at, is_active in enumerate(active):
        if state == "silence" and is_active:
            state, start = "possible event", at
        elif state == "possible event":
            if not is_active:
                state = "silence"
            elif at - start >= MIN_EVENT_FRAMES:
                state = "event"
        elif state == "event" and not is_active:
            state, pause = "possible silence", at
        elif state == "possible silence":
            if is_active:
                state = "event"
            elif at - pause >= MIN_PAUSE_FRAMES:
                state = "silence"
                events.append([start, pause])
    if state == "event":
        events.append([start, len(active)])
    if state == "possible silence":
        events.append([start, pause])
    return events


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 45), max_size=14), st.booleans())
def test_events_are_those_of_the_automaton(lengths: list[int], first: bool):
    active = [bool((at + first) % 2) for at, length in enumerate(lengths) for _ in range(length)]
    found = find_events(np.array(active, np.float32), 0.5)
    smoothed = [np.mean(active[max(0, at - 2) : at + 3]) >= 0.5 for at in range(len(active))]
    assert found.tolist() == automaton(smoothed)


def test_an_event_is_where_it_is_heard():
    probabilities = np.zeros(300)
    probabilities[100:200] = 0.9
    probabilities[140:150] = 0.1  # a breath
    assert find_events(probabilities, 0.5).tolist() == [[100, 200]]
    assert find_events(probabilities, 0.95).shape == (0, 2)
    assert find_events(np.zeros(0), 0.5).shape == (0, 2)


def test_lengths_that_just_suffice():
    for pause, count in ((20, 1), (21, 2)):
        active = np.ones(200)
        active[100 : 100 + pause] = 0.0
        assert len(find_events(active, 0.5)) == count
    for length, count in ((20, 0), (21, 1)):
        active = np.zeros(100)
        active[40 : 40 + length] = 1.0
        assert len(find_events(active, 0.5)) == count


def test_a_blip_is_no_event_and_an_event_may_fill_a_track():
    blip = np.zeros(100)
    blip[50:65] = 1.0
    assert len(find_events(blip, 0.5)) == 0
    assert find_events(np.ones(100), 0.5).tolist() == [[0, 100]]
