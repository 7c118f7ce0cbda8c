"""Copies, sums and parts that are known, among stems that are none."""

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.signal import fftconvolve

from tasks.dsp.likeness import RATE_HZ
from tasks.stems.near_copies import groups, related, relations
from tests.tasks.dsp.test_likeness import delayed, noise

SECONDS = 12.0


def played(seed: int, jitter_seconds: float = 0.0, take: int = 0) -> np.ndarray:
    """Plucked notes of a part; the same part in another take is off by some milliseconds."""
    rng, off = np.random.default_rng(seed), np.random.default_rng(1000 * seed + take)
    signal = np.zeros(round(SECONDS * RATE_HZ))
    for start in np.arange(0.05, SECONDS - 0.6, 0.25):
        frequency_hz = 110 * 2 ** (rng.integers(0, 30) / 12)
        time = np.arange(round(0.5 * RATE_HZ)) / RATE_HZ
        note = sum(
            np.sin(2 * np.pi * frequency_hz * k * time + off.uniform(0, 6.3)) / k
            for k in range(1, 8)
        )
        note = note + 0.2 * off.standard_normal(len(time)) * np.exp(-60 * time)
        place = round((start + off.normal(0, jitter_seconds)) * RATE_HZ)
        signal[place : place + len(note)] += note * np.exp(-6 * time)
    return (0.1 * signal / signal.std()).astype(np.float32)


GUITAR, KEYS, VOICE = played(1), played(2), played(3)
DRUMS = np.concatenate([noise(9, 0.25) * np.exp(-np.arange(2756) / 500) for _ in range(48)])
DRUMS = np.resize(DRUMS, len(GUITAR)).astype(np.float32)
BAND = {"guitar": GUITAR, "keys": KEYS, "voice": VOICE, "drums": DRUMS}


def found(signals: Mapping[str, np.ndarray]) -> set[tuple]:
    """Relations by names: kind, stem and others."""
    names = list(signals)
    return {
        (each.kind, names[each.stem], *sorted(names[other] for other in each.others))
        for each in relations(list(signals.values()))
    }


def quantised(signal: np.ndarray, bits: int) -> np.ndarray:
    dither = np.random.default_rng(0).uniform(-1, 1, len(signal))
    steps = 2 ** (bits - 1)
    return ((np.round(signal * steps + dither)) / steps).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


