"""MUSDB18 and MUSDB18-HQ: the mixtures of songs, of which nothing is said but artist and title.

Genre and licence come from a ``tracklist.csv``, where there is one. https://sigsep.github.io
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from blocks.storage import Storage
from tasks.corpora import musdb18, musdb18_hq
from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry, Tag
from tasks.corpora.captioned.places import find_files, wrong_folder
from tasks.corpora.captioned.reading import below, distinct_tags, records, repeated, text
from tasks.corpora.captioned.song_describer import words
from tasks.corpora.captioned.vocabulary import tag_in
from tasks.corpora.layout import is_audio
from tasks.text import printable

LICENCE = "for educational purposes only"
"""What the corpus states of all songs."""

_SPLITS = {"train": "train", "test": "test"}


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the songs of MUSDB18 in either form.

    Raises
    ------
    CorpusError
        If there is no song of MUSDB18.
    """
    if not folder.is_dir():
        raise wrong_folder(folder, "musdb18", "*.stem.mp4 or mixture.wav")
    source = Storage(str(folder))
    try:
        paths = source.files()
    except OSError as error:
        raise CorpusError(f"{folder} cannot be read ({error}).") from None
    in_one, in_many = musdb18.find(source, paths), musdb18_hq.find(source, paths)
    if not in_one.songs and not in_many.songs:
        raise wrong_folder(folder, "musdb18", "*.stem.mp4 or train/<Artist - Title>/mixture.wav")
    described: dict[str, Mapping[str, str]] = {}
    for path in find_files(folder, "tracklist.csv")[:1]:
        for row in records(path, below(folder, path), ("track name",)):
            if isinstance(row, Dropped):
                yield row
            else:
                described[row[1]["track name"]] = row[1]
    for file in sorted(set(paths) - in_one.paths - in_many.paths):
        if is_audio(file):
            shown = printable(file)
            sentence = (
                f"{shown} is left out, since it is not part of a whole song: unpack it again."
            )
            yield Dropped("incomplete-song", shown, sentence)
    seen: set[str] = set()
    for song in sorted((*in_one.songs, *in_many.songs), key=lambda each: each.path):
        is_hq = not song.path.lower().endswith(musdb18.SUFFIX)
        audio = f"{song.path}/{musdb18_hq.MIXTURE}.wav" if is_hq else song.path
        native_id = f"{song.artist} - {song.title}"
        if is_hq and audio not in in_many.paths:
            sentence = f"{song.path} is left out, since its mixture.wav is not there."
            yield Dropped("known-missing-audio", printable(song.path), sentence, native_id)
            continue
        if native_id in seen:
            yield repeated(printable(song.path), native_id)
            continue
        seen.add(native_id)
        known = described.get(native_id, {})
        split = _SPLITS.get(next((part for part in song.path.split("/") if part in _SPLITS), ""))
        yield Entry(
            native_id,
            audio,
            tags=distinct_tags(_genres(known.get("genre", ""))),
            artist=text(song.artist),
            title=text(song.title),
            licence=text(known.get("license")) or LICENCE,
            evaluation_only=split == "test",
            split=split,
        )


def _genres(cell: str) -> Iterator[Tag]:
    for genre in words(cell.replace("/", ",")):
        yield tag_in("genre", genre)
