"""What a prompt can say of a segment: measurements in words, each with the columns it rests on."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.pieces import Piece, listed, measured
from tasks.song import artist_names

# Musicians' words for tempo, after the customary bounds of Largo, Adagio, Andante,
# Allegro and Presto on a metronome.
TEMPO_WORDS = (
    (60.0, ("very slow",)),
    (76.0, ("slow", "unhurried")),
    (100.0, ("relaxed-tempo", "moderate")),
    (120.0, ("mid-tempo", "medium-tempo")),
    (140.0, ("upbeat", "brisk")),
    (168.0, ("fast", "quick")),
    (math.inf, ("very fast",)),
)
# Upper bounds in dBFS of a segment's mean frame RMS: steps of 7 to 10 dB, a doubling of
# loudness, downwards from -15, near which mastered pop lies. A convention of this step.
LEVELS = (
    (-60.0, "silent"),
    (-32.0, "quiet"),
    (-22.0, "soft"),
    (-15.0, "medium"),
    (math.inf, "loud"),
)
LEVEL_WORDS = {
    "silent": ("near silence", "almost silent"),
    "quiet": ("very quiet", "barely audible"),
    "soft": ("soft", "quiet"),
    "medium": ("moderately loud", "at medium volume"),
    "loud": ("loud", "at full volume"),
}
FAST_BPM = 120.0
SLOW_BPM = 84.0
# (level, pace) -> character.
CHARACTERS = {
    ("quiet", "slow"): ("gentle", "delicate", "hushed"),
    ("quiet", "medium"): ("gentle", "delicate", "understated"),
    ("quiet", "fast"): ("light", "nimble", "delicate"),
    ("soft", "slow"): ("calm", "gentle", "mellow"),
    ("soft", "medium"): ("gentle", "mellow", "easygoing"),
    ("soft", "fast"): ("light", "bouncy", "lively"),
    ("medium", "slow"): ("laid-back", "steady", "relaxed"),
    ("medium", "medium"): ("steady", "grooving", "flowing"),
    ("medium", "fast"): ("lively", "spirited", "energetic"),
    ("loud", "slow"): ("heavy", "powerful", "weighty"),
    ("loud", "medium"): ("driving", "powerful", "full"),
    ("loud", "fast"): ("energetic", "intense", "driving"),
    # Without a beat nothing that moves to one.
    ("quiet", None): ("gentle", "delicate", "understated"),
    ("soft", None): ("gentle", "mellow", "calm"),
    ("loud", None): ("powerful", "full"),
}
# Upper bounds in Hz of a segment's mean spectral centroid; a convention of this step.
BRIGHTNESS_WORDS = (
    (1100.0, ("dark", "deep")),
    (1800.0, ("warm", "rounded")),
    (3000.0, ()),
    (4200.0, ("bright", "clear")),
    (math.inf, ("crisp", "very bright")),
)
SECTION_NAMES = {"inst": "instrumental passage", "solo": "instrumental solo"}
VOCAL_WORDS = ("with vocals", "featuring vocals", "with a lead vocal")
VOICE_WORDS = ("with {} vocals", "featuring {} vocals", "with a {} lead vocal")
VOICES = {"female vocals": "female", "male vocals": "male"}
"""Of a track in which one of both is heard; where both are, a segment may have either."""
INSTRUMENTAL_WORDS = ("instrumental", "without vocals", "no vocals")
MAX_TAG_CHARACTERS = 40

Chooser = Callable[[str, Sequence[Any]], Any]
"""Picks one of several equivalent words; an empty text if there is none."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of one segment; empty pieces for what is not."""

    section: Piece
    genre: Piece
    character: Piece
    tempo: Piece
    bpm: Piece
    key: Piece
    level: Piece
    brightness: Piece
    mood: Piece
    instruments: Piece
    vocals: Piece


