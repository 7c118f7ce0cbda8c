"""Spoken words for Whisper, with pauses between them."""

import numpy as np
import soxr

from examples.speech import SPEECH_RATE_HZ, speak
from models.whisper_windows import RATE_HZ

TEXT = "the river runs below the mountain where nobody ever wanted to remember my name"


def voice(seconds, seed=0):
    """Lines of spoken words in random order, with pauses of 1 to 3 s between them."""
    rng = np.random.default_rng(seed)
    words = TEXT.split()
    spoken = speak(words)
    pieces, samples = [], 0
    while samples < seconds * SPEECH_RATE_HZ:
        pieces += [spoken[word].samples for word in rng.permutation(words)[:7]]
        pieces.append(np.zeros(int(rng.uniform(1, 3) * SPEECH_RATE_HZ), np.float32))
        samples = sum(map(len, pieces))
    signal = soxr.resample(np.concatenate(pieces), SPEECH_RATE_HZ, RATE_HZ)
    return signal[: round(seconds * RATE_HZ)].astype(np.float32)
