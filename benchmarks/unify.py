"""Unification of FMA's 106,574 rows and of a million rows, and the reading of headers.

``python -m benchmarks.unify`` writes a ``tracks.csv`` of made-up rows in FMA's format, and runs
what the flow runs of it: reading, licences, sampling, groups, splits, captions and files, without
opening audio. The million rows come from entries that are made as they are read. Each runs in a
process of its own, whose clock and most memory count. Headers are those of MP3s of 30 s.
"""

import argparse
import csv
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, report
from blocks.storage import Storage
from tasks import audio
from tasks.corpora.captioned.entry import Corpus, Dropped, Entry, Measured, Tag
from tasks.corpora.captioned.known import CORPORA
from tasks.engine.results import Results
from tasks.unify import assemble, headers
from tasks.unify.gather import Wanted, gather
from tasks.weights import Weights

FMA_ROWS = 106_574
MANY_ROWS = 1_000_000
FILES = 600

MOST_SECONDS = 8.0
MOST_MB = 800.0
MOST_MANY_MB = 4096.0
LEAST_FILES_PER_SECOND = 600.0

ALBUM = (
    *("comments", "date_created", "date_released", "engineer", "favorites", "id", "information"),
    *("listens", "producer", "tags", "title", "tracks", "type"),
)
ARTIST = (
    *("active_year_begin", "active_year_end", "associated_labels", "bio", "comments"),
    *("date_created", "favorites", "id", "latitude", "location", "longitude", "members", "name"),
    *("related_projects", "tags", "website", "wikipedia_page"),
)
TRACK = (
    *("bit_rate", "comments", "composer", "date_created", "date_recorded", "duration"),
    *("favorites", "genre_top", "genres", "genres_all", "information", "interest"),
    *("language_code", "license", "listens", "lyricist", "number", "publisher", "tags", "title"),
)
COLUMNS = (
    *(("album", name) for name in ALBUM),
    *(("artist", name) for name in ARTIST),
    *(("set", name) for name in ("split", "subset")),
    *(("track", name) for name in TRACK),
)
"""FMA's 52."""

GENRES = {
    2: "International", 3: "Blues", 4: "Jazz", 5: "Classical", 8: "Old-Time / Historic",
    9: "Country", 10: "Pop", 12: "Rock", 13: "Easy Listening",
    14: "Soul-RnB", 15: "Electronic", 17: "Folk", 20: "Spoken", 21: "Hip-Hop",
    38: "Experimental", 1235: "Instrumental",
}  # fmt: skip
WORDS = ("guitar", "synthesizer", "calm", "upbeat", "drums", "piano", "lo-fi", "noise", "energetic")
LICENCES = (
    "Attribution-NonCommercial-ShareAlike 3.0 International",
    "Attribution 4.0",
    "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0",
)
BIOGRAPHY = "<p>They met in a cellar, with two guitars and a broken drum machine.\n</p>" * 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        what, folder = options.only
        measure(what, Path(folder))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_fma(folder / "fma", FMA_ROWS)
        seconds, memory_mb = apart("fma", folder)
        many_seconds, many_mb = apart("many", folder)
        per_second, again = probed(folder / "files")
    return report(
        [
            Figure("FMA, rows", FMA_ROWS),
            Figure("FMA unified", seconds, "s", at_most=MOST_SECONDS),
            Figure("most memory", memory_mb, "MiB", at_most=MOST_MB),
            Figure("rows", MANY_ROWS),
            Figure("unified, split and sampled", many_seconds, "s"),
            Figure("most memory", many_mb, "MiB", at_most=MOST_MANY_MB),
            Figure("headers", per_second, "files/CPU s", at_least=LEAST_FILES_PER_SECOND),
            Figure("headers that are remembered", again, "files/CPU s"),
        ]
    )


