"""Which files are stems of one song, by their folders and names.

A folder that is named after an instrument, or a mixture, is a part of a song, and not a song:
``Song/Drums/01.wav``. Where such folders hold files of several titles, each title is a song:
``vocals/Alpha.wav``, ``drums/Alpha.wav``, ``drums/Beta.wav``. Where a folder holds several stems
of each of several titles, each title is a song as well: ``Alpha_(Vocals).wav``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from os.path import commonpath
from pathlib import PurePosixPath

from tasks.stems.instrument_words import NEUTRAL, SYNONYMS
from tasks.stems.marks import Marks, Span
from tasks.stems.shared_words import is_plain_word, shared_spans
from tasks.stems.words import Word, Words

NUMBERED_SONGS = 8
"""From so many numbers on that each stand for the same instruments, numbers are songs: takes of
all instruments alike are rarely more."""

MIXTURE = "mixture"

UNITS = frozenset(("bpm", "hz", "khz"))
MUSICAL_KEY = re.compile(r"[a-h](?:is|es|s)?(?:maj|min|major|minor|dur|moll)")
"""Which tell something of a song, but not its title."""


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
        by_folder[_folder(path)].append(path)
    keys = _keys(by_folder)
    by_key: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for folder in by_folder:
        by_key[keys[folder]].append(folder)
    groups: list[Group] = []
    for key, folders in sorted(by_key.items()):
        inside = [path for folder in folders for path in sorted(by_folder[folder])]
        name = "/".join(key)
        of_parts = {folder for folder in folders if folder != name}
        titles, doubt = _titles(inside, of_parts)
        for title, chosen in sorted(titles.items()):
            groups.append(Group(name, title, _named(chosen, name), doubt))
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
    for first, second in combinations(groups, 2):
        if len(_own_names(first) & _own_names(second)) > 1:
            raise SeveralSongsError([first.folder, second.folder])
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
    return next((group.doubt for group in arranged(f"{name}.wav" for name in names)), ())


class SeveralSongsError(ValueError):
    """Files that are stems of several songs; `titles` are some of them."""

    def __init__(self, titles: Sequence[str]) -> None:
        super().__init__(", ".join(titles))
        self.titles = list(titles)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _common_folder(paths: Iterable[str]) -> str:
    return commonpath([_folder(path) for path in paths])


def _named(paths: Sequence[str], folder: str) -> dict[str, str]:
    """Return what files are called: with the folders of instruments that they lie in."""
    root = _parts(_common_folder(paths))
    if root != _parts(folder):
        while root and _is_part(root[-1]):
            root = root[:-1]
    names = {}
    for path in paths:
        below = [part for part in _parts(_folder(path))[len(root) :] if part not in _parts(folder)]
        names[path] = "/".join([*below, _stem(path)])
    return names


def _own_names(group: Group) -> set[str]:
    """Return what tells a group's files apart: names without what all of them share."""
    names = [Marks(Words(_stem(path)), SYNONYMS) for path in group.paths]
    own = set()
    for path, each, spans in zip(group.paths, names, shared_spans(names), strict=True):
        words = [
            word.text
            for word in each.words.words
            if not any(start <= word.start and word.end <= end for start, end in spans)
        ]
        below = _folder(group.paths[path])
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
        alone = len(folders) == 1 and (len(told[first]) > 1 or not _is_part(_parts(first)[-1]))
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
        is_part = _is_part(part)
        if not is_part and not (in_a_part and _is_neutral(part)):
            key.append(part)
        in_a_part = in_a_part or is_part
    return tuple(key)


def _parts(folder: str) -> tuple[str, ...]:
    return tuple(part for part in folder.split("/") if part)


def _is_part(name: str) -> bool:
    """Return whether a folder is named after an instrument or a mixture, and nothing else."""
    marks = Marks(Words(name), SYNONYMS)
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
    names = [Marks(Words(_stem(path)), SYNONYMS) for path in paths]
    return {
        instrument
        for each, spans in zip(names, shared_spans(names), strict=True)
        if all(
            is_plain_word(each, word) or any(a <= word.start and word.end <= b for a, b in spans)
            for word in each.words.words
        )
        and (instrument := each.instrument(spans))
    }


