"""Songs to learn separation from, in whatever layouts they lie, each known by its content."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from blocks.storage import Storage
from tasks.corpora.discover import candidates
from tasks.corpora.layout import ROOT, is_audio
from tasks.corpora.layouts import layouts_of_sources
from tasks.corpora.song import Song, StemFile
from tasks.corpora.source_table import REMARK, is_table
from tasks.dataset.digests import Digests, FileFailure, without_own
from tasks.dataset.split import FRACTIONS
from tasks.separator.sources import Sources, is_whole_mix
from tasks.separator.splits import assigned, is_of_one_source, of_folders
from tasks.separator.training_song import MIXTURE, SourceFile, Split, TrainingSong
from tasks.step import digest
from tasks.text import counted, printable
from tasks.track import TrackError


@dataclass(frozen=True, slots=True)
class Found:
    """What a place holds.

    Attributes
    ----------
    songs
        One per distinct content, in the order of their paths.
    failures
        Files that cannot be used, and songs that cannot, in the order of their paths.
    notices
        What else there is to say, in sentences.
    passed_over
        Files that are no audio and that no layout knows.
    duplicates
        Path of a further copy -> path of the song that it is a copy of.
    audio_files
        How many files are named like audio.
    """

    songs: list[TrainingSong]
    failures: list[FileFailure] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    duplicates: dict[str, str] = field(default_factory=dict)
    audio_files: int = 0


def place_of(address: str) -> Storage:
    """Return where songs lie: below a folder or bucket, or below that of a table of paths."""
    folder, _, name = address.rpartition("/")
    return (
        Storage((folder or "/") if "/" in address else ".") if is_table(name) else Storage(address)
    )


def discover(
    place: Storage,
    memory: Storage | None,
    *,
    sources: Sequence[str],
    own: Sequence[Storage] = (),
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 42,
    max_songs: int | None = None,
) -> Found:
    """Find the songs below `place`, which source each of their stems is, and their splits.

    Parameters
    ----------
    place
        Folder or bucket to look through, recursively.
    memory
        Where the digests of files are remembered, so that an unchanged file is not read
        again; None to remember nothing.
    sources
        What is to be told apart.
    own
        Places that this program writes to: what lies there is no song.
    fractions, seed
        Shares of train, validation and test, where the corpus does not say, and of the drawing.
    max_songs
        Take so many songs, of each split its share. All are split, so that one that is for the
        test stays so however many are taken.

    Raises
    ------
    DataError
        If the sources cannot be told apart.
    """
    told = Sources(sources)
    # A listing of a bucket tells what each object is like; asking again would be billed.
    versions = {} if place.is_local else place.versions()
    names = place.files() if place.is_local else list(versions)
    paths = sorted(without_own(names, place, own), key=printable)
    found_songs, failures, passed_over = candidates(place, paths, layouts_of_sources(sources))
    found = Found([], failures, passed_over=passed_over, audio_files=sum(map(is_audio, paths)))
    read = (_with_sources(song, told, found.failures) for song in found_songs)
    of_songs = [each for each in read if each is not None]
    digests = Digests(place, memory, versions)
    contents = digests.of({path: None for _, files in of_songs for path in _paths(files)})
    digests.save()

    folders = of_folders(song.path for song, _ in of_songs)
    said: dict[str, Split] = {}
    first: dict[str, str] = {}
    for song, files in of_songs:
        known = _identified(song, files, contents, found.failures)
        if known is None:
            continue
        if song.path in folders and folders[song.path] is None:
            message = f"{printable(song.path)} repeats another song of its corpus: left out."
            found.failures.append(FileFailure(song.path, "omitted", message))
        elif known.track_id in first:
            found.duplicates[song.path] = first[known.track_id]
        else:
            first[known.track_id] = song.path
            found.songs.append(known)
            if split := song.split or folders.get(song.path):
                said[known.track_id] = split
    songs, notices = assigned(found.songs, said, fractions=fractions, seed=seed)
    found.songs[:] = _share(_of_all_sources(songs, found.notices), max_songs)
    found.notices.extend([*notices, *_remarks(found)])
    found.failures.sort(key=lambda failure: printable(failure.path))
    return found


Files = dict[StemFile, str]
"""Source of each file of a song, ``mixture`` included."""


def _with_sources(
    song: Song, sources: Sources, failures: list[FileFailure]
) -> tuple[Song, Files] | None:
    """Return a song with the source of each file; add to `failures` what cannot be used."""
    name = "The folder" if song.path == ROOT else printable(song.path)
    if song.archive:
        message = (
            f"{name} is an archive: `python flows/prepare_stems.py` makes stems of it to train on."
        )
        failures.append(FileFailure(song.path, "archive", message))
        return None
    of_stems, mixtures = sources.of_stems(song)
    for stem, source in of_stems.items():
        if source is None:
            message = (
                f"Nothing tells which source {printable(stem.path)} is: it is left out; name it, "
                f"or its folder, {', '.join(sources.names)} or after an instrument."
            )
            failures.append(FileFailure(stem.path, "unknown-instrument", message))
    files = {stem: source for stem, source in of_stems.items() if source is not None}
    if not files:
        message = f"{name} holds no stem whose name tells a source."
        failures.append(FileFailure(song.path, "no-known-stem", message))
        return None
    whole = (stem for stem in mixtures if is_whole_mix(stem.name))
    if mixture := song.mixture or next(whole, None):
        files[mixture] = MIXTURE
    for other in mixtures:
        if other is not mixture:
            message = f"{printable(other.path)} is named like a mixture: it is left out."
            failures.append(FileFailure(other.path, "mixture", message))
    return song, files


def _paths(files: Files) -> list[str]:
    return [stem.path for stem in files]


def _identified(
    song: Song, files: Files, contents: Mapping[str, str | TrackError], failures: list[FileFailure]
) -> TrainingSong | None:
    """Return the song by the digests of its files; None, and why, if one cannot be read."""
    parts: list[SourceFile] = []
    for stem, source in files.items():
        content = contents[stem.path]
        if isinstance(content, TrackError):
            message = f"{content.message.rstrip('.')}: its song is left out."
            failures.append(FileFailure(stem.path, content.reason, message))
        else:
            parts.append(SourceFile(source, stem.path, stem.stream, content, stem.gain_db))
    if len(parts) < len(files):
        return None
    made = TrainingSong(
        "",
        song.path,
        artist=song.artist,
        title=song.title,
        layout=song.layout,
        group=song.group,
        files=tuple(parts),
    )
    return _named(made)


def _named(song: TrainingSong) -> TrainingSong:
    return replace(song, track_id=digest(json.dumps(song.recipe).encode()))


def _of_all_sources(songs: Sequence[TrainingSong], notices: list[str]) -> list[TrainingSong]:
    """Return the songs, of which those that validate or test hold all sources there are.

    Songs of one source can be remixed while a network trains. What it is validated with does
    not change: there, the first of each source make a song, the second another.
    """
    single = [song for song in songs if song.split != "train" and is_of_one_source(song)]
    sources = {song.files[0].source for song in songs if is_of_one_source(song)}
    if len(sources) < 2:
        return list(songs)
    made: list[TrainingSong] = []
    for split in ("validation", "test"):
        by_source: dict[str, list[TrainingSong]] = {}
        for song in sorted(single, key=lambda song: song.track_id):
            if song.split == split:
                by_source.setdefault(song.files[0].source, []).append(song)
        if len(by_source) > 1:
            made += [_mixed(parts) for parts in zip(*by_source.values(), strict=False)]
    notices.append(
        f"{counted(sum(map(is_of_one_source, songs)), 'file')} of one source each are in no song: "
        f"training mixes them anew each time; {len(made)} of their mixes validate and test."
    )
    return [song for song in songs if song not in single] + made


def _share(songs: Sequence[TrainingSong], count: int | None) -> list[TrainingSong]:
    """Return the first songs of each split, as many in all as asked for."""
    of_split = Counter(song.split for song in songs)
    before: Counter[str] = Counter()
    places = []
    for at, song in enumerate(songs):
        places.append(((before[song.split] + 0.5) / of_split[song.split], at))
        before[song.split] += 1
    chosen = sorted(at for _, at in sorted(places)[:count])
    return [songs[at] for at in chosen]


def _mixed(songs: Sequence[TrainingSong]) -> TrainingSong:
    files = tuple(file for song in songs for file in song.files if file.source != MIXTURE)
    title = " + ".join(song.title for song in songs)
    return _named(replace(songs[0], title=title, artist="", files=files))


def _remarks(found: Found) -> list[str]:
    """Return sentences on what was found, and take remarks from the failures."""
    remarks = [failure for failure in found.failures if failure.reason == REMARK]
    found.failures[:] = [failure for failure in found.failures if failure.reason != REMARK]
    sentences = [failure.message for failure in remarks]
    if found.duplicates:
        one, other = next(iter(found.duplicates.items()))
        sentences.append(
            f"Left out as copies: {counted(len(found.duplicates), 'song')}, such as "
            f"{printable(one)}, which is {printable(other)} again."
        )
    return sentences
