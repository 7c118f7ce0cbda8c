"""Clotho, MusicBench, MusicCaps, DALI and MUSDB18."""

import csv
import gzip
import json
import pickle
from pathlib import Path

import pytest

from tasks.corpora.captioned.entry import CorpusError, Tag
from tests.tasks.corpora.captioned.reading import read, reasons

MUSICCAPS = "ytid,start_s,end_s,audioset_positive_labels,aspect_list,caption,author_id"
MUSICCAPS += ",is_balanced_subset,is_audioset_eval\n"


def test_clotho_is_latin_1_and_has_five_captions(corpora: Path):
    entries, dropped = read("clotho", corpora / "clotho")
    assert dropped == []
    assert {len(entry.captions) for entry in entries} == {5}
    assert all(entry.artist.startswith("José ") for entry in entries)
    assert [entry.split for entry in entries] == ["train"] * 3 + ["test", "validation"]
    assert entries[0].shared_ids == ("freesound:50000",)


def test_clotho_with_an_empty_caption_and_no_metadata(tmp_path: Path):
    header = ["file_name", *(f"caption_{number}" for number in range(1, 6))]
    rows = [["a.wav", "One.", "", "Two.", "One.", "Three."], ["", *"abcde"], ["a.wav", *"abcde"]]
    with (tmp_path / "clotho_captions_evaluation.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows, ["b.wav", "x"]])
    [entry], dropped = read("clotho", tmp_path)
    assert entry.captions == ("One.", "Two.", "Three.")
    assert (entry.licence, entry.shared_ids) == (None, ())
    assert reasons(dropped) == {
        "no-audio-folder": 1,
        "empty-caption": 1,
        "malformed-row": 2,
        "repeated-id": 1,
    }


def test_rows_of_one_clip_of_musicbench_are_one_entry(corpora: Path):
    entries, _ = read("musicbench", corpora / "musicbench")
    assert {len(entry.captions) for entry in entries} == {2}
    assert all(entry.measured.tempo_bpm and entry.measured.key for entry in entries)
    assert sum(entry.evaluation_only for entry in entries) == 2


def test_what_a_test_of_musicbench_has_is_never_trained_on(tmp_path: Path):
    row = {"location": "data/abcdefghijk.wav", "is_audioset_eval_mcaps": False}
    for part in ("train", "test_A"):
        caption = {"main_caption": f"Of {part}."}
        (tmp_path / f"MusicBench_{part}.json").write_text(json.dumps({**row, **caption}))
    [entry], _ = read("musicbench", tmp_path)
    assert set(entry.captions) == {"Of train.", "Of test_A."}
    assert (entry.evaluation_only, entry.split) == (True, "test")


@pytest.mark.parametrize(
    ("numbers", "metre"),
    [
        ([3, 4, 1, 2, 3, 4, 1], "4/4"),
        ([1, 2, 3, 1, 2], "3/4"),
        ([1, 2, 3], None),
        ([3, 1, 2, 3, 4, 1], None),
        ([], None),
    ],
)
def test_metre_of_musicbench_is_that_of_whole_bars(
    numbers: list[int], metre: str | None, tmp_path: Path
):
    row = {"location": "data/abcdefghijk.wav", "main_caption": "A.", "beats": [[0.1], numbers]}
    (tmp_path / "MusicBench_train.json").write_text(json.dumps(row))
    [entry], _ = read("musicbench", tmp_path)
    assert entry.measured.metre == metre


def test_musicbench_knows_the_video_of_altered_copies_and_its_tests(tmp_path: Path):
    rows = [
        {"location": "data_aug2/-0SdAVK79lg_1.wav", "main_caption": "A.", "alt_caption": "B."},
        {"location": "data/-0SdAVK79lg.wav", "main_caption": "C.", "key": ["H", "major"]},
        {"location": "../../etc/x.wav", "main_caption": "D."},
        {"location": "data/x", "main_caption": "D."},
    ]
    evaluated = {"location": "data/abcdefghijk.wav", "main_caption": ""}
    rows.append({**evaluated, "is_audioset_eval_mcaps": True, "bpm": 1e999})
    (tmp_path / "MusicBench_train.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "datashare" / "data").mkdir(parents=True)
    entries, dropped = read("musicbench", tmp_path)
    assert [entry.shared_ids for entry in entries] == [
        ("youtube:-0SdAVK79lg",),
        ("youtube:-0SdAVK79lg",),
        ("youtube:abcdefghijk",),
    ]
    assert [entry.audio for entry in entries][1:] == [
        "datashare/data/-0SdAVK79lg.wav",
        "datashare/data/abcdefghijk.wav",
    ]
    assert [entry.evaluation_only for entry in entries] == [False, False, True]
    assert all(entry.measured.key is None for entry in entries)
    assert reasons(dropped) == {"malformed-row": 2, "empty-caption": 1, "no-audio-folder": 1}


def test_rows_of_musiccaps(tmp_path: Path):
    # Two rows of MusicCaps (Agostinelli et al., CC BY-SA 4.0).
    (tmp_path / "musiccaps-public.csv").write_text(
        MUSICCAPS + '-0Gj8-vB1q4,30,40,"/m/0140xf,/m/02cjck,/m/04rlf","[\'low quality\', '
        "'sustained strings melody', 'soft female vocal', 'mellow piano melody', 'sad', 'soulful', "
        "'ballad']\",\"The low quality recording features a ballad song that contains sustained "
        "strings, mellow piano melody and soft female vocal singing over it. It sounds sad and "
        'soulful, like something you would hear at Sunday services.",4,False,True\n'
        "-0vPFx-wRRI,30,40,\"/m/025_jnm,/m/04rlf\",\"['amateur recording', 'finger snipping', "
        "'male mid range voice singing', 'reverb']\",\"a male voice is singing a melody with "
        "changing tempos while snipping his fingers rhythmically. The recording sounds like it has "
        "been recorded in an empty room. This song may be playing, practicing snipping and "
        'singing along.",6,False,False\n'
        "no,30,40,x,[],y,4,False,True\n"
    )
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "[-0Gj8-vB1q4]-[30-40].wav").touch()
    (first, second), dropped = read("musiccaps", tmp_path)
    assert first.audio == "wav/[-0Gj8-vB1q4]-[30-40].wav"
    assert (first.evaluation_only, second.evaluation_only) == (True, False)
    assert (first.split, second.split) == ("test", None)
    assert len(first.tags) == 7
    assert Tag("voice", "female") in first.tags
    assert {Tag("mood", "sad"), Tag("mood", "soulful")} <= set(first.tags)
    assert Tag("voice", "male") in second.tags
    assert first.captions[0].startswith("The low quality recording features a ballad song")
    assert first.duration_seconds == 10.0
    assert first.licence is None
    assert reasons(dropped) == {"malformed-row": 1}


def test_pickles_of_dali_are_refused_and_never_read(tmp_path: Path):
    class Mine:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it ran",))

    name = "0" * 32
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(pickle.dumps(Mine())))
    with pytest.raises(CorpusError, match="pickles, which run code when they are read: export"):
        read("dali", tmp_path)
    song = {"info": {"id": name, "artist": "A", "audio": {"url": "abcdefghijk"}}}
    (tmp_path / "dali.json").write_text(json.dumps([song, song, {"info": {}}, 1]))
    [entry], dropped = read("dali", tmp_path)
    assert (entry.native_id, entry.shared_ids) == (name, ("youtube:abcdefghijk",))
    assert reasons(dropped) == {
        "pickle": 1,
        "no-audio-folder": 1,
        "repeated-id": 1,
        "malformed-row": 2,
    }
    assert not (tmp_path / "it ran").exists()


