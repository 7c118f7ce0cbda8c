"""What is known of a recording besides its sound, and how a prompt says it."""

from collections.abc import Mapping
from typing import Any

MEASURED = ("tempo", "dominant_key", "mode", "tags")
"""Columns of a dataset of songs that say it."""

SAID_TAGS = 3
"""Tags in a description, the likeliest: more of them would crowd the concept out."""

SAID_KINDS = frozenset({"genre", "instrument", "mood"})
"""Kinds of tags that a prompt for music names."""


def known_of(song: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row of a segment's metadata says of its recording.

    Parameters
    ----------
    song
        Columns of a dataset of songs, those of :data:`MEASURED` among them; null where nothing
        was found.

    Returns
    -------
    dict
        ``tempo_bpm``, ``key`` (``A minor``), ``tags``, and ``description``, which puts them into
        a prompt's words (``120 BPM, A minor, pop, piano``); null where nothing is known.
    """
    tempo_bpm, tonic, mode = song["tempo"], song["dominant_key"], song["mode"]
    key = f"{tonic} {mode}" if tonic and mode else None
    tags = [each["tag"] for each in song["tags"] or () if each["kind"] in SAID_KINDS]
    said = [f"{tempo_bpm:.0f} BPM"] if tempo_bpm else []
    said += [key] if key else []
    said += tags[:SAID_TAGS]
    return {
        "tempo_bpm": tempo_bpm,
        "key": key,
        "tags": tags,
        "description": ", ".join(said) or None,
    }