def _titles(
    paths: Sequence[str], of_parts: set[str]
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the files of each title of a song's folder, and titles that they may stand for."""
    one = {"": list(paths)}
    if of_parts:
        return _by_title(paths, of_parts) or one, ()
    names = [Marks(Words(_stem(path)), SYNONYMS) for path in paths]
    titles = [_titled(each) for each in names]
    for found, least in ((titles, 2), *_numbers(names)):
        chosen, is_sure = _chosen(found, least)
        if len(chosen) > 1 and not is_sure:
            return one, tuple(sorted(title.text for title in chosen))[:3]
        if len(chosen) > 1:
            return _distributed(paths, names, found, chosen), ()
    return one, ()


@dataclass(frozen=True, slots=True)
class _Title:
    """What a name says of a song, and which instrument or mixture it says of it.

    Attributes
    ----------
    key
        Words of the title, in lower case.
    text
        The title as it is written.
    kind
        Instrument, or `MIXTURE`.
    is_set_apart
        Whether more than a space parts the title from the rest.
    """

    key: str
    text: str
    kind: str
    is_set_apart: bool


def _titled(name: Marks) -> list[_Title]:
    """Return each way to read a name as a title and an instrument."""
    found = []
    kinds: list[tuple[Span, str]] = [((h.start, h.end), h.instrument) for h in name.longest_hits]
    for span, kind in (*((span, MIXTURE) for span in name.mixtures), *kinds):
        title: list[Word] = []
        units = {word.start for word in name.words.words if word.text in UNITS}
        for word in name.words.words:
            is_kind = word.start < span[1] and span[0] < word.end
            is_measure = word.end in units or MUSICAL_KEY.fullmatch(word.text)
            # "Song 2", "songA": what follows a title's word at once is of it, "Lead" is not.
            follows = bool(title) and title[-1].end == word.start
            is_of_title = word.is_number or len(word.text) == 1
            may_be = follows if is_of_title else word.text not in NEUTRAL
            if may_be and not is_kind and not is_measure:
                title.append(word)
        if any(not is_plain_word(name, word) for word in title):
            key, text = " ".join(word.text for word in title), name.words.as_written(title)
            found.append(_Title(key, text, kind, _is_set_apart(name, span)))
    return found


def _is_set_apart(name: Marks, span: Span) -> bool:
    gaps = [word.before for word in name.words.words if word.start in span and word.start > 0]
    return any(set(gap) & set("_-()[]") for gap in gaps)


def _numbers(names: Sequence[Marks]) -> list[tuple[list[list[_Title]], int]]:
    """Return numbers as titles: those at the beginning, and with more of them those at the end."""
    found = []
    for at, least in ((0, 2), (-1, NUMBERED_SONGS)):
        titles = []
        for name in names:
            words = name.words.words
            kind = MIXTURE if name.has_mixture(()) else name.instrument(())
            is_numbered = len(words) > 1 and words[at].is_number and kind is not None
            text = words[at].text if is_numbered else ""
            titles.append([_Title(text, text, str(kind), True)] if is_numbered else [])
        if all(titles):
            found.append((titles, least))
    return found


def _chosen(titles: Sequence[Sequence[_Title]], least: int) -> tuple[list[_Title], bool]:
    """Return the titles of which there are several instruments, and whether they are songs."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for title in (title for each in titles for title in each):
        kinds[title.key].add(title.kind)
    best = [max(each, key=lambda title: len(kinds[title.key])) for each in titles if each]
    groups = {title.key: title for title in best if len(kinds[title.key]) > 1}
    if len(groups) < least:
        return [], False
    overlap = max(len(kinds[a] & kinds[b]) for a, b in combinations(groups, 2))
    covered = all(title.key in groups and title.is_set_apart for title in best)
    is_number = all(key.isdigit() for key in groups)
    if overlap > 1 or (overlap == 1 and covered and not is_number):
        return list(groups.values()), True
    return (list(groups.values()), False) if overlap and not is_number else ([], False)


def _distributed(
    paths: Sequence[str],
    names: Sequence[Marks],
    titles: Sequence[Sequence[_Title]],
    chosen: Sequence[_Title],
) -> dict[str, list[str]]:
    """Return the files of each title; what has none of them stays with its own, or with none."""
    texts = {title.key: title.text for title in chosen}
    found: dict[str, list[str]] = defaultdict(list)
    for path, name, each in zip(paths, names, titles, strict=True):
        known = [title.key for title in each if title.key in texts]
        words = " ".join(w.text for w in name.words.words if not w.is_number)
        alone = [key for key in texts if key == words]
        if known or alone:
            found[texts[(known or alone)[0]]].append(path)
        else:
            found[each[0].text if each else ""].append(path)
    return dict(found)


def _by_title(paths: Sequence[str], of_parts: set[str]) -> dict[str, list[str]]:
    """Return the files of each title, where folders of instruments hold several songs.

    Nothing if they hold one.
    """
    for title_of, least in ((_own_title, 1), (_own_number, NUMBERED_SONGS)):
        titles = {path: title_of(path) for path in paths}
        if not all(titles.values()):
            continue
        folders: dict[str, set[str]] = defaultdict(set)
        for path, title in titles.items():
            if _folder(path) in of_parts:
                folders[title.casefold()].add(_folder(path))
        recurring = [title for title, where in folders.items() if len(where) > 1]
        if len(recurring) >= least and len(folders) > 1:
            found: dict[str, list[str]] = {}
            first: dict[str, str] = {}
            for path, title in titles.items():
                found.setdefault(first.setdefault(title.casefold(), title), []).append(path)
            return found
    return {}


def _own_title(path: str) -> str:
    """Return the words of a name that tell a song, and not the instrument that its folder does.

    Nothing if all of them are instruments, numbers or words like "lead".
    """
    folder, name = PurePosixPath(path).parent.name, Marks(Words(_stem(path)), SYNONYMS)
    instruments = Marks(Words(folder), SYNONYMS).alive_instruments(())
    rest = [
        word
        for word in name.words.words
        if not any(
            hit.instrument in instruments and hit.start < word.end and word.start < hit.end
            for hit in name.longest_hits
        )
    ]
    told = [word for word in rest if not is_plain_word(name, word)]
    return name.words.as_written(rest) if told else ""


def _own_number(path: str) -> str:
    words = Words(_stem(path)).words
    return words[0].text if len(words) == 1 and words[0].is_number else ""
