import math

import numpy as np
import pytest

from tasks.dsp import room
from tasks.dsp.level import rms_dbfs

RATE = 32_000


def drawn(signal, seed=0):
    return room.draw(np.random.default_rng(seed), signal, RATE)


def test_swapped_channels_in_a_room_need_swapped_microphones(music):
    parameters = drawn(music)
    result = room.room(music, RATE, **parameters)
    # The responses differ in their noise too, which belongs to the first and second microphone.
    responses = responses_of(parameters)
    for channel in range(2):
        expected = np.convolve(music[channel], responses[channel])[: music.shape[1]]
        assert np.allclose(result[channel], expected, atol=1e-5)


def responses_of(parameters):
    return room.impulse_responses(
        RATE,
        size_metres=parameters["size_metres"],
        rt60_seconds=parameters["rt60_seconds"],
        source_metres=parameters["source_metres"],
        microphones_metres=[parameters["left_metres"], parameters["right_metres"]],
        seed=parameters["seed"],
    )


def test_drawn_rooms_decay_in_their_time():
    for seed in range(30):
        parameters = drawn(np.zeros((1, 1)), seed)
        for response in responses_of(parameters):
            # Schroeder (1965): energy still to come, from 5 ms after the direct sound, which
            # is no part of the decay; a line from -5 to -25 dB (ISO 3382-1's T20).
            remaining = np.cumsum(response[RATE // 200 :][::-1] ** 2)[::-1]
            level_db = 10 * np.log10(remaining / remaining[0] + 1e-12)
            part = np.flatnonzero((level_db < -5) & (level_db > -25))
            slope = np.polyfit(part / RATE, level_db[part], 1)[0]
            assert -60 / slope == pytest.approx(parameters["rt60_seconds"], rel=0.15), seed


def test_drawn_rooms_hold_what_is_in_them():
    for seed in range(200):
        parameters = drawn(np.zeros((1, 1)), seed)
        size = np.array(parameters["size_metres"])
        source, left, right = (
            np.array(parameters[key]) for key in ("source_metres", "left_metres", "right_metres")
        )
        for place in (source, left, right):
            assert (place > 0.05).all()
            assert (place < size - 0.05).all()
        assert 0.25 < np.linalg.norm(source - (left + right) / 2) < 2.5
        assert 0.16 < np.linalg.norm(left - right) < 0.41
        assert np.linalg.norm(source - left) == pytest.approx(np.linalg.norm(source - right))


def test_direct_sound_is_not_delayed_and_energy_is_one():
    for seed in range(10):
        responses = responses_of(drawn(np.zeros((1, 1)), seed))
        assert np.argmax(np.abs(responses[:, :50]), axis=1).tolist() == [0, 0]
        assert np.mean(np.sum(responses**2, axis=1)) == pytest.approx(1)


def test_reflections_come_from_the_images():
    # One wall is near: 1 m behind the source, which is 1 m from the microphone. Its image is
    # 3 m away, a third as loud, less what the wall absorbs.
    place = {"size_metres": [30.0, 28.0, 26.0], "source_metres": [1.0, 14.0, 13.0]}
    response = room.impulse_responses(
        RATE, rt60_seconds=1.5, microphones_metres=[[2.0, 14.0, 13.0]], seed=0, **place
    )[0]
    delay = round(2.0 / 343.0 * RATE)
    volume, surface = 30 * 28 * 26, 2 * (30 * 28 + 28 * 26 + 26 * 30)
    absorbed = 1 - math.exp(-24 * math.log(10) / 343 * volume / (surface * 1.5))
    assert response[delay] / response[0] == pytest.approx(math.sqrt(1 - absorbed) / 3, rel=0.02)
    assert np.abs(response[1:delay]).max() < 0.001 * response[0]


def test_reverberation_has_the_share_of_the_energy_that_the_room_gives_it():
    # Critical distance (Kuttruff, Room Acoustics): at sqrt(A / 16 pi), both are equal; with
    # A = 55.3 V / (c T), of Sabine.
    size, rt60 = [7.0, 6.0, 3.5], 0.6
    distance = math.sqrt(55.3 * math.prod(size) / (343 * rt60) / (16 * math.pi))
    ratios = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        source = rng.uniform([2.0, 2.0, 1.2], [5.0, 4.0, 2.3])
        angle = rng.uniform(0, 2 * np.pi)
        microphone = source + distance * np.array([math.cos(angle), math.sin(angle), 0])
        response = room.impulse_responses(
            RATE,
            size_metres=size,
            rt60_seconds=rt60,
            source_metres=source.tolist(),
            microphones_metres=[microphone.tolist()],
            seed=seed,
        )[0]
        ratios.append(response[0] ** 2 / np.sum(response[1:] ** 2))
    assert 10 * math.log10(np.mean(ratios)) == pytest.approx(0.0, abs=1.5)


def test_room_keeps_the_level_of_noise():
    source = np.random.default_rng(0).standard_normal((2, 4 * RATE)).astype(np.float32)
    result = room.room(source, RATE, **drawn(source, 3))
    assert rms_dbfs(result) == pytest.approx(rms_dbfs(source), abs=0.5)
