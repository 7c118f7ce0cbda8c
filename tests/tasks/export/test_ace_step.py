"""What ACE-Step 1.5's dataset builder loads, and the values of the table in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.tasks.export.conftest import Export, song, write_songs

Changes = dict[str, Any]


@dataclass
class AudioSample:
    """acestep/training/dataset_builder_modules/models.py, by its names, types and defaults."""

    id: str = ""
    audio_path: str = ""
    filename: str = ""
    caption: str = ""
    genre: str = ""
    lyrics: str = "[Instrumental]"
    raw_lyrics: str = ""
    formatted_lyrics: str = ""
    bpm: int | None = None
    keyscale: str = ""
    timesignature: str = ""
    duration: int = 0
    language: str = "unknown"
    is_instrumental: bool = True
    custom_tag: str = ""
    labeled: bool = False
    prompt_override: str | None = None


def load_dataset(folder: Path, split: str = "train") -> list[AudioSample]:
    """As ``SerializationMixin.load_dataset`` does; its preprocessing opens each path as it is."""
    data = orjson.loads((folder / f"dataset_{split}.json").read_bytes())
    assert set(data["metadata"]) <= {
        *("name", "custom_tag", "tag_position", "created_at", "num_samples"),
        *("all_instrumental", "genre_ratio"),
    }
    samples = [AudioSample(**sample) for sample in data["samples"]]
    assert data["metadata"]["num_samples"] == len(samples)
    assert data["metadata"]["all_instrumental"] == all(each.is_instrumental for each in samples)
    assert all((folder / each.audio_path).is_file() for each in samples)
    return samples


def exported(songs: Path, export: Export, folder: Path, *changes: Changes) -> list[AudioSample]:
    """Export a song for each of some changes of its values."""
    records = [
        song(songs.parent, number) | {"tempo": 90.5, "split": "train"} | changed
        for number, changed in enumerate(changes)
    ]
    return load_dataset(export(write_songs(folder, records), "ace-step", audio="link"))


def test_samples_have_the_values_of_the_table(songs: Path, export: Export) -> None:
    folder = export(songs, "ace-step")
    samples = load_dataset(folder)
    assert len(samples) == 4
    assert len(load_dataset(folder, "validation")) == len(load_dataset(folder, "test")) == 1
    path = f"audio/train/{3:032x}.flac"
    lyrics = "[Verse]\nlow sun\n\n[Chorus]\nrise"
    caption = samples[3].caption
    # The tempo of song 3 is 93.5, the confidence of its key 0.75: below what is taken.
    assert samples[3] == AudioSample(
        id=f"{3:032x}",
        audio_path=path,
        filename=f"{3:032x}.flac",
        caption=caption,
        genre="Folk, Rock",
        lyrics=lyrics,
        raw_lyrics=lyrics,
        bpm=94,
        keyscale="",
        timesignature="4",
        duration=2,
        language="en",
        is_instrumental=False,
        labeled=True,
    )
    assert "piano" in caption
    # They have fields of their own.
    assert not {"BPM", "minor", "4/4"} & set(caption.replace(",", " ").split())


def test_segments_have_their_own_lyrics_under_one_tag(songs: Path, export: Export) -> None:
    samples = load_dataset(export(songs, "ace-step", segments=True))
    assert [each.lyrics for each in samples[:2]] == ["[Verse]\nlow sun", "[Chorus]\nrise"]
    assert [each.duration for each in samples[:2]] == [1, 1]


UNSURE: list[tuple[Changes, Changes]] = [
    ({"tempo_confidence": 0.2}, {"bpm": None, "timesignature": ""}),
    ({"tempo_confidence": None}, {"bpm": 90, "timesignature": "4"}),
    ({"tempo": 301.0, "time_signature": "6/8"}, {"bpm": None, "timesignature": "6"}),
    ({"time_signature": "5/4", "key_confidence": 0.7}, {"timesignature": "", "keyscale": ""}),
    ({"lyrics_language": "zh-Hant", "key_confidence": 0.9}, {"language": "zh"}),
    ({"lyrics_language": "tlh", "key_confidence": 0.9}, {"keyscale": "A minor"}),
]
"""Values of songs, and what is to come of them."""


def test_what_is_unsure_or_unknown_to_it_is_left_empty(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    samples = exported(songs, export, tmp_path, *(changes for changes, _ in UNSURE))
    for sample, (_, expected) in zip(samples, UNSURE, strict=True):
        assert {name: getattr(sample, name) for name in expected} == expected
    assert [sample.language for sample in samples] == ["en", "en", "en", "en", "zh", "unknown"]


def test_headings_of_the_lyrics_are_taken_before_sections_that_were_found(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    headings = [
        {"label": "Verse 1", "start_time": None, "line": 0},
        {"label": "Hook", "start_time": None, "line": 1},
        {"label": "Outro", "start_time": None, "line": 2},
    ]
    [sample] = exported(songs, export, tmp_path, {"lyrics_sections": headings})
    assert sample.lyrics == "[Verse 1]\nlow sun\n\n[Hook]\nrise\n\n[Outro]"


def test_a_song_without_lyrics_is_an_instrumental_only_if_that_is_known(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    nothing = {"lyrics": None, "lyrics_lines": None, "lyrics_words": None}
    played_only = nothing | {"is_instrumental": True}
    sung, played = exported(songs, export, tmp_path, nothing, played_only)
    # Its preprocessing takes samples that are labelled, and no lyrics for an instrumental.
    assert (sung.lyrics, sung.is_instrumental, sung.labeled) == ("", False, False)
    assert (played.lyrics, played.is_instrumental, played.labeled) == ("[Instrumental]", True, True)
    assert played.language == "unknown"
    card = (tmp_path / "ace-step" / "README.md").read_text()
    assert "1 of 2 samples" in card
