"""Song Describer, FMA, MTG-Jamendo and JamendoMaxCaps in their true layouts."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from examples.corpus_files import LICENCES, licence_of, write_csv, write_json_lines, write_mix
from examples.pieces import Piece

# fmt: off
_FMA_COLUMNS = {
    "album": (
        "comments", "date_created", "date_released", "engineer", "favorites", "id", "information",
        "listens", "producer", "tags", "title", "tracks", "type",
    ),
    "artist": (
        "active_year_begin", "active_year_end", "associated_labels", "bio", "comments",
        "date_created", "favorites", "id", "latitude", "location", "longitude", "members", "name",
        "related_projects", "tags", "website", "wikipedia_page",
    ),
    "set": ("split", "subset"),
    "track": (
        "bit_rate", "comments", "composer", "date_created", "date_recorded", "duration",
        "favorites", "genre_top", "genres", "genres_all", "information", "interest",
        "language_code", "license", "listens", "lyricist", "number", "publisher", "tags", "title",
    ),
}
# fmt: on
_FMA_GENRES = {"Ambient": 107, "Downtempo": 468, "Synth-Pop": 362, "Techno": 181}
_FMA_SPLITS = ("training", "training", "training", "validation", "test")


def write_song_describer(folder: Path, pieces: Iterable[Piece]) -> None:
    """``song_describer.csv``, and ``audio/NN/<id>.2min.mp3``."""
    rows: list[dict[str, Any]] = []
    for piece in pieces:
        shard = f"{piece.jamendo_id % 100:02d}"
        write_mix(folder / "audio" / shard / f"{piece.jamendo_id}.2min.mp3", piece)
        for caption in (piece.caption, piece.other_caption):
            rows.append(
                {
                    "caption_id": len(rows),
                    "track_id": piece.jamendo_id,
                    "caption": caption,
                    "is_valid_subset": piece.index % 3 > 0,
                    "familiarity": piece.index % 6,
                    "artist_id": piece.artist_number,
                    "album_id": piece.artist_number,
                    "path": f"{shard}/{piece.jamendo_id}.mp3",
                    "duration": piece.duration_seconds,
                }
            )
    write_csv(folder / "song_describer.csv", rows)


def write_fma(folder: Path, pieces: Iterable[Piece]) -> None:
    """``fma_metadata/tracks.csv`` and ``genres.csv``, and ``fma_small/000/000002.mp3``."""
    columns = [(group, name) for group, names in _FMA_COLUMNS.items() for name in names]
    metadata = folder / "fma_metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    with (metadata / "tracks.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["", *(group for group, _ in columns)])
        table.writerow(["", *(name for _, name in columns)])
        table.writerow(["track_id", *[""] * len(columns)])
        for piece in pieces:
            number = piece.number + 2
            write_mix(folder / "fma_small" / f"{number // 1000:03d}" / f"{number:06d}.mp3", piece)
            genres = [_FMA_GENRES[piece.genre]]
            tags = [piece.mood, *piece.instruments]
            cells = {
                ("album", "id"): piece.artist_number,
                ("album", "title"): f"Album {piece.artist_number}",
                ("album", "information"): f"<p>By {piece.artist},\n and others</p>",
                ("album", "tags"): "[]",
                ("artist", "id"): piece.artist_number,
                ("artist", "name"): piece.artist,
                ("artist", "tags"): "[]",
                ("set", "split"): _FMA_SPLITS[piece.number % len(_FMA_SPLITS)],
                ("set", "subset"): "small",
                ("track", "duration"): round(piece.duration_seconds),
                ("track", "genre_top"): piece.genre,
                ("track", "genres"): genres,
                ("track", "genres_all"): genres,
                ("track", "license"): LICENCES[licence_of(piece)],
                ("track", "tags"): tags if piece.has_vocals else [*tags, "instrumental"],
                ("track", "title"): piece.title,
            }
            table.writerow([number, *(cells.get(column, "") for column in columns)])
    genres_rows = [
        {"genre_id": number, "#tracks": 1, "parent": 0, "title": title, "top_level": number}
        for title, number in _FMA_GENRES.items()
    ]
    write_csv(metadata / "genres.csv", genres_rows)


def write_mtg_jamendo(folder: Path, pieces: Iterable[Piece]) -> None:
    """TSV files in ``data``, ``audio_licenses.txt``, and ``audio/NN/<id>.mp3``."""
    header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
    names = ["TRACK_ID\tARTIST_ID\tALBUM_ID\tTRACK_NAME\tARTIST_NAME\tALBUM_NAME\tRELEASEDATE\tURL"]
    rows: dict[str, list[str]] = {"train": [header], "validation": [header], "test": [header]}
    licences = []
    for piece in pieces:
        path = f"{piece.jamendo_id % 100:02d}/{piece.jamendo_id}.mp3"
        write_mix(folder / "audio" / path, piece)
        ids = [f"track_{piece.jamendo_id:07d}", f"artist_{piece.artist_number:06d}"]
        ids.append(f"album_{piece.artist_number:06d}")
        tags = [f"genre---{piece.genre.lower().replace('-', '')}", f"mood/theme---{piece.mood}"]
        tags += [f"instrument---{name}" for name in piece.instruments]
        tags += ["instrument---voice"] if piece.has_vocals else []
        row = "\t".join([*ids, path, f"{piece.duration_seconds:.1f}", *tags])
        # As those of Song Describer, songs that it shares are in the test set.
        split = "test" if piece.number == piece.index else ("train", "validation")[piece.index % 2]
        rows[split].append(row)
        url = f"http://www.jamendo.com/track/{piece.jamendo_id}"
        described = [piece.title, piece.artist, f"Album {piece.artist_number}", "2010-01-01", url]
        names.append("\t".join([*ids, *described]))
        licences += [path, f"{piece.title} by {piece.artist} from Jamendo: {url}"]
        licences += [f"Available under a Creative Commons license: {licence_of(piece)}", ""]
    splits = folder / "data" / "splits" / "split-0"
    splits.mkdir(parents=True, exist_ok=True)
    every = [header, *(row for each in rows.values() for row in each[1:])]
    for path, lines in (
        (folder / "data" / "autotagging.tsv", every),
        (folder / "data" / "raw.meta.tsv", names),
        (folder / "audio_licenses.txt", licences),
        *((splits / f"autotagging-{split}.tsv", lines) for split, lines in rows.items()),
    ):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_jamendo_max_caps(folder: Path, pieces: Iterable[Piece]) -> None:
    """``2010-01-01.jsonl``, of which a second shard repeats the last track, captions, and audio."""
    rows, captions = [], []
    for piece in pieces:
        write_mix(folder / "audio" / f"{piece.jamendo_id}.mp3", piece)
        number = str(piece.jamendo_id)
        tags = {"genres": [piece.genre.lower().replace("-", "")], "vartags": [piece.mood]}
        rows.append(
            {
                "id": number,
                "name": piece.title,
                "duration": round(piece.duration_seconds),
                "artist_id": str(piece.artist_number),
                "artist_name": piece.artist,
                "album_id": str(piece.artist_number),
                "album_name": f"Album {piece.artist_number}",
                "license_ccurl": licence_of(piece),
                "musicinfo": {
                    "vocalinstrumental": "vocal" if piece.has_vocals else "instrumental",
                    "speed": {"slow": "low", "medium": "medium", "fast": "high"}[piece.speed],
                    "tags": {**tags, "instruments": piece.instruments},
                },
            }
        )
        # The second window stands first: the files are not in order.
        for start, caption in ((30.0, piece.other_caption), (0.0, piece.caption)):
            window = {"id": number, "start_time": start, "end_time": start + 30.0}
            captions.append({**window, "caption": caption})
    write_json_lines(folder / "2010-01-01.jsonl", rows)
    write_json_lines(folder / "2010-01-02.jsonl", rows[-1:])
    write_json_lines(folder / "final_caption30sec.jsonl", captions)
