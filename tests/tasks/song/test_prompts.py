import re
from typing import Any

import numpy as np
import pytest

from models.musicnn_tags import VOCABULARIES
from tasks.song import prompts
from tasks.song.prompts import STEP, PromptsConfig
from tasks.song.tags import MODELS
from tasks.step import Recipe, Row, Track
from tests.support.keys import key_of
from tests.tasks.song.records import make_activity

LABELS = ["intro", "verse", "chorus", "bridge", "solo", "inst", "outro"]


def features(**changes: Any) -> dict[str, Any]:
    blocks = 70
    return {
        "tempo_bpm": 95.7,
        "grid_seconds": np.arange(blocks + 1, dtype=np.float32),
        "grid_frames": [43] * blocks,
        "grid_rms": np.full(blocks, 0.05),
        "grid_energy": np.full(blocks, 0.3),
        "grid_centroid_hz": np.full(blocks, 1500.0),
        "grid_chroma": np.ones(blocks * 12),
        "grid_mfcc": np.ones(blocks * 20),
        **changes,
    }


HARMONY = {"tonic": "A", "mode": "major"}
NO_KEY = {"tonic": None, "mode": None}
SECTIONS = {
    "start_seconds": [10.0 * i for i in range(7)],
    "end_seconds": [10.0 * (i + 1) for i in range(7)],
    "label": LABELS,
}


def run(track: Track | None = None, **upstream: Any) -> list[str]:
    return make(track, **upstream)["prompt"]


def make(track: Track | None = None, **upstream: Any) -> Row:
    rows = {"features": features(), "harmony": HARMONY, "sections": SECTIONS}
    rows |= {"separate": None, "lyrics": None, "probe": {"duration_seconds": 70.0}} | upstream
    batch = {name: [row] for name, row in rows.items()}
    [row] = STEP.run([track or Track("id", "a.mp3")], batch, PromptsConfig(), None)  # type: ignore[arg-type]
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize("track_id", [f"track{i}" for i in range(8)])
def test_every_phrasing_says_what_was_measured(track_id: str) -> None:
    track = Track(track_id, "a.mp3", metadata={"genre": "Indie-Rock"})
    for label, prompt in zip(LABELS, run(track), strict=True):
        assert "96 BPM" in prompt
        assert "A major" in prompt
        assert "indie-rock" in prompt.lower()
        assert {"inst": "instrumental passage", "solo": "solo"}.get(label, label) in prompt.lower()
        # -26 dBFS and 1,500 Hz.
        assert re.search("soft|quiet", prompt, re.I) or re.search("gentle|mellow", prompt, re.I)
        assert re.search("warm|rounded", prompt)
        assert prompt[0].isupper()
        assert not re.search(r"  | ,|,,|:\s*$|None|nan", prompt)


HEARD = {"vocal_rms": [0.08] * 700, "mix_rms": [0.1] * 700, "envelope_hop_seconds": 0.1}
TABLES = {"genre": "Indie-Rock", "mood": "Calm", "instruments": "Piano, Drums"}
RESTS_ON = {
    "indie-rock": ["genre"],
    "intro": ["section_type"],
    "96 BPM": ["tempo"],
    "A major": ["dominant_key", "mode"],
    "calm": ["mood"],
    "piano": ["instruments"],
    "drums": ["instruments"],
}
"""What every prompt of the track above says, and the columns that it is said by."""


def test_every_phrase_names_the_columns_that_it_puts_into_words() -> None:
    said: dict[str, Any] = {}
    for number in range(24):
        made = make(Track(f"t{number}", "a.mp3", metadata=TABLES), separate=HEARD)
        first = {phrase["text"]: list(phrase["columns"]) for phrase in made["phrases"][0]}
        assert first.items() >= RESTS_ON.items()
        said |= first
    told = {text: columns for text, columns in said.items() if text not in RESTS_ON}
    assert {text for text, columns in told.items() if columns == ["spectral_centroid"]} == {
        "warm",
        "rounded",
    }
    assert {text for text, columns in told.items() if columns == ["rms"]} == {"soft", "quiet"}
    assert all("vocal" in text for text, columns in told.items() if columns == ["has_vocals"])
    rest = {tuple(columns) for columns in told.values()}
    assert rest == {("spectral_centroid",), ("rms",), ("has_vocals",), ("tempo",), ("rms", "tempo")}


@pytest.mark.parametrize("unknown", ["genre", "mood", "instruments", "tempo", "key", "vocals"])
def test_nothing_of_a_prompt_lies_outside_its_phrases(unknown: str) -> None:
    tables = {name: value for name, value in TABLES.items() if name != unknown}
    rows = {
        "features": features(tempo_bpm=None) if unknown == "tempo" else features(),
        "harmony": NO_KEY if unknown == "key" else HARMONY,
        "separate": None if unknown == "vocals" else HEARD,
    }
    for number in range(12):
        made = make(Track(f"t{number}", "a.mp3", metadata=tables), **rows)
        for prompt, phrases in zip(made["prompt"], made["phrases"], strict=True):
            left = prompt.lower()
            for text in sorted((phrase["text"].lower() for phrase in phrases), key=len)[::-1]:
                assert text in left
                left = left.replace(text, "", 1)
            assert set(re.findall(r"\w+", left)) <= {"a", "an", "and", "at", "in", "mood", "with"}
            columns = {column for phrase in phrases for column in phrase["columns"]}
            assert {"key": "mode", "vocals": "has_vocals"}.get(unknown, unknown) not in columns


