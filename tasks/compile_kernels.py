"""Compilation of the kernels ahead of their first use, once per installation.

Numba compiles a function when it is first called, and keeps the result beside its
source. Without it there, every process that begins together compiles for itself:
some ten seconds of CPU each. ``python -m tasks.compile_kernels`` compiles all of them.
"""

import numpy as np

from tasks.audio.measures import Measurement
from tasks.dsp.bar_pointer import decode_bars
from tasks.dsp.envelope import compress
from tasks.dsp.filterbanks import mel_centres_hz
from tasks.dsp.key import find_key_and_chords
from tasks.dsp.planes import place, place_and_add
from tasks.dsp.pyin import pyin
from tasks.dsp.rhythm import find_beats
from tasks.dsp.salience import N_BINS, decode_salience
from tasks.dsp.separation import separate_vocals
from tasks.dsp.spectral import N_MELS, frame_features
from tasks.dsp.stretch import stretch
from tasks.dsp.tonal import constant_q, find_notes

RATE_HZ = 16_000
SECONDS = 4


def compile_kernels() -> None:
    """Call what uses kernels, with the types that the steps call it with."""
    # Clicks in noise: what looks for beats gives up on noise alone before its kernel.
    random = np.random.default_rng(0)
    mono = 0.05 * random.standard_normal(SECONDS * RATE_HZ, np.float32)
    mono[:: RATE_HZ // 2] = 1
    stereo = np.stack([mono, mono[::-1]])
    for signal in (mono[None], stereo):
        # As decoders leave it: frames one after the other.
        frames = np.ascontiguousarray(signal.T)
        Measurement(RATE_HZ, len(signal)).take([frames.T]).levels()
        # As files are mapped: not to be written to.
        integers = np.frombuffer((frames * 1000).astype(np.int16).tobytes(), np.int16)
        planes = integers.reshape(frames.shape)
        place(planes, 1.0, False, np.empty_like(signal))
        place_and_add(planes, 1.0, False, np.empty_like(signal), np.zeros_like(signal))
    found = frame_features([mono], RATE_HZ)
    find_beats(found.mel_db, mel_centres_hz(RATE_HZ, N_MELS), found.hop_seconds)
    find_key_and_chords(find_notes(constant_q([mono], RATE_HZ)))
    decode_bars(random.random((200, 2), np.float32), 50, (2,))
    pyin([mono], fmin_hz=80, fmax_hz=800, rate_hz=RATE_HZ)
    salience = random.random((8, N_BINS), np.float32)
    decode_salience([salience], len(salience), fmin_hz=80, fmax_hz=800)
    separate_vocals(stereo, RATE_HZ)
    stretch(stereo, RATE_HZ, 1.1)
    compress(
        stereo,
        RATE_HZ,
        threshold_dbfs=-20.0,
        ratio=4.0,
        knee_db=6.0,
        attack_seconds=0.01,
        release_seconds=0.1,
    )


if __name__ == "__main__":
    compile_kernels()