def describe(
    metadata: Mapping[str, str],
    heard: Mapping[str, Sequence[str]],
    features: Mapping[str, Any],
    harmony: Mapping[str, Any],
    means: Mapping[str, Any],
    label: str,
    vocals: bool | None,
    choose: Chooser,
) -> Traits:
    """Turn measurements into words.

    Parameters
    ----------
    metadata
        The track's metadata; ``genre``, ``mood`` and ``instruments`` are used.
    heard
        The track's tags by kind, from :func:`tasks.song.confident_tags.by_kind`; used where the
        metadata say nothing.
    features
        Row of the step `features`; ``tempo_bpm`` is used.
    harmony
        Row of the step `harmony`; ``tonic`` and ``mode`` are used.
    means
        Means over the segment, from :func:`tasks.song.segments.segment_means`.
    label
        The section's label.
    vocals
        Whether the segment has vocals; None if unknown.
    choose
        Picks one of several equivalent words.
    """
    tempo_bpm = features.get("tempo_bpm")
    level = _level(means["rms"])
    pace = None
    if tempo_bpm is not None:
        pace = "fast" if tempo_bpm >= FAST_BPM else "slow" if tempo_bpm < SLOW_BPM else "medium"
    centroid_hz = means["spectral_centroid_hz"] if level != "silent" else None
    key = " ".join(part for part in (harmony.get("tonic"), harmony.get("mode")) if part)
    artist = metadata.get("artist", "")

    def told(name: str) -> list[Piece]:
        given = [_tag(each, artist) for each in metadata.get(name, "").split(",")]
        return [measured(text, name) for text in given if text]

    def tagged(kind: str) -> list[Piece]:
        return [measured(tag, "tags") for tag in heard.get(kind, ())]

    return Traits(
        section=measured(SECTION_NAMES.get(label, label), "section_type"),
        genre=_first(
            [measured(_tag(metadata.get("genre", ""), artist), "genre"), *tagged("genre")]
        ),
        character=measured(
            choose("character", CHARACTERS.get((level, pace), ())),
            *("rms", "tempo")[: 1 if pace is None else 2],
        ),
        tempo=measured(choose("tempo", _band(TEMPO_WORDS, tempo_bpm)), "tempo"),
        bpm=measured("" if tempo_bpm is None else f"{tempo_bpm:.0f} BPM", "tempo"),
        key=measured(key if harmony.get("tonic") else "", "dominant_key", "mode"),
        level=measured(choose("level", LEVEL_WORDS.get(level, ())), "rms"),
        brightness=measured(
            choose("brightness", _band(BRIGHTNESS_WORDS, centroid_hz)), "spectral_centroid"
        ),
        mood=_first(told("mood") or tagged("mood")),
        instruments=listed((told("instruments") or tagged("instrument"))[:3]),
        vocals=Piece() if level == "silent" else _vocals(vocals, heard, label, choose),
    )


def _vocals(
    vocals: bool | None, heard: Mapping[str, Sequence[str]], label: str, choose: Chooser
) -> Piece:
    if vocals is None or (not vocals and label in SECTION_NAMES):
        return Piece()  # unknown, or said already by the section's name
    found = [VOICES[tag] for tag in heard.get("voice", ()) if tag in VOICES]
    if vocals and len(found) == 1:
        return measured(choose("vocals", VOICE_WORDS).format(*found), "has_vocals", "tags")
    return measured(choose("vocals", VOCAL_WORDS if vocals else INSTRUMENTAL_WORDS), "has_vocals")


def _first(pieces: Sequence[Piece]) -> Piece:
    return next((piece for piece in pieces if piece.text), Piece())


def _level(rms: float | None) -> str:
    if rms is None:
        return ""
    level_db = 20.0 * math.log10(max(rms, 1e-9))
    return next(name for bound, name in LEVELS if level_db < bound)


def _band(bands: Sequence[tuple[float, Sequence[str]]], value: float | None) -> Sequence[str]:
    if value is None:
        return ()
    return next(words for bound, words in bands if value < bound)


def _tag(value: str, artist: str) -> str:
    """Return a word or two from the user's tables, in lower case unless an abbreviation.

    The tables come from anywhere: what is not a letter, a digit or common punctuation
    is dropped, and so is a tag that names the artist.
    """
    if artist_names.names(artist, value):
        return ""
    text = re.sub(r"[^\w\s&'/+.-]", " ", value).replace("_", " ")
    text = re.sub(r"\s+", " ", text).strip()[:MAX_TAG_CHARACTERS].strip()
    return re.sub(r"\b[A-Z][a-z]+\b", lambda word: word[0].lower(), text)