def heard(activity: Row | None = None, **scores: float) -> list[dict[str, list[str]]]:
    """Phrases of some tracks by columns, of which musicnn's networks hear some tags."""
    row = {
        name: [scores.get(tag.replace(" ", "_"), 0.01) for tag in VOCABULARIES[model]]
        for name, model in MODELS.items()
    }
    rows: dict[str, Any] = {"tags": row, "separate": HEARD}
    rows |= {"activity": activity} if activity else {}
    said: list[dict[str, list[str]]] = []
    for number in range(12):
        for phrases in make(Track(f"t{number}", "a.mp3"), **rows)["phrases"]:
            said.append({})
            for phrase in phrases:
                said[-1].setdefault(" ".join(phrase["columns"]), []).append(phrase["text"])
    return said


def test_tags_are_told_where_the_tables_say_nothing() -> None:
    for said in heard(folk=0.5, sad=0.4, piano=0.9, cello=0.8, guitar=0.5):
        assert said["tags"] == ["folk", "sad", "piano", "cello"]
    every = {"mtt_scores": [0.9] * 50, "msd_scores": [0.9] * 50}
    for phrases in make(Track("t", "a.mp3", metadata=TABLES), tags=every)["phrases"]:
        assert all("tags" not in phrase["columns"] for phrase in phrases)


def test_a_voice_is_told_where_one_sings() -> None:
    def voices(activity: Row | None = None, **scores: float) -> set[str]:
        return {
            f"{columns}: {'female' in text}"
            for said in heard(activity, **scores)
            for columns, texts in said.items()
            for text in texts
            if "has_vocals" in columns or columns == "tags"
        }

    assert voices(female=0.5) == {"has_vocals tags: True"}
    assert voices(female=0.5, male=0.4) == {"has_vocals: False"}
    # Nothing sings in what is instrumental by its activity, whatever the taggers hear.
    assert voices(make_activity("music", music=[(0.0, 70.0)]), female=0.5) == {"has_vocals: False"}


def test_phrasing_varies_between_tracks_but_never_between_runs() -> None:
    first = [run(Track(f"t{i}", "a.mp3"))[1] for i in range(40)]
    assert first == [run(Track(f"t{i}", "elsewhere.wav"))[1] for i in range(40)]
    assert len(set(first)) > 20


def test_artist_title_and_lyrics_stay_out() -> None:
    metadata = {"artist": "Nina Voss", "title": "Harbour", "album": "Tides", "genre": "Folk"}
    lyrics = {
        "text": "secret words",
        "line_start_seconds": [12.0],
        "line_end_seconds": [15.0],
        "line_text": ["secret words"],
    }
    for i in range(20):
        text = " ".join(run(Track(f"t{i}", "a.mp3", metadata=metadata), lyrics=lyrics))
        assert not re.search("Nina|Voss|Harbour|Tides|secret", text, re.I)
    tagged = {"artist": "Nina Voss", "genre": "like nina voss"}
    assert "nina" not in " ".join(run(Track("t", "a.mp3", metadata=tagged))).lower()


def genre_in_prompt(artist: str, genre: str) -> bool:
    track = Track("t", "a.mp3", metadata={"artist": artist, "genre": genre})
    return genre.lower() in run(track)[0].lower()


@pytest.mark.parametrize(
    ("artist", "genre"),
    [("Can", "American folk"), ("The", "synthesizer"), ("The The", "music of the Andes"),
     ("A", "a cappella"), ("Air", "fairground"), ("Yes", "yesteryear"), ("M", "metal"),
     ("Ash", "trash rock"), ("Nina Voss", "folk"), ("", "folk")],
)  # fmt: skip
def test_a_genre_that_holds_the_letters_of_an_artist_stays(artist: str, genre: str) -> None:
    assert genre_in_prompt(artist, genre)


@pytest.mark.parametrize(
    ("artist", "genre"),
    [("Can", "like CAN"), ("Beyoncé", "beyonce style"), ("Beyonce\u0301", "BEYONCÉ style"),
     ("AC/DC", "AC-DC rock"), ("Nina Voss feat. Tom Ax", "like Tom Ax"), ("嵐", "嵐系"),
     ("R.E.M.", "r.e.m. rock")],
)  # fmt: skip
def test_a_tag_that_names_the_artist_is_dropped(artist: str, genre: str) -> None:
    assert not genre_in_prompt(artist, genre)


def test_vocals_are_named_as_heard() -> None:
    separate = {
        "vocal_rms": [0.0] * 200 + [0.08] * 500,
        "mix_rms": [0.1] * 700,
        "envelope_hop_seconds": 0.1,
    }
    lyrics = {"line_start_seconds": [3.0], "line_end_seconds": [None]}
    texts = run(separate=separate, lyrics=lyrics)
    assert "vocal" in texts[0]
    assert re.search("instrumental|no vocals|without vocals", texts[1])
    assert "vocal" in texts[2]


