"""Corpora of clips, and of songs with little said of them, in their true layouts."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from examples.band import Stereo
from examples.corpus_files import licence_of, write_csv, write_json_lines, write_mix
from examples.pieces import Piece
from examples.songs import write_audio
from examples.voice import RATE_HZ

_CLOTHO_PARTS = ("development", "development", "validation", "evaluation")


def video_of(piece: Piece) -> str:
    """Id of a video, of eleven characters; some begin with a dash."""
    return f"-yt_{piece.number:07d}" if piece.index % 3 == 0 else f"yt-A{piece.number:07d}"


def write_clotho(folder: Path, pieces: Iterable[Piece]) -> None:
    """Captions, metadata in ISO-8859-1, and a folder of WAV files for each part."""
    captions: dict[str, list[dict[str, str]]] = {part: [] for part in _CLOTHO_PARTS}
    metadata: dict[str, list[dict[str, object]]] = {part: [] for part in _CLOTHO_PARTS}
    for piece in pieces:
        part = _CLOTHO_PARTS[piece.index % len(_CLOTHO_PARTS)]
        file = f"Sound, no. {piece.number}.wav"
        write_mix(folder / part / file, piece)
        texts = [piece.caption, piece.other_caption, f"There is {piece.mood} music."]
        texts += [f"Somebody plays {piece.instruments[0]}." if piece.instruments else "A voice."]
        texts += [f"It is a {piece.speed} piece."]
        numbered = {f"caption_{number}": text for number, text in enumerate(texts, 1)}
        captions[part].append({"file_name": file, **numbered})
        metadata[part].append(
            {
                "file_name": file,
                "keywords": ";".join([*piece.instruments, piece.mood, "field-recording"]),
                "sound_id": 50_000 + piece.number,
                "sound_link": f"https://freesound.org/people/x/sounds/{50_000 + piece.number}",
                "start_end_samples": "[0, 176400]",
                "manufacturer": f"Jos\u00e9 {piece.artist_number}",
                "license": licence_of(piece),
            }
        )
    for part, rows in captions.items():
        if rows:
            write_csv(folder / f"clotho_captions_{part}.csv", rows)
            write_csv(folder / f"clotho_metadata_{part}.csv", metadata[part], "iso-8859-1")


def write_musicbench(folder: Path, pieces: Iterable[Piece]) -> None:
    """``MusicBench_{train,test_A,test_B}.json``, and WAV files in ``data`` and ``data_aug2``."""
    files: dict[str, list[dict[str, object]]] = {"train": [], "test_A": [], "test_B": []}
    for piece in pieces:
        part = ("train", "train", "test_A", "train", "test_B")[piece.index % 5]
        location = f"data/{video_of(piece)}.wav"
        if piece.index % 3 == 1:
            location = f"data_aug2/{video_of(piece)}_1.wav"
        write_mix(folder / location, piece)
        beat = 60 / piece.tempo_bpm
        times = np.arange(0, piece.duration_seconds, beat)
        row = {
            "dataset": "MusicBench",
            "location": location,
            "main_caption": piece.caption,
            "alt_caption": "",
            "prompt_bpm": f"The bpm is {piece.tempo_bpm:.0f}.",
            "prompt_key": f"The key is {piece.key}.",
            "beats": [times.round(2).tolist(), [1.0 + i % 4 for i in range(len(times))]],
            "bpm": piece.tempo_bpm,
            "chords": [],
            "chords_time": [],
            "key": piece.key.split(),
            "keyprob": [0.8],
            "is_audioset_eval_mcaps": part != "train",
        }
        # A file has a row per caption.
        files[part] += [row, row | {"main_caption": piece.other_caption}]
    for part, rows in files.items():
        write_json_lines(folder / f"MusicBench_{part}.json", rows)


def write_musiccaps(folder: Path, pieces: Iterable[Piece]) -> None:
    """``musiccaps-public.csv``, and WAV files that the id names, as different tools write it."""
    rows = []
    for piece in pieces:
        video = video_of(piece)
        name = video if piece.index % 2 else f"[{video}]-[30-40]"
        write_mix(folder / "audio" / f"{name}.wav", piece)
        aspects = [piece.mood, *piece.instruments, f"{piece.speed} tempo", f"{piece.genre} music"]
        aspects += ["singing"] if piece.has_vocals else ["no voices"]
        rows.append(
            {
                "ytid": video,
                "start_s": 30,
                "end_s": 40,
                "audioset_positive_labels": "/m/04rlf,/m/0140xf",
                "aspect_list": repr(aspects),
                "caption": f"{piece.caption} {piece.other_caption}",
                "author_id": 4,
                "is_balanced_subset": False,
                "is_audioset_eval": piece.index % 3 == 2,
            }
        )
    write_csv(folder / "musiccaps-public.csv", rows)


def write_dali(folder: Path, pieces: Iterable[Piece]) -> None:
    """``annotations/<id>.json`` and ``audio/<id>.mp3``."""
    for piece in pieces:
        number = f"{piece.number:032x}"
        write_mix(folder / "audio" / f"{number}.mp3", piece)
        word = {"text": "la", "time": [0.5, 1.0], "freq": [220.0, 220.0], "index": 0}
        song = {
            "info": {
                "id": number,
                "artist": piece.artist,
                "title": piece.title,
                "scores": {"NCC": 0.9},
                "audio": {"url": video_of(piece), "path": "None", "working": True},
                "metadata": {
                    "album": f"Album {piece.artist_number}",
                    "release_date": "2010",
                    "genres": [piece.genre],
                    "language": "english",
                },
            },
            "annotations": {"annot": {"words": [word] if piece.has_vocals else []}},
        }
        path = folder / "annotations" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(song), encoding="utf-8")


def write_musdb18(folder: Path, pieces: Iterable[Piece]) -> None:
    """``train`` and ``test``, songs of the one form and of the other in turn, ``tracklist.csv``."""
    rows = []
    for piece in pieces:
        part = "test" if piece.index % 3 == 2 else "train"
        name = f"{piece.artist} - {piece.title}"
        silence = np.zeros_like(piece.mix)
        stems = {
            stem: piece.stems.get("chords" if stem == "other" else stem, silence)
            for stem in ("drums", "bass", "other", "vocals")
        }
        if piece.index % 2:
            (folder / part / name).mkdir(parents=True)
            for stem, samples in (("mixture", piece.mix), *stems.items()):
                write_audio(folder / part / name / f"{stem}.wav", samples)
        else:
            write_stem_mp4(folder / part / f"{name}.stem.mp4", [piece.mix, *stems.values()])
        rows.append({"Track Name": name, "Genre": piece.genre, "Source": "Songmill"})
    write_csv(folder / "tracklist.csv", rows)


def write_folder(folder: Path, pieces: Iterable[Piece]) -> None:
    """``<artist>/<title>.flac``; beside it, in turn, captions as text, fields as JSON, and both."""
    for piece in pieces:
        path = folder / piece.artist / f"{piece.title}.flac"
        write_mix(path, piece)
        if piece.index % 3 != 1:
            captions = f"{piece.caption}\n{piece.other_caption}\n"
            path.with_suffix(".txt").write_text(captions, encoding="utf-8")
        if piece.index % 3:
            fields = {
                "artist": piece.artist,
                "title": piece.title,
                "license": licence_of(piece),
                "genre": piece.genre,
                "mood": piece.mood,
                "instruments": piece.instruments,
                "tags": ["singing" if piece.has_vocals else "instrumental"],
                "tempo_bpm": piece.tempo_bpm,
                "key": piece.key,
                "metre": piece.metre,
            }
            path.with_suffix(".json").write_text(json.dumps(fields), encoding="utf-8")


def write_songmill(folder: Path, pieces: Iterable[Piece]) -> None:
    """``songs/X.flac`` and the Parquet files that build-dataset makes of them, from the truth."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.song import schema

    tracks, segments = [], []
    for piece in pieces:
        path = f"songs/{piece.number}.flac"
        write_mix(folder / path, piece)
        tonic, mode = piece.key.split()
        track = {
            "track_id": f"{piece.number:032x}",
            "source_id": str(piece.number),
            "file_path": path,
            "artist": piece.artist,
            "title": piece.title,
            "genre": piece.genre,
            "mood": piece.mood.title(),
            "instruments": ", ".join(name.title() for name in piece.instruments),
            "duration": piece.duration_seconds,
            "tempo": piece.tempo_bpm,
            "dominant_key": tonic,
            "mode": mode,
            "time_signature": piece.metre,
            "content": "singing" if piece.has_vocals else "music",
            "is_instrumental": not piece.has_vocals,
            "tags": [],
        }
        tracks.append(track)
        segment = {"track_id": track["track_id"], "segment_idx": 0, "section_type": "chorus"}
        segments.append(segment)
    (folder / "dataset").mkdir(parents=True, exist_ok=True)
    for name, rows, columns in (
        ("tracks", tracks, schema.TRACKS),
        ("segments", segments, schema.SEGMENTS),
    ):
        table = pa.Table.from_pylist(rows, schema=columns)
        pq.write_table(table, folder / "dataset" / f"{name}.parquet")


def write_stem_mp4(path: Path, waves: list[Stereo]) -> None:
    """Write a stream of AAC for the mixture and for each stem."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream("aac", rate=RATE_HZ, layout="stereo") for _ in waves]
        for stream, wave in zip(streams, waves, strict=True):
            samples = np.ascontiguousarray(wave, np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate = RATE_HZ
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
