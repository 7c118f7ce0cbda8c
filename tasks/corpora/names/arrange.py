"""Which files are stems of one song, by their folders and names.

A folder that is named after an instrument, or a mixture, is a part of a song, and not a song:
``Song/Drums/01.wav``. Where such folders hold files of several titles, each title is a song:
``vocals/Alpha.wav``, ``drums/Alpha.wav``, ``drums/Beta.wav``. Where a folder holds several stems
of each of several titles, each title is a song as well: ``Alpha_(Vocals).wav``.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from os.path import commonpath
from pathlib import PurePosixPath

from tasks.corpora.names.instrument_words import NEUTRAL
from tasks.corpora.names.shared_words import is_plain_word, shared_spans
from tasks.corpora.names.titles import folder_of, marks_of, stem_of, titles
from tasks.corpora.names.words import Words

COMPARED_FOLDERS = 200
"""An archive of more is made to keep the program busy."""


@dataclass(frozen=True, slots=True)
class Group:
    """Files that are stems of one song.

    Attributes
    ----------
    folder
        The song's own folder, "" for the outermost; folders of instruments are left out of it.
    title
        What the files' names say of the song, where several songs lie in one folder.
    paths
        The files, and what each is called: its name without suffix, after folders within the
        song's if there are any.
    doubt
        Titles that the names may stand for, if so: then there are several songs.
    """

    folder: str
    title: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)
    doubt: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The folder that holds all files."""
        return _common_folder(self.paths)


def arranged(paths: Iterable[str]) -> list[Group]:
    """Return the songs that files are stems of, in the order of their folders and titles.

    Parameters
    ----------
    paths
        Audio files below one place.
    """
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_folder[folder_of(path)].append(path)
    keys = _keys(by_folder)
    by_key: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for folder in by_folder:
        by_key[keys[folder]].append(folder)
    groups: list[Group] = []
    for key, folders in sorted(by_key.items()):
        inside = [path for folder in folders for path in sorted(by_folder[folder])]
        name = "/".join(key)
        of_parts = {folder for folder in folders if folder != name}
        chosen, doubt = titles(inside, of_parts)
        for title, of_title in sorted(chosen.items()):
            groups.append(Group(name, title, _named(of_title, name), doubt))
    return groups


def as_one_song(paths: Iterable[str]) -> Group:
    """Return the files of a place that is one song, such as an archive, by what each is called.

    Raises
    ------
    SeveralSongsError
        If they are stems of several.
    """
    groups = arranged(paths)
    titled = [group.title for group in groups if group.title]
    if len(titled) > 1:
        raise SeveralSongsError(titled)
    own = [(group.folder, _own_names(group)) for group in groups[:COMPARED_FOLDERS]]
    for (first, names), (second, others) in combinations(own, 2):
        if len(names & others) > 1:
            raise SeveralSongsError([first, second])
    every = [path for group in groups for path in group.paths]
    folder = groups[0].folder if len(groups) == 1 else ""
    doubt = next((group.doubt for group in groups if group.doubt), ())
    return Group(folder, "", _named(every, folder), doubt)


def titles_in_doubt(names: Sequence[str]) -> tuple[str, ...]:
    """Return titles that the names of one song's stems may stand for, if there are several.

    Parameters
    ----------
    names
        As :func:`arranged` gives them.
    """
    return next((group.doubt for group in arranged(f"{name.strip('/')}.wav" for name in names)), ())


class SeveralSongsError(ValueError):
    """Files that are stems of several songs; `titles` are some of them."""

    def __init__(self, titles: Sequence[str]) -> None:
        super().__init__(", ".join(titles))
        self.titles = list(titles)


def _common_folder(paths: Iterable[str]) -> str:
    return commonpath([folder_of(path) for path in paths])


def _named(paths: Sequence[str], folder: str) -> dict[str, str]:
    """Return what files are called: with the folders of instruments that they lie in."""
    root = _parts(_common_folder(paths))
    if root != _parts(folder):
        while root and is_part(root[-1]):
            root = root[:-1]
    names = {}
    for path in paths:
        below = [
            part for part in _parts(folder_of(path))[len(root) :] if part not in _parts(folder)
        ]
        names[path] = "/".join([*below, stem_of(path)])
    return names


def _own_names(group: Group) -> set[str]:
    """Return what tells a group's files apart: names without what all of them share."""
    names = [marks_of(stem_of(path)) for path in group.paths]
    own = set()
    for path, each, spans in zip(group.paths, names, shared_spans(names), strict=True):
        words = [
            word.text
            for word in each.words.words
            if not any(start <= word.start and word.end <= end for start, end in spans)
        ]
        below = folder_of(group.paths[path])
        own.add(f"{below}/{' '.join(words)}{PurePosixPath(path).suffix}".casefold())
    return own


def _keys(by_folder: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the song's folder of each folder, as its parts: without those of instruments."""
    keys = {folder: _key(folder) for folder in by_folder}
    siblings: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for folder, key in keys.items():
        if key != _parts(folder):
            siblings[key].append(folder)
    for folders in siblings.values():
        told = {folder: _told(by_folder[folder]) for folder in folders}
        # A song named like an instrument holds several of them; so do songs of such a genre.
        first = folders[0]
        alone = len(folders) == 1 and (len(told[first]) > 1 or not is_part(_parts(first)[-1]))
        alike = any(
            len(told[a] & told[b]) > (1 if told[a] == told[b] else 2)
            for a, b in combinations(folders, 2)
        )
        if alone:
            keys[first] = _parts(first)
        elif alike:
            keys |= {folder: _parts(folder) for folder in folders if len(told[folder]) > 1}
    return keys


def _key(folder: str) -> tuple[str, ...]:
    key: list[str] = []
    in_a_part = False
    for part in _parts(folder):
        named = is_part(part)
        if not named and not (in_a_part and _is_neutral(part)):
            key.append(part)
        in_a_part = in_a_part or named
    return tuple(key)


def _parts(folder: str) -> tuple[str, ...]:
    return tuple(part for part in folder.split("/") if part)


def is_part(name: str) -> bool:
    """Return whether a folder is named after an instrument or a mixture, and nothing else."""
    marks = marks_of(name)
    spans = [*((hit.start, hit.end) for hit in marks.hits), *marks.mixtures]
    return bool(spans) and all(
        is_plain_word(marks, word)
        or any(start <= word.start and word.end <= end for start, end in spans)
        for word in marks.words.words
    )


def _is_neutral(name: str) -> bool:
    return all(word.is_number or word.text in NEUTRAL for word in Words(name).words)


def _told(paths: Sequence[str]) -> set[str]:
    """Return the instruments that files are named after, within their folder, and nothing else."""
    names = [marks_of(stem_of(path)) for path in paths]
    return {
        instrument
        for each, spans in zip(names, shared_spans(names), strict=True)
        if all(
            is_plain_word(each, word) or any(a <= word.start and word.end <= b for a, b in spans)
            for word in each.words.words
        )
        and (instrument := each.instrument(spans))
    }
