"""Tempo and key of a song, for remixes of songs that fit together."""

from collections.abc import Iterable

import numpy as np

from tasks.audio import resampled
from tasks.track import Samples

MATCH_SECONDS = 300.0
"""As much of a song's middle is heard, and held whole."""


def tempo_and_key(
    blocks: Iterable[Samples], rate_hz: int, seconds: float
) -> tuple[float | None, int | None]:
    """Return the tempo in bpm and the key of a mono signal, None for what it has not.

    Keys are named by their major: C and A minor are 0, up to 11 by semitones.

    Parameters
    ----------
    blocks
        Of shape ``(1, n)``.
    rate_hz, seconds
        Rate and length of the signal.
    """
    from tasks.dsp.filterbanks import mel_centres_hz
    from tasks.dsp.key import PITCH_CLASSES, find_key_and_chords
    from tasks.dsp.rhythm import RATE_HZ, find_beats
    from tasks.dsp.spectral import HOP_SAMPLES, N_MELS, frame_features
    from tasks.dsp.tonal import constant_q, find_notes

    first = max(0.0, (seconds - MATCH_SECONDS) / 2)
    signal = _part(resampled(blocks, rate_hz, RATE_HZ, 1), first, MATCH_SECONDS, RATE_HZ)
    if len(signal) < HOP_SAMPLES or not signal.any():
        return None, None
    mel_db = frame_features([signal], RATE_HZ).mel_db
    beats = find_beats(mel_db, mel_centres_hz(RATE_HZ, N_MELS), HOP_SAMPLES / RATE_HZ)
    tempo_bpm = None if beats is None else beats.tempo_bpm
    key, _ = find_key_and_chords(find_notes(constant_q([signal], RATE_HZ)))
    if key is None:
        return tempo_bpm, None
    relative = 0 if key.mode == "major" else 3
    return tempo_bpm, (PITCH_CLASSES.index(key.tonic) + relative) % 12


def _part(blocks: Iterable[Samples], first_seconds: float, seconds: float, rate_hz: int) -> Samples:
    """Return a part of a mono signal, shape ``(n,)``, of which the rest is let go."""
    start = round(first_seconds * rate_hz)
    end = start + round(seconds * rate_hz)
    kept: list[Samples] = []
    position = 0
    for block in blocks:
        kept.append(block[0, max(0, start - position) : max(0, end - position)])
        position += block.shape[1]
    return np.concatenate(kept) if kept else np.zeros(0, np.float32)
