"""Which tags of a track are sure enough to be told.

A score is how likely a listener would have given the tag, and listeners give few: what is plainly
there often scores 0.3. What a score is worth differs between tags, and so do their thresholds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from models.musicnn_tags import VOCABULARIES
from tasks.song import voices
from tasks.song.tags import MODELS

KINDS = {
    "genre": (
        *("acoustic", "alternative", "alternative rock", "ambient", "blues", "classic rock"),
        *("classical", "country", "dance", "easy listening", "electro", "electronic"),
        *("electronica", "experimental", "folk", "funk", "hard rock", "heavy metal", "hip-hop"),
        *("house", "indian", "indie", "indie pop", "indie rock", "jazz", "metal", "new age"),
        *("opera", "pop", "progressive rock", "punk", "r&b", "rock", "soul", "techno"),
    ),
    "instrument": (
        *("cello", "drums", "flute", "guitar", "harp", "harpsichord", "piano", "sitar", "strings"),
        *("synthesizer", "violin"),
    ),
    "mood": ("beautiful", "chill", "happy", "mellow", "sad", "sexy"),
    "voice": ("choir", "female vocals", "male vocals"),
    "era": ("60s", "70s", "80s", "90s", "00s", "oldies"),
}
"""Tags by kind, the first for prompts. Other tags are not told: tempo, loudness and whether there
are vocals are measured, and the rest (weird, catchy, solo) says little of the sound."""

SYNONYMS = {
    **{"classic": "classical", "rnb": "r&b", "synth": "synthesizer"},
    **{"choral": "choir", "chillout": "chill"},
    **dict.fromkeys(("female", "woman", "female vocal", "female voice"), "female vocals"),
    **dict.fromkeys(("female vocalists", "female vocalist"), "female vocals"),
    **dict.fromkeys(("male", "man", "male vocal", "male voice", "male vocalists"), "male vocals"),
}
"""What is the same tag by another name; upper case aside."""

LEAST_SCORE = 0.3
"""From which on a tag counts."""

LEAST_SCORES = {
    **{"guitar": 0.7, "piano": 0.6, "violin": 0.6, "strings": 0.4, "flute": 0.35},
    **{"drums": 0.25, "synthesizer": 0.25},
    **{"ambient": 0.45, "blues": 0.6, "classical": 0.55, "electronic": 0.65, "indie": 0.45},
    **{"jazz": 0.5, "techno": 0.65},
}
"""Of the tags for which it is another one.

Those of instruments were chosen on 135 songs that General MIDI instruments played. They tell few,
but true ones: 21 of 22 told instruments and choirs were there, and of 135 other songs 26 of 27, 9
% of those that there were. Those were seen before the thresholds were settled: the violin's lies
above a false one of 0.52 among them. Guitar and piano are often heard in what is plucked or struck
(up to 0.65 and 0.51). Of seven recordings of single instruments, one of two guitars, the piano and
the drums are told, and nothing wrong.

Of genres, moods and eras there was no truth: their thresholds lie above what the first songs,
which are of no genre, scored; one of the others is told to be rock. How often a told genre is
right is not known."""

MOST = {"genre": 1, "instrument": 3, "mood": 1}
"""Of a kind, of which more than one contradict each other, or are too many to be told."""


class Tag(NamedTuple):
    """A tag that is sure enough.

    Attributes
    ----------
    tag, kind
        As in ``KINDS``.
    score
        The highest of its names and models, 0 to 1.
    model
        Which it is of.
    """

    tag: str
    kind: str
    score: float
    model: str


def confident_tags(
    row: Mapping[str, Any], *, content: str | None = None, is_instrumental: bool | None = None
) -> list[Tag] | None:
    """Return the tags of a track that are sure enough, the highest score first.

    Left out is what contradicts what is measured: voices in music without vocals, and instruments
    in unaccompanied singing.

    Parameters
    ----------
    row
        Of the step `tags`.
    content
        Of the step `activity`; None where it is not known.
    is_instrumental
        Whether there are no vocals; None where that is not known.

    Returns
    -------
    list or None
        Empty where nothing is sure; None where no tags were heard, as of speech and silence.
    """
    best: dict[str, Tag] = {}
    for name, model in MODELS.items():
        scores = row.get(name)
        if scores is None:
            return None
        for heard, score in zip(VOCABULARIES[model], scores, strict=True):
            tag = SYNONYMS.get(heard, heard.lower())
            if tag in _KIND_OF and (tag not in best or score > best[tag].score):
                best[tag] = Tag(tag, _KIND_OF[tag], float(score), model)
    absent = {"voice"} if is_instrumental else {"instrument"} if content == "singing" else set()
    sure = [
        tag
        for tag in best.values()
        if tag.score >= LEAST_SCORES.get(tag.tag, LEAST_SCORE) and tag.kind not in absent
    ]
    return sorted(sure, key=lambda tag: (-tag.score, tag.tag))


def tags_of(rows: Mapping[str, Mapping[str, Any] | None]) -> list[Tag] | None:
    """Return the tags that are sure enough, and that do not contradict the track's activity.

    Parameters
    ----------
    rows
        By step: `probe`, and `tags`, `activity` and `lyrics` as far as there are such.

    Returns
    -------
    list or None
        As :func:`confident_tags` returns them.
    """
    probe, row, activity = rows["probe"], rows.get("tags"), rows.get("activity")
    if not row:
        return None
    if not activity:
        return confident_tags(row)
    assert probe is not None
    is_instrumental = voices.is_instrumental(
        activity, rows.get("lyrics"), float(probe["duration_seconds"])
    )
    return confident_tags(row, content=activity["content"], is_instrumental=is_instrumental)


def by_kind(tags: Iterable[Tag] | None) -> dict[str, Sequence[str]]:
    """Return what to tell of a track in words: at most one genre and mood, three instruments.

    Parameters
    ----------
    tags
        As :func:`confident_tags` returns them.

    Returns
    -------
    dict
        Tags by kind, the surest first; without the kinds of which none is sure.
    """
    found: dict[str, list[str]] = {}
    for tag in tags or ():
        told = found.setdefault(tag.kind, [])
        if len(told) < MOST.get(tag.kind, len(KINDS[tag.kind])):
            told.append(tag.tag)
    return {kind: tuple(told) for kind, told in found.items()}


_KIND_OF = {tag: kind for kind, tags in KINDS.items() for tag in tags}
