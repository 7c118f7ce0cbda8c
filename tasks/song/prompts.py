"""One text prompt per segment, put together from what the other steps measured.

"Gentle indie-rock intro, 96 BPM, A major, soft, with vocals": genre, section, tempo,
key, level, brightness and the presence of vocals, as far as they are known. The
artist's name never enters a prompt: a model that learns it can be asked to imitate a
living person. Titles and lyrics, which identify the song as well, stay out too.
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.song import voices
from tasks.song.segments import segment_means, vocals_heard
from tasks.step import Row, Step, StepConfig, Tools, Track, column, per_track

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
INSTRUMENTAL_WORDS = ("instrumental", "without vocals", "no vocals")
MAX_TAG_CHARACTERS = 40


class PromptsConfig(StepConfig):
    """The template has no options; a change of its words is a new version of the step."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of one segment; empty strings for what is not."""

    section: str
    genre: str = ""
    character: str = ""
    tempo: str = ""
    bpm: str = ""
    key: str = ""
    level: str = ""
    brightness: str = ""
    mood: str = ""
    instruments: str = ""
    vocals: str = ""


def run(
    track: Track, upstream: Mapping[str, Row | None], config: PromptsConfig, tools: Tools
) -> Row:
    """Prompts of a track, one per segment and in the segments' order."""
    features, harmony = upstream["features"], upstream["harmony"]
    sections = upstream["sections"]
    assert features is not None
    assert harmony is not None
    assert sections is not None
    prompts = []
    spans = zip(sections["start_seconds"], sections["end_seconds"], sections["label"], strict=True)
    for index, (start, end, label) in enumerate(spans):
        # Reproducible variety: the words depend on the track and the segment alone.
        choose = _chooser(f"{track.track_id}/{index}")
        vocals = _has_vocals(upstream, start, end, label)
        means = segment_means(features, start, end)
        traits = describe(track.metadata, features, harmony, means, label, vocals, choose)
        prompts.append(choose("phrasing", PHRASINGS)(traits))
    return {"prompt": prompts}


def _has_vocals(
    upstream: Mapping[str, Row | None], start: float, end: float, label: str
) -> bool | None:
    """Return whether a segment surely has vocals; None if that cannot be told, or it is speech."""
    if "activity" not in upstream:
        return vocals_heard(upstream.get("separate"), upstream.get("lyrics"), start, end, label)
    activity = upstream["activity"]
    sung = voices.has_vocals(activity, upstream.get("lyrics"), start, end)
    return None if activity and activity["content"] == "speech" and not sung else sung


Chooser = Callable[[str, Sequence[Any]], Any]