def apart(what: str, folder: Path) -> tuple[float, float]:
    """Seconds and MiB of a unification in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.unify", "--only", what, str(folder)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(said[-2]), float(said[-1])


def measure(what: str, folder: Path) -> None:
    """Unify, and print seconds and MiB."""
    start = time.perf_counter()
    if what == "fma":
        corpora, wanted = [(CORPORA["fma"], folder / "fma")], Wanted(check_audio=False)
    else:
        made = Corpus("made", "Made-up rows", many, "CC0-1.0", "")
        corpora = [(made, folder)]
        wanted = Wanted(check_audio=False, max_samples=900_000, stratify_by="duration")
    gathered = gather(corpora, wanted, None)
    results = Results([], [], Storage(str(folder / "steps")), Weights(str(folder)))
    out = folder / f"{what}.json"
    found = assemble.assemble(
        results, gathered, out, Storage(str(folder / what / "out")), seed=42, captions=4, options={}
    )
    seconds = time.perf_counter() - start
    if found.composition.rows != {"fma": FMA_ROWS - 2, "many": 900_000}[what]:
        raise RuntimeError(f"{found.composition.rows} rows are not what was to come of it")
    if min(found.composition.splits().values()) < 0.09 * found.composition.rows:
        raise RuntimeError("the splits are not 80/10/10")
    print(
        f"{time.process_time():.2f} s of CPU time",
        seconds,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def write_fma(folder: Path, rows: int) -> None:
    """Write FMA's metadata with made-up rows, as its authors publish them."""
    random = np.random.default_rng(0)
    (folder / "fma_metadata").mkdir(parents=True)
    (folder / "fma_full").mkdir()
    with open(folder / "fma_metadata" / "genres.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("genre_id", "#tracks", "parent", "title", "top_level"))
        table.writerows((number, 1, 0, title, number) for number, title in GENRES.items())
    numbers = list(GENRES)
    with open(folder / "fma_metadata" / "tracks.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("", *(group for group, _ in COLUMNS)))
        table.writerow(("", *(name for _, name in COLUMNS)))
        table.writerow(("track_id", *("" for _ in COLUMNS)))
        # Half of FMA's tracks have no main genre; a fifth have tags.
        # FMA's rows name a few thousand sets of genres, the frequent ones most of the time.
        sets = random.integers(0, len(GENRES), (3_000, 3))
        chosen = sets[np.minimum(random.zipf(1.2, rows) - 1, len(sets) - 1)]
        words = random.integers(0, len(WORDS), (rows, 3))
        # Those without audio or without genre would be left out.
        for at, track in enumerate(identities(rows)):
            genres = [numbers[each] for each in chosen[at, : 1 + at % 3]]
            row = dict.fromkeys(COLUMNS, "")
            row |= {
                ("artist", "bio"): BIOGRAPHY,
                ("artist", "id"): str(at // 7),
                ("artist", "name"): f"Artist No. {at // 7}",
                ("artist", "tags"): "[]",
                ("album", "title"): f"Album {at // 12}",
                ("album", "id"): str(at // 12),
                ("album", "tags"): "[]",
                ("set", "split"): "training",
                ("set", "subset"): "full",
                ("track", "duration"): str(60 + at % 400),
                ("track", "genre_top"): GENRES[genres[0]] if at % 2 else "",
                ("track", "genres"): str(genres),
                ("track", "genres_all"): str(genres),
                ("track", "license"): LICENCES[at % len(LICENCES)],
                ("track", "tags"): str([WORDS[each] for each in words[at]] if at % 5 == 0 else []),
                ("track", "title"): f"Track, no. {at}",
            }
            table.writerow((track, *row.values()))


def identities(rows: int) -> Iterator[int]:
    """Numbers of tracks, rising, those that FMA has no audio of among them."""
    yield from range(2, rows)
    yield from (133_297, 200_000)


def many(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield a million entries."""
    random = np.random.default_rng(0)
    genres = list(GENRES.values())
    for start in range(0, MANY_ROWS, 10_000):
        chosen = random.integers(0, len(genres), 10_000).tolist()
        tempos = random.uniform(60, 180, 10_000).tolist()
        for at, genre, tempo in zip(range(start, start + 10_000), chosen, tempos, strict=True):
            yield Entry(
                str(at),
                f"{at // 1000:03d}/{at}.mp3",
                tags=(Tag("genre", genres[genre]), Tag("mood", "calm"), Tag("instrument", "piano")),
                measured=Measured(tempo_bpm=tempo, key="F# minor"),
                duration_seconds=float(20 + at % 500),
                artist=f"Artist {at // 9}",
                artist_id=f"made:{at // 9}",
                title=f"Track {at}",
                shared_ids=(f"made:{at}",),
                licence="CC-BY-4.0",
            )


def probed(folder: Path) -> tuple[float, float]:
    """Headers that are read per second of CPU time: at first, and when they are remembered."""
    folder.mkdir()
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 30 * 44_100), np.float32)
    data = audio.mp3(noise, 44_100)
    paths = []
    for at in range(FILES):
        path = folder / f"{at}.mp3"
        path.write_bytes(data + str(at).encode())
        paths.append(str(path))
    memory = Storage(str(folder / "memory"))
    list(headers.read(paths[:1], None))
    rates = []
    for _ in range(2):
        start = time.process_time()
        found = list(headers.read(paths, memory))
        rates.append(FILES / (time.process_time() - start))
        if any(each.seconds is None or abs(each.seconds - 30) > 0.01 for each in found):
            raise RuntimeError("the headers do not say 30 s")
    return rates[0], rates[1]


if __name__ == "__main__":
    sys.exit(main())