def test_musdb18_in_both_forms(corpora: Path):
    entries, dropped = read("musdb18", corpora / "musdb18")
    assert dropped == []
    assert {entry.audio.rpartition("/")[2] for entry in entries if "mixture" in entry.audio} == {
        "mixture.wav"
    }
    assert sum(entry.audio.endswith(".stem.mp4") for entry in entries) == 3
    assert [entry.split for entry in entries] == ["test" if entry.evaluation_only else "train"
                                                  for entry in entries]  # fmt: skip
    assert all(tag.kind == "genre" for entry in entries for tag in entry.tags)
    assert all(entry.artist and entry.title and entry.tags for entry in entries)


def test_songs_of_musdb18_that_are_unpacked_in_part(tmp_path: Path):
    whole = tmp_path / "train" / "A - B"
    half = tmp_path / "train" / "C - D"
    for folder, names in ((whole, "drums bass other vocals"), (half, "drums mixture")):
        folder.mkdir(parents=True)
        for name in names.split():
            (folder / f"{name}.wav").touch()
    (tmp_path / "train" / "A - B.stem.mp4").touch()
    [entry], dropped = read("musdb18", tmp_path)
    assert entry.audio == "train/A - B.stem.mp4"
    assert reasons(dropped) == {"known-missing-audio": 1, "incomplete-song": 2}
