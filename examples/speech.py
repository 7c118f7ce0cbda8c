"""Words spoken by espeak-ng, whose library comes with a Python package."""

import ctypes
import itertools
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np
import numpy.typing as npt

SPEECH_RATE_HZ = 22_050
SPEECH_F0_HZ = 76.0  # measured with the parameters given in speak()
_MAX_ONSET_SECONDS = 0.14

# Phoneme mnemonics of espeak-ng's English.
_VOWEL_INITIALS = frozenset("aAeEiIoOuUV@03")
_UNVOICED = frozenset({"p", "t", "k", "f", "T", "s", "S", "tS", "h", "?", "t#", "C", "x"})
_VOICED_FRICATIVES = frozenset({"v", "D", "z", "Z", "dZ"})

Mono = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Phoneme:
    """One phoneme of a spoken word, in espeak-ng's mnemonics."""

    name: str
    start_seconds: float
    end_seconds: float

    @property
    def is_vowel(self) -> bool:
        """Whether it carries a syllable, and so a note."""
        return self.name[0] in _VOWEL_INITIALS

    @property
    def periodic_below_hz(self) -> float:
        """Frequency below which it is periodic, and noise above; 0 when unvoiced."""
        if self.name in _UNVOICED:
            return 0.0
        return 1000.0 if self.name in _VOICED_FRICATIVES else 6000.0


@dataclass(frozen=True)
class SpokenWord:
    """A word as espeak-ng says it: samples at 22.05 kHz, and its phonemes."""

    samples: Mono
    phonemes: tuple[Phoneme, ...]

    @property
    def syllables(self) -> int:
        """Number of vowels."""
        return sum(phoneme.is_vowel for phoneme in self.phonemes)

    @property
    def onset_seconds(self) -> float:
        """Length of the consonants before the first vowel, when sung."""
        first = next(phoneme for phoneme in self.phonemes if phoneme.is_vowel)
        return min(first.start_seconds - self.phonemes[0].start_seconds, _MAX_ONSET_SECONDS)


def speak(words: Sequence[str], voice: str = "en-us") -> dict[str, SpokenWord]:
    """Words spoken by espeak-ng on one pitch.

    The library keeps oscillator phases between calls. A fresh copy of it is
    loaded every time, so that the same words always sound the same; voice
    variants with an echo (``+f2``) read uninitialised memory and do not.

    Raises
    ------
    RuntimeError
        When espeak-ng does not start or does not know the voice.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(espeakng_loader.get_library_path()).name
        shutil.copy(espeakng_loader.get_library_path(), copy)
        library = ctypes.CDLL(str(copy))
    # 2: synchronous, samples to the callback; 1: phoneme events; 0x8000: on
    # failure return instead of ending the process.
    data_path = espeakng_loader.get_data_path().encode()
    if library.espeak_Initialize(2, 0, data_path, 1 | 0x8000) != SPEECH_RATE_HZ:
        raise RuntimeError("espeak-ng did not start")
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {voice!r}")
    for parameter, value in ((1, 110), (3, 35), (4, 0)):  # words per minute, pitch, pitch range
        library.espeak_SetParameter(parameter, value, 0)

    samples: list[npt.NDArray[np.int16]] = []
    starts: list[tuple[int, str]] = []

    def collect(wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_LIST_END:
            if events[index].type == _EVENT_PHONEME:
                name = events[index].phoneme.decode().strip("',%=")
                starts.append((events[index].sample, name))
            index += 1
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    spoken = {}
    for word in dict.fromkeys(words):
        samples.clear()
        starts.clear()
        text = word.encode()
        library.espeak_Synth(text, len(text) + 1, 0, 1, 0, 1, None, None)  # 1: by characters, UTF-8
        spoken[word] = _spoken_word(np.concatenate(samples), starts)
    library.espeak_Terminate()
    return spoken


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of espeak-ng's speak_lib.h; `phoneme` is a member of its union."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("phoneme", ctypes.c_char * 8),
    )


_EVENT_LIST_END = 0
_EVENT_PHONEME = 7
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def _spoken_word(samples: npt.NDArray[np.int16], starts: list[tuple[int, str]]) -> SpokenWord:
    """Phonemes from the positions where they start; pauses (``_``) only end the last one."""
    phonemes = tuple(
        Phoneme(name, start / SPEECH_RATE_HZ, end / SPEECH_RATE_HZ)
        for (start, name), (end, _) in itertools.pairwise(starts)
        if not name.startswith("_")
    )
    return SpokenWord(samples.astype(np.float32) / 32768.0, phonemes)
