"""Folders of sources: ``vocals/0001.wav``, ``drums/kit a.wav``, whatever songs they are of.

A name that several of the folders have is a song of which they hold the stems. Any other file is
a song of one source, which only remixes use. Folders ``train`` and ``test`` may lie above.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from blocks.storage import Storage
from tasks.corpora.layout import ROOT, Claim, artist_and_title, file_name, folder_of, is_audio
from tasks.corpora.names.arrange import is_part
from tasks.corpora.names.instruments import instrument_of, is_backing, is_mixture
from tasks.corpora.names.words import Words
from tasks.corpora.song import Song, StemFile
from tasks.corpora.source_table import SPLITS
from tasks.dataset.digests import FileFailure
from tasks.text import printable

MIN_LOOSE_FILES = 3
"""Fewer files in a folder, none of them named like one of another, are takes of one song."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file in a folder of a source: `place` is its split and its folders below the source's."""

    path: str
    source: str
    is_mixture: bool
    place: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def name(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.place, self.words


def find(source: Storage, paths: Sequence[str], *, sources: Sequence[str]) -> Claim:
    """Claim all audio, if every folder at the top is named after a source or an instrument.

    Parameters
    ----------
    source, paths
        As a layout gets them.
    sources
        Names that folders may have, beside those of instruments.
    """
    audio = [path for path in paths if is_audio(path)]
    files = _files(audio, {each.casefold() for each in sources})
    if files is None:
        return Claim()
    shared = _shared(files)
    folders = {file.source for file in files}
    if not shared and len(files) < MIN_LOOSE_FILES * len(folders):
        return Claim()
    claim = Claim(paths=set(audio))
    by_name: dict[object, list[_File]] = defaultdict(list)
    for file in files:
        by_name[file.name if file.name in shared else file.path].append(file)
    for of_one in by_name.values():
        stems = [_stem(file) for file in of_one if not file.is_mixture]
        mixtures = [_stem(file) for file in of_one if file.is_mixture]
        if stems:
            claim.songs.append(_song(stems, next(iter(mixtures), None)))
        else:
            path = of_one[0].path
            message = f"{printable(path)} is a mixture, and no folder holds a stem of its name."
            claim.failures.append(FileFailure(path, "mixture-alone", message))
    return claim


def _files(paths: Sequence[str], sources: set[str]) -> list[_File] | None:
    """Return the files by their sources; None if one lies in no folder of a source."""
    base = os.path.commonpath([folder_of(path) for path in paths]) if paths else ROOT
    above = 0 if base in ("", ROOT) else len(PurePosixPath(base).parts)
    files = []
    for path in paths:
        parts = PurePosixPath(path).parts[above:]
        split = parts[:1] if parts[0].casefold() in SPLITS else ()
        name, *below = parts[len(split) : -1] or ("",)
        if not (name.casefold() in sources or is_part(name)):
            return None
        is_stem = name.casefold() in sources or is_backing(name) or not is_mixture(name)
        files.append(
            _File(path, name.casefold(), not is_stem, (*split, *below), _words(path, name))
        )
    stems = {file.source for file in files if not file.is_mixture}
    return files if len(stems) > 1 else None


def _words(path: str, source: str) -> tuple[str, ...]:
    """Words of a file's name but for those that only repeat the folder's."""
    instrument = instrument_of(source)
    words = [word.text for word in Words(file_name(path)).words]
    own = {word.text for word in Words(source).words}
    return tuple(
        word
        for word in words
        if word not in own and (instrument is None or instrument_of(word) != instrument)
    )


def _shared(files: Sequence[_File]) -> set[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Names that files of several sources have; numbers alone only if all sources have all."""
    by_source: dict[str, set[tuple[tuple[str, ...], tuple[str, ...]]]] = defaultdict(set)
    for file in files:
        by_source[file.source].add(file.name)
    counts = Counter(name for names in by_source.values() for name in names)
    are_alike = len(set(map(frozenset, by_source.values()))) == 1
    return {
        file.name
        for file in files
        if counts[file.name] > 1 and (are_alike or not all(word.isdigit() for word in file.words))
    }


def _stem(file: _File) -> StemFile:
    return StemFile(file.source, file.path, instrument_of(file.source))


def _song(stems: Sequence[StemFile], mixture: StemFile | None) -> Song:
    names = [file_name(stem.path) for stem in stems]
    # Of characters, not of folders.
    shared = os.path.commonprefix(names).strip(" _-([")  # noqa: RUF071
    artist, title = artist_and_title(shared or names[0])
    return Song("", stems[0].path, artist=artist, title=title, stems=stems, mixture=mixture)
