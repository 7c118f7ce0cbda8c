"""Songs by their titles, where names of files hold them: ``Alpha_(Vocals)``, ``vocals/Alpha``."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import PurePosixPath

from tasks.corpora.names.instrument_words import NEUTRAL, SYNONYMS
from tasks.corpora.names.marks import Marks, Span
from tasks.corpora.names.shared_words import is_plain_word
from tasks.corpora.names.words import Word, Words

NUMBERED_SONGS = 8
"""From so many numbers on that each stand for the same instruments, numbers are songs: takes of
all instruments alike are rarely more."""

MOST = 0.75
"""Share of the files that tell an instrument of which songs' titles have to be known."""

COMPARED_TITLES = 50
"""Those with most instruments: more are not compared with each other."""

MIXTURE = "mixture"

UNITS = frozenset(("bpm", "hz", "khz"))
MUSICAL_KEY = re.compile(r"[a-h](?:is|es|s)?(?:maj|min|major|minor|dur|moll)")
"""Which tell something of a song, but not its title."""


def titles(
    paths: Sequence[str], of_parts: set[str]
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the files of each title of a song's folder, and titles that they may stand for."""
    one = {"": list(paths)}
    if of_parts:
        return _by_title(paths, of_parts) or one, ()
    names = [marks_of(stem_of(path)) for path in paths]
    found = [_titled(each) for each in names]
    for read, least in ((found, 2), *_numbers(names)):
        chosen, is_sure = _chosen(names, read, least)
        if len(chosen) > 1 and not is_sure:
            return one, tuple(sorted(title.text for title in chosen))[:3]
        if len(chosen) > 1:
            return _distributed(paths, names, read, chosen), ()
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


def _chosen(
    names: Sequence[Marks], titles: Sequence[Sequence[_Title]], least: int
) -> tuple[list[_Title], bool]:
    """Return the titles of which there are several instruments, and whether they are songs.

    They are if two have two instruments in common, or one and a dash parts each title from
    them, and hardly a file has none: in a session with two amplifiers that stems are named
    after, the drums are not.
    """
    kinds: dict[str, set[str]] = defaultdict(set)
    for title in (title for each in titles for title in each):
        kinds[title.key].add(title.kind)
    best = [max(each, key=lambda title: len(kinds[title.key])) for each in titles if each]
    groups = {title.key: title for title in best if len(kinds[title.key]) > 1}
    if len(groups) < least:
        return [], False
    largest = sorted(groups, key=lambda key: -len(kinds[key]))[:COMPARED_TITLES]
    overlap = max(len(kinds[a] & kinds[b]) for a, b in combinations(largest, 2))
    titled = sum(title.key in groups for title in best)
    most = titled >= MOST * sum(bool(each.hits or each.mixtures) for each in names)
    covered = all(title.key in groups and title.is_set_apart for title in best)
    is_number = all(key.isdigit() for key in groups)
    if most and (overlap > 1 or (overlap == 1 and covered and not is_number)):
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
            if folder_of(path) in of_parts:
                folders[title.casefold()].add(folder_of(path))
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
    folder, name = PurePosixPath(path).parent.name, marks_of(stem_of(path))
    instruments = marks_of(folder).alive_instruments(())
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
    words = Words(stem_of(path)).words
    return words[0].text if len(words) == 1 and words[0].is_number else ""


def folder_of(path: str) -> str:
    """Return the folder that a file lies in."""
    return path.rpartition("/")[0]


def stem_of(path: str) -> str:
    """Return the name of a file without folders and suffix."""
    return PurePosixPath(path).stem


@lru_cache(4096)
def marks_of(name: str) -> Marks:
    """Return what a name tells; songs have names in common."""
    return Marks(Words(name), SYNONYMS)