@pytest.mark.parametrize(
    ("bpm", "word"),
    [(50, "very slow"), (70, "slow|unhurried"), (110, "tempo"), (150, "fast|quick"), (180, "fast")],
)
def test_tempo_words_follow_the_metronome(bpm: float, word: str) -> None:
    texts = [
        run(Track(f"t{i}", "a.mp3"), features=features(tempo_bpm=float(bpm)))[0] for i in range(12)
    ]
    assert any(re.search(word, text, re.I) for text in texts)
    assert all(f"{bpm} BPM" in text for text in texts)


def test_loud_fast_music_is_not_called_gentle() -> None:
    loud = features(tempo_bpm=150.0, grid_rms=np.full(70, 0.3), grid_centroid_hz=np.full(70, 5e3))
    for i in range(20):
        for text in run(Track(f"t{i}", "a.mp3"), features=loud):
            assert not re.search("gentle|soft|quiet|calm|warm|dark|slow", text, re.I)
            assert re.search("loud|full volume|energetic|intense|driving", text, re.I)


def test_unknown_values_are_left_out() -> None:
    bare = features(tempo_bpm=None, grid_seconds=None)
    for i in range(12):
        for label, text in zip(
            LABELS, run(Track(f"t{i}", "a"), features=bare, harmony=NO_KEY), strict=True
        ):
            assert not re.search(r"BPM|major|None|nan| in | at |,\s*$", text)
            assert not re.search("driving|steady|grooving|bouncy|tempo|fast|slow", text, re.I)
            assert label[:4] in text.lower()


def test_silence_is_called_silent() -> None:
    silent = features(tempo_bpm=None, grid_rms=np.zeros(70))
    assert all("silen" in text.lower() for text in run(features=silent, harmony=NO_KEY))


def test_tags_from_tables_are_cleaned() -> None:
    metadata = {
        "genre": "IDM\n<script>{{x}}" + "y" * 500,
        "mood": "Calm, film",
        "instruments": "Piano, Guitar, drums, flute",
    }
    for i in range(12):
        text = run(Track(f"t{i}", "a.mp3", metadata=metadata))[0]
        assert not re.search(r"[<>{}\n]", text)
        assert len(text) < 250
        assert "IDM script" in text
        assert "calm mood" in text
        assert "with piano, guitar and drums" in text
        assert "A IDM" not in text


def test_key_depends_on_metadata_but_not_on_the_path() -> None:
    keys = {name: Recipe(name, ("track_id",)) for name in STEP.upstream}
    config = PromptsConfig()
    rock = Track("id", "a.mp3", metadata={"genre": "Rock"})
    assert key_of(STEP, rock, config, keys) != key_of(STEP, Track("id", "a.mp3"), config, keys)
    moved = Track("id", "b/a.mp3", metadata={"genre": "Rock"})
    assert key_of(STEP, rock, config, keys) == key_of(STEP, moved, config, keys)


def test_vocals_are_named_only_where_activity_is_sure() -> None:
    def claims(activity: dict[str, Any] | None, **rows: Any) -> list[str]:
        texts = run(activity=activity, **rows)
        none = re.compile("without vocals|no vocals|instrumental(?! (passage|solo))", re.I)
        return [
            "none" if none.search(text) else "some" if "vocal" in text else "" for text in texts
        ]

    heard = make_activity(singing=[(0.0, 1.2), (10.0, 19.0)])
    assert claims(heard)[:3] == ["", "some", "none"]
    lyrics = {"line_start_seconds": [3.0], "line_end_seconds": [5.0]}
    assert claims(heard, lyrics=lyrics)[:3] == ["some", "some", "none"]
    assert claims(None, lyrics=lyrics)[:3] == ["", "", ""]
    assert claims(make_activity("speech", speech=[(0.0, 70.0)])) == [""] * 7


def test_corrected_values_are_in_the_prompts_and_nothing_else_changes() -> None:
    track = Track("id", "a.mp3", metadata={"genre": "Folk"})
    rows = {"features": features(), "harmony": HARMONY, "sections": SECTIONS}
    rows |= {"separate": None, "lyrics": None, "probe": {"duration_seconds": 70.0}}
    segments = [{"section_type": label, "corrected": []} for label in LABELS]
    record = {"tempo": 95.7, "dominant_key": "A", "mode": "major", "corrected": []}
    record["segments"] = segments
    before = run(track)
    assert prompts.of_corrected(track, rows, record)["prompt"] == before

    segments[0] = {"section_type": None, "corrected": ["section_type"]}
    segments[1] = {"section_type": "chorus", "corrected": ["section_type"]}
    record |= {"tempo": 191.4, "dominant_key": None, "mode": None}
    record["corrected"] = ["tempo", "dominant_key", "mode"]
    after = prompts.of_corrected(track, rows, record)["prompt"]
    assert all("191 BPM" in prompt and "A major" not in prompt for prompt in after)
    assert "intro" not in after[0]
    assert "chorus" in after[1]
    assert "bridge" in after[3]
