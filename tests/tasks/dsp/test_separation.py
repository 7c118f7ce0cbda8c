import numpy as np
import pytest

from tasks.dsp import separation
from tasks.dsp.separation import (
    accompaniment_share,
    separate_blocks,
    separate_vocals,
    similar_frames,
    similarity_features,
)

RATE = 44_100


def tone(frequency_hz, seconds, amplitude=0.2):
    time = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def loop(seconds=16.0):
    """Four chords and a click, two seconds in all, again and again; wide stereo."""
    rng = np.random.default_rng(0)
    bar = np.zeros((2, 2 * RATE), np.float32)
    for beat, root in enumerate((220.0, 293.7, 246.9, 329.6)):
        start = beat * RATE // 2
        for partial in (1, 1.26, 1.5):
            for channel, gain in enumerate((1.0, 0.6) if partial > 1 else (0.6, 1.0)):
                bar[channel, start : start + RATE // 2] += gain * tone(root * partial, 0.5, 0.08)
        click = rng.standard_normal(2000) * np.exp(-np.arange(2000) / 300)
        bar[:, start : start + 2000] += (0.2 * click).astype(np.float32)
    return np.tile(bar, (1, round(seconds / 2)))


def voice(seconds=16.0):
    """Gliding harmonic phrases in the centre that never come again, with pauses."""
    time = np.arange(round(seconds * RATE)) / RATE
    f0 = 180 * 2 ** (time / seconds + 0.02 * np.sin(2 * np.pi * 5.5 * time))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    signal = sum(np.sin(k * phase) / k for k in range(1, 12))
    phrases = np.clip(10 * np.sin(2 * np.pi * time / 2.9), 0, 1)
    mono = (0.1 * phrases * signal).astype(np.float32)
    return np.stack([mono, mono])


def si_sdr_db(estimate, reference):
    estimate, reference = (np.ravel(x).astype(np.float64) for x in (estimate, reference))
    target = estimate @ reference / (reference @ reference) * reference
    return 10 * np.log10(target @ target / np.sum((estimate - target) ** 2))


def gain_db(mix, vocals):
    return si_sdr_db(separate_vocals(mix, RATE), vocals) - si_sdr_db(mix, vocals)


def as_mono(stereo):
    return np.repeat(stereo.mean(axis=0, keepdims=True), 2, axis=0)


def test_voice_is_found_over_a_loop():
    assert gain_db(loop() + voice(), voice()) > 10


def test_repetition_alone_separates_mono():
    assert gain_db(as_mono(loop()) + voice(), voice()) > 6


def test_a_loop_without_a_voice_is_silenced():
    vocals = separate_vocals(loop(), RATE)
    assert np.sum(vocals**2) < 0.05 * np.sum(loop() ** 2)


def test_what_sounds_on_one_side_only_is_silenced():
    # Too short for repetition: the position decides alone.
    left = np.stack([tone(440, 1.0), np.zeros(RATE, np.float32)])
    assert np.sum(separate_vocals(left, RATE) ** 2) < 0.05 * np.sum(left**2)


def test_a_solo_voice_is_kept():
    solo = voice()
    assert si_sdr_db(separate_vocals(solo, RATE), solo) > 20


def test_a_solo_voice_that_repeats_itself_is_kept():
    solo = np.tile(voice(2.9), (1, 5))
    assert si_sdr_db(separate_vocals(solo, RATE), solo) > 20


def test_bass_is_silenced_and_the_middle_kept_without_change():
    mono = tone(50, 2.0) + tone(1000, 2.0)
    vocals = separate_vocals(np.stack([mono, mono]), RATE)
    # At its very ends the tone is a click, with energy at every frequency.
    inner = slice(RATE // 5, -RATE // 5)
    assert np.abs(vocals - tone(1000, 2.0))[:, inner].max() < 0.002


@pytest.mark.parametrize("samples", [1, 100, 1535, 4608, 40_000])
@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_short_signals_keep_their_length(samples, rate_hz):
    noise = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    vocals = separate_vocals(noise, rate_hz)
    assert vocals.shape == noise.shape
    assert vocals.dtype == np.float32
    assert np.isfinite(vocals).all()


def test_silence_stays_silence():
    assert not separate_vocals(np.zeros((2, 5 * RATE), np.float32), RATE).any()


def test_a_read_only_mix_is_not_changed():
    mix = loop(4.0)
    before = mix.copy()
    mix.setflags(write=False)
    separate_vocals(mix, RATE)
    assert np.array_equal(mix, before)


def test_a_mask_of_ones_changes_nothing(monkeypatch):
    # Across blocks, on different channels; both ends are whole too.
    monkeypatch.setattr(separation, "BLOCK_SECONDS", 2.1)
    mix = loop(8.0)
    passed = separate_vocals(mix, RATE, mask=lambda mid, side, rate_hz, hop: np.ones_like(mid))
    assert np.abs(passed - mix).max() < 1e-5


@pytest.mark.parametrize(
    ("seconds", "block_seconds"),
    [
        (2.0, [2.0]),
        (3.2, [1.6, 1.6]),
        (5.5, [2.75, 2.75]),
        (6.5, [3.0, 1.75, 1.75]),
        (13.0, [3.0, 3.0, 3.0, 2.0, 2.0]),
    ],
)
def test_blocks_of_a_long_track_are_neither_long_nor_tiny(monkeypatch, seconds, block_seconds):
    found = []

    def record(mid, side, rate_hz, hop):
        found.append(len(mid) * hop / rate_hz)
        return np.ones_like(mid)

    monkeypatch.setattr(separation, "BLOCK_SECONDS", 3.0)
    separate_vocals(loop(14.0)[:, : round(seconds * RATE)], RATE, mask=record)
    # The windows at the ends reach beyond the track, by three hops of 35 ms at most.
    assert found == pytest.approx(block_seconds, abs=0.105)


def test_nothing_sounds_beyond_the_end_of_a_long_track(monkeypatch):
    loudest = []

    def record(mid, side, rate_hz, hop):
        loudest.append(mid[-1].max())
        return np.ones_like(mid)

    monkeypatch.setattr(separation, "BLOCK_SECONDS", 3.0)
    mix = loop(10.0)
    mix[:, -RATE // 5 :] = 0.0
    separate_vocals(mix, RATE, mask=record)
    assert min(loudest[:-1]) > 0
    assert loudest[-1] == 0


@pytest.mark.parametrize("samples", [1, 4096, 1_000_000])
def test_the_pieces_of_the_mix_do_not_matter(monkeypatch, samples):
    monkeypatch.setattr(separation, "BLOCK_SECONDS", 3.0)
    mix = (loop(8.0) + voice(8.0))[:, : 4096 if samples == 1 else None]
    pieces = (mix[:, start : start + samples] for start in range(0, mix.shape[1], samples))
    vocals = np.concatenate(list(separate_blocks(pieces, RATE)), axis=1)
    np.testing.assert_array_equal(vocals, separate_vocals(mix, RATE))


def test_a_stream_is_separated_while_it_comes(monkeypatch):
    monkeypatch.setattr(separation, "BLOCK_SECONDS", 2.0)
    read = 0

    def pieces():
        nonlocal read
        for second in range(14):
            read += 1
            yield loop(2.0)[:, :RATE] * (second + 1)

    given = 0
    for piece in separate_blocks(pieces(), RATE):
        given += piece.shape[1]
        # Two blocks ahead, and the second that completes them.
        assert read * RATE - given <= 5.2 * RATE + separation._PIECE_SAMPLES
    assert given == 14 * RATE


def test_neighbours_are_the_most_similar_frames_outside_the_excluded_range():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((700, 8)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features = np.trunc(features * 4096) / np.float32(4096)
    chosen = similar_frames(features, 5, 20)
    similarity = features @ features.T
    for frame in range(700):
        row = similarity[frame].copy()
        row[max(frame - 19, 0) : frame + 20] = -2
        expected = [frame, *np.argsort(-row, kind="stable")[:4]]
        assert chosen[frame].tolist() == expected


def test_similarity_is_exact_whatever_the_order_of_summation():
    rng = np.random.default_rng(0)
    magnitudes = rng.random((300, 2305)).astype(np.float32)
    features = similarity_features(magnitudes, magnitudes[::-1].copy(), RATE)
    exact = features.astype(np.float64) @ features.T.astype(np.float64)
    assert np.array_equal(features @ features.T, exact.astype(np.float32))
    assert np.array_equal(exact, exact.astype(np.float32))
    assert np.linalg.norm(features, axis=1).max() <= 1


def test_accompaniment_is_what_sounds_through_the_pauses():
    level = np.where(np.arange(1000) % 100 < 70, 1.0, 0.01)[:, None].astype(np.float32)
    magnitudes = np.repeat(level, 10, axis=1)
    assert accompaniment_share(magnitudes, 0.035) == 0.0
    assert accompaniment_share(magnitudes + np.float32(0.3), 0.035) == 1.0
    assert accompaniment_share(np.zeros_like(magnitudes), 0.035) == 0.0
