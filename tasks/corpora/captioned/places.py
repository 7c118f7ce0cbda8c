"""Where the files of a corpus lie below its folder, and which corpus a folder holds."""

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tasks.audio import EXTENSIONS
from tasks.corpora.captioned.entry import CorpusError, Dropped

SIGNS: dict[str, tuple[str, ...]] = {
    "songmill": ("tracks.parquet",),
    "jamendo_max_caps": ("final_caption30sec.jsonl",),
    "musicbench": ("MusicBench_*.json",),
    "clotho": ("clotho_captions_*.csv",),
    "musiccaps": ("musiccaps*.csv",),
    "song_describer": ("song_describer*.csv",),
    "mtg_jamendo": ("autotagging*.tsv", "raw*.tsv"),
    "fma": ("raw_tracks.csv", "tracks.csv"),
    "musdb18": ("*.stem.mp4",),
    "dali": ("dali*.json", "DALI*.json", "[0-9a-f]" * 32 + ".gz", "[0-9a-f]" * 32 + ".json"),
}
"""Corpus -> names of files that show it; the first of the table that fits counts."""

_MAX_DEPTH = 2
_SHARD = re.compile(r"\d{2,3}")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".part")


def find_files(folder: Path, *patterns: str) -> list[Path]:
    """Return the files with such names, sorted, at the least depth that has any, at most two."""
    level = [folder]
    for _ in range(_MAX_DEPTH + 1):
        below: list[Path] = []
        found: list[Path] = []
        for each in level:
            for entry in _entries(each):
                if _is_folder(entry):
                    if not _SHARD.fullmatch(entry.name):
                        below.append(Path(entry.path))
                elif any(fnmatch(entry.name, pattern) for pattern in patterns):
                    found.append(Path(entry.path))
        if found:
            return found
        level = below
    return []


def find_folder(folder: Path, name: str) -> Path | None:
    """Return a folder of that name directly in `folder` or in a folder of it."""
    for parent in (folder, *_folders(folder)):
        if parent.joinpath(name).is_dir():
            return parent / name
    return None


def sharded_audio(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folders with audio in folders of digits (``48/948.mp3``), the least deep first.

    Yields
    ------
    (Path, str)
        The folder, and what follows the number in the first file's name: ``.mp3``,
        ``.low.mp3``, ``.2min.mp3``.
    """
    level = [folder]
    for _ in range(_MAX_DEPTH + 2):
        for each in level:
            suffix = _suffix_in_shards(each)
            if suffix is not None:
                yield each, suffix
        level = [each for parent in level for each in _folders(parent)]


def wrong_folder(folder: Path, name: str, wanted: str) -> CorpusError:
    """Return the error that a folder does not hold a corpus, and what it seems to hold.

    Parameters
    ----------
    folder
        What was given.
    name
        The corpus as `SIGNS` calls it.
    wanted
        The files that were looked for, for people.
    """
    if not folder.is_dir():
        return CorpusError(f"{folder} is no folder: give the one that {name} lies in.")
    if not any(True for _ in _entries(folder)):
        return CorpusError(f"{folder} is empty: download {name} into it.")
    for other, patterns in SIGNS.items():
        if other != name and find_files(folder, *patterns):
            return CorpusError(
                f"{folder} has no {wanted}, and looks like {other}: read it as that, or give "
                f"the folder of {name}."
            )
    if archives := archives_in(folder):
        return CorpusError(
            f"{folder} has no {wanted}, but {', '.join(archives[:3])}: unpack what was downloaded."
        )
    return CorpusError(f"{folder} has no {wanted}: give the folder that {name} was unpacked into.")


def no_audio(folder: Path, wanted: str) -> Dropped:
    """Return the notice that a corpus has texts and no folder of audio."""
    archives = archives_in(folder)
    remedy = f"unpack {', '.join(archives[:3])}" if archives else "download its audio"
    sentence = f"There is no folder {wanted} in the corpus: {remedy}."
    return Dropped("no-audio-folder", ".", sentence, is_notice=True)


def archives_in(folder: Path) -> list[str]:
    """Return the names of the archives, and of what was downloaded in part, in a folder."""
    return [entry.name for entry in _entries(folder) if entry.name.endswith(_ARCHIVES)]


def audio_by_stem(folder: Path) -> dict[str, str]:
    """Return the audio files below a folder, by their names without suffix, as relative paths.

    Of two files of one name the first in the order of paths counts.
    """
    found: dict[str, str] = {}
    for path in audio_below(folder):
        found.setdefault(path.rpartition("/")[2].rpartition(".")[0], path)
    return found


def audio_below(folder: Path) -> Iterator[str]:
    """Yield the paths of all files named like audio below a folder, sorted folder by folder."""
    for path in files_below(folder, *EXTENSIONS):
        yield path.relative_to(folder).as_posix()


def numbered_audio(folder: Path) -> tuple[Path, str] | None:
    """Return the least deep folder with audio that a number names, and the suffix; or None."""
    level = [folder]
    for _ in range(_MAX_DEPTH + 2):
        for each in level:
            for entry in _entries(each):
                stem, suffix = os.path.splitext(entry.name)
                if stem.isdecimal() and suffix.lower() in EXTENSIONS:
                    return each, suffix
        level = [each for parent in level for each in _folders(parent)]
    return None


def files_below(folder: Path, *suffixes: str) -> Iterator[Path]:
    """Yield all files below a folder with such suffixes, sorted folder by folder."""
    yield from _files_below(folder, suffixes, frozenset())


def relative(folder: Path, place: Path) -> str:
    """Return the path of a folder below the corpus with a slash behind; empty for the corpus."""
    path = place.relative_to(folder).as_posix()
    return "" if path == "." else f"{path}/"


def _suffix_in_shards(folder: Path) -> str | None:
    shards = [
        entry for entry in _entries(folder) if _SHARD.fullmatch(entry.name) and _is_folder(entry)
    ]
    for shard in shards:
        for entry in _entries(Path(shard.path)):
            if found := re.fullmatch(r"\d+((?:\.\w+)?\.(?:mp3|wav|flac|ogg))", entry.name):
                return found[1]
    return None


def _folders(folder: Path) -> list[Path]:
    return [
        Path(entry.path)
        for entry in _entries(folder)
        if _is_folder(entry) and not _SHARD.fullmatch(entry.name)
    ]


def _files_below(folder: Path, suffixes: tuple[str, ...], above: frozenset[str]) -> Iterator[Path]:
    """Files below a folder; a link back to a folder `above` it leads no further."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in _entries(folder):
        if _is_folder(entry):
            yield from _files_below(Path(entry.path), suffixes, above | {real})
        elif entry.name.lower().endswith(suffixes):
            yield Path(entry.path)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what is in a folder, sorted, without what is hidden."""
    try:
        with os.scandir(folder) as found:
            shown = [each for each in found if not each.name.startswith(".")]
    except OSError:
        return []
    return sorted(shown, key=lambda each: each.name)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Return whether it is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