COPIES = {
    "itself": GUITAR,
    "softer": 0.05 * GUITAR,
    "inverted": -GUITAR,
    "of 8 bits": quantised(GUITAR, 8),
    "after an encoder": np.concatenate([silence(0.025), GUITAR, silence(0.02)]),
    "after an encoder, cut": delayed(GUITAR, 276.3)[: len(GUITAR)],
    "with codec noise": (GUITAR + 0.2 * noise(7, SECONDS)[: len(GUITAR)]).astype(np.float32),
    "after a silence": np.concatenate([silence(2.0), GUITAR]),
    "trimmed": GUITAR[round(0.3 * RATE_HZ) : -round(0.3 * RATE_HZ)],
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found_whatever_was_done_to_it(kind: str):
    assert found(BAND | {"copy": COPIES[kind]}) == {("copy", "copy", "guitar")}


def test_a_copy_says_how_much_later_it_is():
    [relation] = relations([GUITAR, COPIES["after an encoder"]])
    assert (relation.stem, relation.others) == (1, (0,))
    assert relation.lag_seconds == pytest.approx(0.025, abs=1e-4)
    assert relation.residual_db < -30


def room(seed: int, decay_seconds: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(round(0.3 * RATE_HZ)) / RATE_HZ
    return rng.standard_normal(len(time)) * np.exp(-time / decay_seconds)


def in_a_room(signal: np.ndarray, seed: int, decay_seconds: float = 0.05) -> np.ndarray:
    heard = fftconvolve(signal, room(seed, decay_seconds))[: len(signal)]
    return (0.1 * heard / heard.std()).astype(np.float32)


OTHERS = {
    "another take, 3 ms off": {"double": played(1, 0.003, take=1)},
    "another take, 15 ms off": {"double": played(1, 0.015, take=2)},
    "two microphones": {"in": in_a_room(DRUMS, 1, 0.01), "out": in_a_room(DRUMS, 2)},
    "bleed": {"overhead": (VOICE * 0 + in_a_room(GUITAR, 3) * 0.3 + played(5)).astype(np.float32)},
    "sides of a chorus": {"left": in_a_room(KEYS, 4), "right": in_a_room(KEYS, 5)},
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_played_twice_or_heard_by_two_microphones_is_no_copy(kind: str):
    assert found(BAND | OTHERS[kind]) == set()


HIT = noise(20, 0.2) * np.exp(-np.arange(round(0.2 * RATE_HZ)) / 400)


def pattern(steps: str, seconds: float = SECONDS) -> np.ndarray:
    """One sample on the sixteenths that are marked, at 120 bpm."""
    signal = silence(seconds)
    for number in range(round(seconds * 8) - 2):
        if steps[number % len(steps)] == "x":
            start = round(number * RATE_HZ / 8)
            signal[start : start + len(HIT)] += HIT
    return signal.astype(np.float32)


def test_loops_of_one_sample_stay_though_they_are_alike_a_note_later():
    loops = {"a": pattern("x---"), "b": pattern("-x--"), "c": pattern("--x-")}
    assert found(loops) == set()


def test_a_loop_that_is_in_another_is_not_left_out_but_kept_apart():
    assert found({"a": pattern("x---"), "b": pattern("x-x-")}) >= {("holds", "b", "a")}
    assert {kind for kind, *_ in found({"a": pattern("x---"), "b": pattern("x-x-")})} == {"holds"}


def test_the_two_sides_of_a_stem_stay_and_are_never_beside_the_stem():
    left, right = KEYS + 0.4 * VOICE, KEYS - 0.4 * VOICE
    result = relations([left, right, (left + right) / 2])
    assert "copy" not in {each.kind for each in result}
    assert related(result, 3) >= {(0, 2), (1, 2)}
    left, right = KEYS, VOICE
    assert found({"left": left, "right": right, "both": (left + right) / 2}) == {
        ("sum", "both", "left", "right")
    }


SUMS = {
    "bus": GUITAR + DRUMS,
    "inverted and softer": -0.3 * (GUITAR + DRUMS),
    "after an encoder": delayed(GUITAR + DRUMS, 551.4),
    "at other levels": 0.7 * GUITAR + 0.2 * DRUMS,
}


@pytest.mark.parametrize("kind", SUMS)
def test_a_bus_beside_its_parts_is_their_sum(kind: str):
    assert found(BAND | {"bus": SUMS[kind]}) == {("sum", "bus", "drums", "guitar")}


def test_a_mix_is_the_sum_of_all_even_of_what_is_quiet_in_it():
    mix = GUITAR + DRUMS + 0.5 * VOICE + 0.03 * KEYS
    assert found(BAND | {"mix": mix}) == {("sum", "mix", *sorted(BAND))}


def test_a_mix_through_a_limiter_is_kept_apart_from_all_of_its_parts():
    mix = np.tanh(6 * (GUITAR + DRUMS + VOICE)).astype(np.float32)
    signals = BAND | {"mix": mix}
    together = {("holds", "mix", name) for name in ("guitar", "drums", "voice")}
    assert together <= found(signals) or ("sum", "mix", "drums", "guitar", "voice") in found(
        signals
    )


def test_a_bus_that_holds_more_than_what_is_there_is_kept_apart():
    bus = GUITAR + DRUMS + played(6)
    assert found(BAND | {"bus": bus}) == {("holds", "bus", "drums"), ("holds", "bus", "guitar")}


def test_the_mix_of_a_song_whose_stem_is_there_twice_holds_both():
    signals = BAND | {"copy": 0.5 * GUITAR, "mix": GUITAR + KEYS + 0.5 * VOICE + DRUMS}
    result = relations(list(signals.values()))
    assert groups(result, 6) == [0, 1, 2, 3, 0, 5]
    # Each with the mix, and the two copies.
    assert related(result, 6) == {(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (0, 4)}


def test_stems_of_a_song_have_nothing_to_do_with_each_other():
    assert found(BAND | {"silent": silence(SECONDS), "empty": silence(0)}) == set()
