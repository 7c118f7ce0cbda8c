"""Public corpora in their true layouts, of short songs whose texts follow from their sound.

``python -m examples.corpora OUTPUT_DIR --datasets fma song_describer --count 20`` writes each as
``OUTPUT_DIR/<name>``. The first ``--shared`` songs are the same recordings in all corpora: those
of Jamendo (song_describer, mtg_jamendo, jamendo_max_caps) have its ids in common, the others
call song and artist otherwise. The second song of each is by one artist.
"""

import argparse
import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from examples.pieces import Piece, make_pieces
from examples.songs import write_audio

LICENCES = {
    "http://creativecommons.org/licenses/by/3.0/": "Creative Commons Attribution",
    "http://creativecommons.org/licenses/by-nc-sa/3.0/": (
        "Attribution-NonCommercial-ShareAlike 3.0 International"
    ),
    "http://creativecommons.org/licenses/by-sa/3.0/": "Attribution-ShareAlike 3.0 International",
}
"""Addresses of licences, in turn those of the songs, and what FMA calls them."""

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


def licence_of(piece: Piece) -> str:
    """Return the address of the licence of a piece."""
    return list(LICENCES)[piece.number % len(LICENCES)]


def write_song_describer(folder: Path, pieces: Iterable[Piece]) -> None:
    """``song_describer.csv``, and ``audio/NN/<id>.2min.mp3``."""
    rows: list[dict[str, Any]] = []
    for piece in pieces:
        shard = f"{piece.jamendo_id % 100:02d}"
        _mp3(folder / "audio" / shard / f"{piece.jamendo_id}.2min.mp3", piece)
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
            _mp3(folder / "fma_small" / f"{number // 1000:03d}" / f"{number:06d}.mp3", piece)
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
        _mp3(folder / "audio" / path, piece)
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


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of equal keys as a CSV with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def _mp3(path: Path, piece: Piece) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, piece.mix)


Write = Callable[[Path, Iterable[Piece]], None]

WRITERS: dict[str, Write] = {
    "song_describer": write_song_describer,
    "mtg_jamendo": write_mtg_jamendo,
    "fma": write_fma,
}
"""Corpus -> what writes it into a folder."""

OF_JAMENDO = frozenset({"song_describer", "mtg_jamendo", "jamendo_max_caps"})
"""Corpora that know a shared song by one id; the others call it otherwise."""


def write_corpus(
    name: str,
    folder: Path,
    count: int = 6,
    *,
    seconds: float = 4.0,
    shared: int = 1,
    seed: int = 1,
) -> Path:
    """Write a corpus in its true layout.

    Parameters
    ----------
    name
        As `WRITERS` has it.
    folder
        Where it comes to lie; made where it is not there.
    count, seconds
        How many songs, and how long they are.
    shared
        How many of them are the same recordings in all corpora.
    seed
        Of the songs that are its own.

    Returns
    -------
    Path
        The folder.
    """
    first = 10_000 * seed + 1_000 * (1 + list(WRITERS).index(name))
    other_names = name not in OF_JAMENDO
    WRITERS[name](folder, make_pieces(first, count, seconds, shared, other_names))
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the corpora that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m examples.corpora", description=__doc__)
    parser.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR")
    parser.add_argument(
        "--datasets", nargs="+", choices=list(WRITERS), default=list(WRITERS), metavar="NAME",
        help=f"which of {', '.join(WRITERS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--count", type=int, default=6, help="songs of each (default: 6)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each (default: 4)")
    parser.add_argument(
        "--shared", type=int, default=1, help="how many songs all have in common (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of their own songs (default: 1)")
    options = parser.parse_args(arguments)
    for name in options.datasets:
        folder = write_corpus(
            name,
            options.output_dir / name,
            options.count,
            seconds=options.seconds,
            shared=options.shared,
            seed=options.seed,
        )
        print(f"{folder}: {options.count} songs")


if __name__ == "__main__":
    main()
