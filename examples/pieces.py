"""Short songs for corpora of texts: what is said of each follows from its sound.

A piece is some stems of a synthesised song, darkened, brightened or neither. From that follow its
instruments, whether there is a voice, its mood, its genre and its speed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy.signal import butter, sosfilt

from examples.band import Stereo
from examples.songs import make_song
from examples.voice import RATE_HZ

INSTRUMENTS = {"chords": "synthesizer", "bass": "bass", "drums": "drums"}
COLOURS = {"dark": ("lowpass", 900.0), "plain": None, "bright": ("highpass", 700.0)}
SLOW_BPM, FAST_BPM = 95.0, 125.0

COMMON_ARTIST = "The Everywhere Band"
"""Artist of the second piece of every corpus, also of those that have no song in common."""

LEAST_PEAK = 0.02
"""Stems that are not louder are not heard, and nothing is said of them."""

OTHER_GAIN = np.float32(10 ** (-3 / 20))

FIRST_JAMENDO_ID = 1_000_000


@dataclass(frozen=True)
class Piece:
    """A short song, and all that is true of it.

    Attributes
    ----------
    number
        Decides everything of it; two corpora that have a number have one recording.
    has_other_names
        Whether the corpus calls the song and its artist otherwise than the others do.
    tempo_bpm, key, metre, sections
        As :class:`~tasks.corpora.captioned.entry.Measured` has them.
    stems
        What is played and sung: some of drums, bass, chords and vocals.
    mix
        (2, samples) at 44.1 kHz, the sum of the stems.
    """

    number: int
    index: int
    has_other_names: bool
    tempo_bpm: float
    key: str
    metre: str
    colour: str
    stems: dict[str, Stereo] = field(repr=False)

    @property
    def mix(self) -> Stereo:
        """Sum of the stems; softer under other names, so that its bytes are not the same."""
        gain = OTHER_GAIN if self.has_other_names else np.float32(1)
        return gain * np.sum(list(self.stems.values()), axis=0, dtype=np.float32)

    @property
    def duration_seconds(self) -> float:
        """Length of the mix."""
        return next(iter(self.stems.values())).shape[1] / RATE_HZ

    @property
    def instruments(self) -> list[str]:
        """What plays, as it reads behind "featuring"."""
        return [name for stem, name in INSTRUMENTS.items() if stem in self.stems]

    @property
    def has_vocals(self) -> bool:
        """Whether somebody sings."""
        return "vocals" in self.stems

    @property
    def mood(self) -> str:
        """By the colour of the sound, else by the mode of the key."""
        if self.colour != "plain":
            return self.colour
        return "happy" if self.key.endswith("major") else "sad"

    @property
    def speed(self) -> str:
        """By the tempo."""
        if self.tempo_bpm < SLOW_BPM:
            return "slow"
        return "fast" if self.tempo_bpm >= FAST_BPM else "medium"

    @property
    def genre(self) -> str:
        """By the drums and the tempo."""
        if "drums" not in self.stems:
            return "Ambient"
        return {"slow": "Downtempo", "medium": "Synth-Pop", "fast": "Techno"}[self.speed]

    @property
    def title(self) -> str:
        """A name that no other piece has."""
        return f"{'Alias' if self.has_other_names else 'Piece'} {self.number}"

    @property
    def artist_number(self) -> int:
        """The same for the second piece of every corpus; else two pieces of a corpus share one."""
        return 7 if self.index == 1 else 100 + self.number // 2

    @property
    def artist(self) -> str:
        """Name of the artist."""
        if self.index == 1:
            return COMMON_ARTIST
        kind = "Pseudonym" if self.has_other_names else "Artist"
        return f"{kind} {self.artist_number}"

    @property
    def jamendo_id(self) -> int:
        """Id at Jamendo, the same in all corpora that take their songs from there."""
        return FIRST_JAMENDO_ID + self.number

    @property
    def caption(self) -> str:
        """A sentence that is true of the sound."""
        article = "An" if self.mood[0] in "aeiou" else "A"
        with_whom = _listed(self.instruments + (["a voice"] if self.has_vocals else []))
        return f"{article} {self.mood} {self.genre.lower()} track with {with_whom}."

    @property
    def other_caption(self) -> str:
        """Another one, which names key and speed."""
        voice = "someone sings" if self.has_vocals else "nobody sings"
        return f"Music at a {self.speed} tempo in {self.key}, in which {voice}."


def make_piece(number: int, index: int, seconds: float, has_other_names: bool = False) -> Piece:
    """Make a piece.

    Parameters
    ----------
    number
        Decides everything.
    index
        Its place in the corpus.
    seconds
        Length; no longer than the shortest song, some seven seconds.
    has_other_names
        As :class:`Piece` has it.
    """
    tempo_bpm, key, metre, colour, stems = _played(number, seconds)
    return Piece(number, index, has_other_names, tempo_bpm, key, metre, colour, stems)


@lru_cache(maxsize=8)
def _played(number: int, seconds: float) -> tuple[float, str, str, str, dict[str, Stereo]]:
    """Tempo, key, metre, colour and stems of a piece; kept, since corpora share the first ones."""
    rng = np.random.default_rng(number)
    song = make_song(number, seconds=seconds, structure=("chorus",))
    # Half a second later, where the singer has begun.
    first, samples = RATE_HZ // 2, round(seconds * RATE_HZ)
    heard = {name: stem[:, first : first + samples] for name, stem in song.stems.items()}
    heard = {name: stem for name, stem in heard.items() if np.abs(stem).max() > LEAST_PEAK}
    names = sorted(heard)
    chosen = [name for name in names if rng.random() < 0.6] or [names[rng.integers(len(names))]]
    colour = list(COLOURS)[rng.integers(len(COLOURS))]
    stems = {name: _coloured(heard[name], colour) for name in chosen}
    return song.tempo_bpm, f"{song.key} {song.mode}", song.metre, colour, stems


def make_pieces(
    first: int, count: int, seconds: float, shared: int = 0, has_other_names: bool = False
) -> Iterator[Piece]:
    """Make the pieces of a corpus, of which the first `shared` are those of all corpora.

    Parameters
    ----------
    first
        Number of the first piece that is the corpus' own.
    count, shared, seconds
        How many pieces, how many of them are shared, and how long they are.
    has_other_names
        Whether the corpus calls shared pieces otherwise.
    """
    for index in range(count):
        is_shared = index < shared
        number = index if is_shared else first + index
        yield make_piece(number, index, seconds, has_other_names and is_shared)


def _coloured(stem: Stereo, colour: str) -> Stereo:
    band = COLOURS[colour]
    if band is None:
        return stem
    kind, edge_hz = band
    return sosfilt(butter(4, edge_hz, kind, fs=RATE_HZ, output="sos"), stem).astype(np.float32)


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