def describe(
    metadata: Mapping[str, str],
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
    return Traits(
        section=SECTION_NAMES.get(label, label),
        genre=_tag(metadata.get("genre", ""), artist),
        character=choose("character", CHARACTERS.get((level, pace), ())),
        tempo=choose("tempo", _band(TEMPO_WORDS, tempo_bpm)),
        bpm="" if tempo_bpm is None else f"{tempo_bpm:.0f} BPM",
        key=key if harmony.get("tonic") else "",
        level=choose("level", LEVEL_WORDS.get(level, ())),
        brightness=choose("brightness", _band(BRIGHTNESS_WORDS, centroid_hz)),
        mood=_tag(metadata.get("mood", "").partition(",")[0], artist),
        instruments=_listed(
            [_tag(name, artist) for name in metadata.get("instruments", "").split(",")][:3]
        ),
        vocals="" if level == "silent" else _vocals(vocals, label, choose),
    )


def _tagged(traits: Traits) -> str:
    """`Gentle indie-rock intro, 96 BPM, A major, soft, with vocals`."""
    return _sentence(
        [traits.character, traits.genre, traits.section],
        [traits.bpm, traits.key, traits.level, traits.brightness, *_colour(traits), traits.vocals],
    )


def _flowing(traits: Traits) -> str:
    """Return `A gentle, mid-tempo indie-rock intro in A major at 96 BPM, warm, with vocals`."""
    adjectives = ", ".join(word for word in (traits.character, traits.tempo) if word)
    name = _words([adjectives, traits.genre, traits.section])
    # "an IDM intro": an abbreviation is spelt out, and these letters begin with a vowel.
    vowels = "AEFHILMNORSX" if name[:2].isupper() else "aeiou"
    return _sentence(
        [
            "an" if name[:1] in vowels else "a",
            name,
            _led("in", traits.key),
            _led("at", traits.bpm),
        ],
        [traits.brightness, traits.level, *_colour(traits), traits.vocals],
    )


def _tempo_first(traits: Traits) -> str:
    """`Mid-tempo indie-rock intro at 96 BPM in A major, gentle and warm, with vocals`."""
    feel = " and ".join(word for word in (traits.character, traits.brightness) if word)
    return _sentence(
        [
            traits.tempo,
            traits.genre,
            traits.section,
            _led("at", traits.bpm),
            _led("in", traits.key),
        ],
        [feel, traits.level, *_colour(traits), traits.vocals],
    )


def _genre_first(traits: Traits) -> str:
    """`Indie-rock, gentle intro with vocals: A major, 96 BPM, soft and warm`."""
    sound = " and ".join(word for word in (traits.level, traits.brightness) if word)
    start = ", ".join(
        word for word in (traits.genre, _words([traits.character, traits.section])) if word
    )
    details = ", ".join(word for word in (traits.key, traits.bpm, sound, *_colour(traits)) if word)
    vocals = traits.vocals if traits.vocals.startswith("with") else _led(",", traits.vocals)
    head = _words([start, vocals]).replace(" ,", ",")
    return _capitalised(f"{head}: {details}" if details else head)


PHRASINGS = (_tagged, _flowing, _tempo_first, _genre_first)


def _sentence(head: Sequence[str], details: Sequence[str]) -> str:
    return _capitalised(", ".join(part for part in (_words(head), *details) if part))


def _words(parts: Sequence[str]) -> str:
    return " ".join(part for part in parts if part)


def _led(word: str, part: str) -> str:
    return f"{word} {part}" if part else ""


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _colour(traits: Traits) -> tuple[str, str]:
    return (f"{traits.mood} mood" if traits.mood else "", _led("with", traits.instruments))


def _vocals(vocals: bool | None, label: str, choose: Chooser) -> str:
    if vocals is None or (not vocals and label in SECTION_NAMES):
        return ""  # unknown, or said already by the section's name
    return str(choose("vocals", VOCAL_WORDS if vocals else INSTRUMENTAL_WORDS))


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
    if any(_is_named(name, value) for name in _ARTISTS.split(artist)):
        return ""
    text = re.sub(r"[^\w\s&'/+.-]", " ", value).replace("_", " ")
    text = re.sub(r"\s+", " ", text).strip()[:MAX_TAG_CHARACTERS].strip()
    return re.sub(r"\b[A-Z][a-z]+\b", lambda word: word[0].lower(), text)


_ARTISTS = re.compile(r";|\s(?:feat\.?|ft\.?|featuring|vs\.?)\s", re.IGNORECASE)
"""Between the names of several artists. "&" and "and" stand within names as well."""

COMMON_WORDS = frozenset(
    {"the", "a", "an", "and", "of", "in", "on", "to", "for", "with", "de", "la"}
)


def _is_named(artist: str, text: str) -> bool:
    """Return whether a text holds an artist's name as words, whatever the case and accents.

    "American folk" does not name Can. A name of one letter or common word ("M", "The The") names
    nobody within a longer text.
    """
    name, words = _name_words(artist), _name_words(text)
    if not name or name == words:
        return bool(name)
    if COMMON_WORDS.issuperset(name) or re.fullmatch("[a-z0-9]", "".join(name)):
        return False
    if _WITHOUT_SPACES.search(artist):
        return "".join(name) in "".join(words)
    return any(
        words[start : start + len(name)] == name for start in range(len(words) - len(name) + 1)
    )


_WITHOUT_SPACES = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Scripts that write no spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han."""


def _name_words(text: str) -> list[str]:
    """Words of a text without case, accents and width."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(char for char in letters if unicodedata.category(char) != "Mn")
    return re.findall(r"[^\W_]+", plain)


def _listed(names: Sequence[str]) -> str:
    """`piano`, `piano and bass`, `piano, bass and drums`."""
    named = [name for name in names if name]
    return " and ".join(part for part in (", ".join(named[:-1]), *named[-1:]) if part)


def _chooser(seed: str) -> Chooser:
    def choose(purpose: str, options: Sequence[Any]) -> Any:
        if not options:
            return ""
        hashed = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
        return options[int.from_bytes(hashed, "big") % len(options)]

    return choose


STEP = Step(
    name="prompts",
    version=3,
    config=PromptsConfig,
    columns=pa.schema([column("prompt", pa.list_(pa.string()), "template prompt of each segment")]),
    run=per_track(run),
    upstream=("features", "harmony", "sections"),
    optional_upstream=("separate", "lyrics", "activity"),
    attributes=("track_id", "metadata"),
)
